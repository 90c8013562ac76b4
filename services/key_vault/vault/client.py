"""key_vault's Vault: a writer that seals and a reader that opens, each with threads of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from libs.core.clock import Clock
from libs.core.errors import GatehouseError, Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.errors import Reason, vault_secret_denied, vault_secret_missing
from services.key_vault.domain.ports import Ciphertext, OpenedBatch, SecretReference
from services.key_vault.vault.answers import NoAnswer
from services.key_vault.vault.circuit import Circuit
from services.key_vault.vault.connection import Credentials, VaultAddress
from services.key_vault.vault.lane import Lane
from services.key_vault.vault.session import VaultSession
from services.key_vault.vault.token import SharedToken

T = TypeVar("T")

READER_THREADS = 2
"""As many as batches the batcher has under way, so that none waits for a thread."""
MOST_TOGETHER = 200
"""Ciphertexts in one request. OpenBao refuses JSON with more than 1000 strings, names included; an item has four."""
_WRITER_THREADS = 1
_SECRET_THREADS = 4
_MOST_WAITING = 512
# Readiness is asked for each second and has two for its answer.
_PROBE_TIMEOUT_S = 0.4
_UNOPENABLE = Ciphertext(text="vault:v1:", context=b"probe")
_PROBE = Secret(b"probe")

_Location = tuple[str, str, int | None]
_Found = Mapping[str, Secret] | Unavailable | None
"""The fields of a secret; None: Vault's policy refuses it."""


class VaultClient:
    """The ports `Sealer`, `Rewrapper` and `AnchorSigner` as the writer, `Opener` and `SecretReader` as the reader.

    For use from one event loop. `timeout_s` bounds a call in all, login and repetition included;
    `secret_timeout_s` reading the operator's secrets, for which the sealed keys of the same batch wait.
    Each kind of work has
    a circuit of its own: Vault's policy or a missing transit key can stop one and leave the others alone.
    """

    def __init__(
        self,
        address: VaultAddress,
        *,
        writer: Credentials,
        reader: Credentials,
        timeout_s: float,
        secret_timeout_s: float = 0.5,
        clock: Clock,
    ) -> None:
        def lane(name: str, make_session: Callable[[], VaultSession], threads: int, bound_s: float = timeout_s) -> Lane:
            return Lane(
                make_session, name=f"vault-{name}", threads=threads, most_waiting=_MOST_WAITING, timeout_s=bound_s
            )

        writing = partial(VaultSession, address, writer, SharedToken(clock))
        reading = partial(VaultSession, address, reader, SharedToken(clock))
        self._anchor_key = address.anchor_key
        self._writer = lane("writer", writing, _WRITER_THREADS)
        self._reader = lane("reader", reading, READER_THREADS)
        # Not among the reader's: however slow the operator's secrets are, sealed keys do not wait for them.
        self._secrets = lane("secrets", reading, _SECRET_THREADS, min(timeout_s, secret_timeout_s))
        self._sealing = Circuit(clock)
        self._rewrapping = Circuit(clock)
        self._anchoring = Circuit(clock)
        self._opening = Circuit(clock)
        self._reading = Circuit(clock)
        self._unanswered: _Location | None = None

    @property
    def anchor_key(self) -> str:
        """The name of the transit key that signs."""
        return self._anchor_key

    async def seal(self, material: Secret, context: bytes) -> str:
        """See `Sealer`."""
        return await self._write(self._sealing, lambda session: session.seal(material, context))

    async def rewrap(self, ciphertexts: Sequence[Ciphertext]) -> Sequence[str | None]:
        """See `Rewrapper`. Takes at most MOST_TOGETHER."""
        return await self._write(self._rewrapping, lambda session: session.rewrap(ciphertexts))

    async def sealing_version(self) -> int:
        """See `Rewrapper`."""
        return await self._write(self._rewrapping, VaultSession.sealing_version)

    async def rotate_sealing_key(self) -> int:
        """See `Rewrapper`."""
        return await self._write(self._rewrapping, VaultSession.rotate_sealing_key)

    async def sign(self, message: bytes) -> str:
        """See `AnchorSigner`."""
        return await self._write(self._anchoring, lambda session: session.sign(message))

    async def verify(self, message: bytes, signature: str) -> bool:
        """See `AnchorSigner`."""
        return await self._write(self._anchoring, lambda session: session.verify(message, signature))

    async def open(self, ciphertexts: Sequence[Ciphertext]) -> OpenedBatch:
        """See `Opener`. Takes at most MOST_TOGETHER."""
        return await self._opening.run(lambda: self._reader.run(lambda session: session.open(ciphertexts)))

    async def read_secrets(self, references: Sequence[SecretReference]) -> Sequence[Secret | GatehouseError]:
        """See `SecretReader`."""
        wanted: dict[_Location, set[str]] = {}
        for reference in references:
            wanted.setdefault(_location(reference), set()).add(reference.field)
        try:
            began = self._reading.begin()
        except Unavailable as failure:
            return [failure] * len(references)
        found = dict(zip(wanted, await asyncio.gather(*map(self._read, wanted, wanted.values())), strict=True))
        self._note_reading(found, began)
        return [_value(reference, found[_location(reference)]) for reference in references]

    async def ping(self) -> None:
        """Return when Vault is active, both identities have a token, and keys are opened again if they were not.

        Renews tokens that are due, and finds out whether what failed works again: for use each second. Raises
        Unavailable.
        """
        await self._reader.run(VaultSession.check_health)
        await self._reader.run(VaultSession.keep_token)
        await self._writer.run(VaultSession.keep_token)
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                if self._sealing.is_open:
                    await self.seal(_PROBE, _UNOPENABLE.context)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                if self._reading.is_open and self._unanswered is not None:
                    await self._probe_reading(self._unanswered)
        if self._opening.is_open:
            await self.open([_UNOPENABLE])

    async def close(self) -> None:
        """Wait for the calls under way and close the connections."""
        for lane in (self._reader, self._secrets, self._writer):
            await lane.close()

    async def _write(self, circuit: Circuit, work: Callable[[VaultSession], T]) -> T:
        return await circuit.run(lambda: self._writer.run(work))

    async def _read(self, location: _Location, fields: Collection[str]) -> _Found:
        try:
            return await self._secrets.run(lambda session: session.read_secret(*location, fields))
        except Unavailable as failure:
            return failure

    async def _probe_reading(self, location: _Location) -> None:
        with suppress(Unavailable):
            began = self._reading.begin()
            self._note_reading({location: await self._read(location, ())}, began)

    def _note_reading(self, found: Mapping[_Location, _Found], began: float) -> None:
        # One secret's trouble is no other's: as long as Vault answers, whatever it says, there is no wait to spare.
        for location, outcome in found.items():
            if isinstance(outcome, NoAnswer):
                self._unanswered = location
                self._reading.failed(outcome, began)
                return
        if any(
            not isinstance(outcome, Unavailable) or outcome.reason != Reason.OVERLOADED for outcome in found.values()
        ):
            self._reading.succeeded(began)


def _location(reference: SecretReference) -> _Location:
    return reference.mount, reference.path, reference.version


def _value(reference: SecretReference, found: _Found) -> Secret | GatehouseError:
    match found:
        case None:
            return vault_secret_denied(reference.secret_id)
        case Unavailable():
            return found
        case _:
            return found.get(reference.field) or vault_secret_missing(reference.secret_id)
