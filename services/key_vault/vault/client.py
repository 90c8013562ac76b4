"""key_vault's Vault: a writer that may only seal and a reader that may only open, each with threads of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from libs.core.clock import Clock
from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.errors import Reason
from services.key_vault.domain.ports import Ciphertext
from services.key_vault.vault.circuit import Circuit
from services.key_vault.vault.connection import AppRoleFiles, VaultAddress
from services.key_vault.vault.lane import Lane
from services.key_vault.vault.transit import TransitSession

T = TypeVar("T")

READER_THREADS = 2
"""As many as batches the batcher has under way, so that none waits for a thread."""
MOST_TOGETHER = 200
"""Ciphertexts in one request. OpenBao refuses JSON with more than 1000 strings, names included; an item has four."""
_WRITER_THREADS = 1
_MOST_WAITING = 256


class VaultClient:
    """The ports `Sealer` and `Opener` over transit sessions; for use from one event loop.

    `timeout_s` bounds a call in all, login and repetition included.
    """

    def __init__(
        self, address: VaultAddress, *, writer: AppRoleFiles, reader: AppRoleFiles, timeout_s: float, clock: Clock
    ) -> None:
        def lane(name: str, role: AppRoleFiles, threads: int) -> Lane:
            return Lane(
                partial(TransitSession, address, role, clock),
                name=f"vault-{name}",
                threads=threads,
                most_waiting=_MOST_WAITING,
                timeout_s=timeout_s,
            )

        self._writer = lane("writer", writer, _WRITER_THREADS)
        self._reader = lane("reader", reader, READER_THREADS)
        self._writer_circuit = Circuit(clock)
        self._reader_circuit = Circuit(clock)

    async def seal(self, material: Secret, context: bytes) -> str:
        """See `Sealer`."""
        return await _guarded(self._writer, self._writer_circuit, lambda session: session.seal(material, context))

    async def open(self, ciphertexts: Sequence[Ciphertext]) -> Sequence[Secret | None]:
        """See `Opener`. Takes at most MOST_TOGETHER."""
        return await _guarded(self._reader, self._reader_circuit, lambda session: session.open(ciphertexts))

    async def ping(self) -> None:
        """Return when Vault is active and both identities were let in. Raises Unavailable."""
        await self._reader.run(TransitSession.check)
        await self._writer.run(TransitSession.check)

    async def close(self) -> None:
        """Wait for the calls under way and close the connections."""
        await self._reader.close()
        await self._writer.close()


async def _guarded(lane: Lane, circuit: Circuit, work: Callable[[TransitSession], T]) -> T:
    circuit.guard()
    try:
        result = await lane.run(work)
    except Unavailable as error:
        # Our own queue being full says nothing about Vault.
        if error.reason != Reason.OVERLOADED:
            circuit.failed(error)
        raise
    circuit.succeeded()
    return result
