"""key_vault as the router calls it: keys opened in batches, each for one call, or only looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import grpc
from gatehouse.keyvault.v1 import key_access_service_pb2 as pb
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import KeyAccessServiceStub

from libs.core.errors import GatehouseError
from libs.core.secret import Secret
from libs.rpc.batcher import Batcher
from libs.rpc.status import from_item_status, from_rpc_error
from services.router.domain.ports import KeyState, OpenedKey

_MAX_BATCH = 64
_LONGEST_LINGER_S = 0.025
# gatehouse.keyvault.v1.CheckKeysRequest.items
_MAX_CHECKED = 256
# Not for which one: users may use the keys of their tenant and of the platform, not read them.
_OTHER_ORIGIN = "its key was entered for another origin; enter it again for this one"
_STATES: Mapping[pb.KeyUsability.ValueType, tuple[str, str]] = MappingProxyType(
    {
        pb.KEY_USABILITY_USABLE: ("", ""),
        pb.KEY_USABILITY_MISSING: ("KEY_UNUSABLE", "its key does not exist"),
        pb.KEY_USABILITY_DISABLED: ("KEY_DISABLED", "its key is disabled; enable it"),
        pb.KEY_USABILITY_NO_VERSION: ("KEY_UNUSABLE", "its key has no version that can be opened; rotate it"),
        pb.KEY_USABILITY_ORIGIN_MISMATCH: ("ORIGIN_MISMATCH", _OTHER_ORIGIN),
    }
)


class KeyVaultClient:
    """A `ports.KeyOpener`, a `ports.KeyChecker` and `probe.ProbeKeys`."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout_s: float) -> None:
        self._access = KeyAccessServiceStub(channel)
        self._timeout_s = timeout_s
        self._batcher: Batcher[pb.KeyAccess, OpenedKey | GatehouseError] = Batcher(
            self._send, max_batch=_MAX_BATCH, max_in_flight=1, longest_linger_s=_LONGEST_LINGER_S
        )

    def open(
        self, *, name: str, origin: str, caller_token: Secret, version: int = 0
    ) -> asyncio.Future[OpenedKey | GatehouseError]:
        """Open a version of a key for one call, 0 being the one in use."""
        return self._batcher.submit(
            pb.KeyAccess(
                name=name,
                origin=origin,
                caller_token=caller_token.reveal(),
                purpose=pb.KEY_PURPOSE_GENERATE,
                version=version,
            )
        )

    def open_for_probe(
        self, *, name: str, origin: str, caller_token: Secret
    ) -> asyncio.Future[OpenedKey | GatehouseError]:
        """Open the version in use for one test of its provider."""
        return self._batcher.submit(
            pb.KeyAccess(name=name, origin=origin, caller_token=caller_token.reveal(), purpose=pb.KEY_PURPOSE_PROBE)
        )

    async def check(self, keys: Sequence[tuple[str, str]]) -> Sequence[KeyState]:
        """The states of keys, given as (name, origin), in the same order. Raises GatehouseError when nobody answers."""
        states: list[KeyState] = []
        for start in range(0, len(keys), _MAX_CHECKED):
            part = keys[start : start + _MAX_CHECKED]
            items = [pb.KeyCheck(name=name, origin=origin) for name, origin in part]
            try:
                response = await self._access.CheckKeys(pb.CheckKeysRequest(items=items), timeout=self._timeout_s)
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error, service="key-vault") from None
            states.extend(_state(result) for result in response.results)
        return states

    async def aclose(self) -> None:
        """Wait for what is under way."""
        await self._batcher.close()

    async def _send(self, items: list[pb.KeyAccess]) -> Sequence[OpenedKey | GatehouseError]:
        try:
            response = await self._access.AccessKeys(pb.AccessKeysRequest(items=items), timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, service="key-vault") from None
        return [
            _opened(result.material) if result.HasField("material") else from_item_status(result.error)
            for result in response.results
        ]


def _opened(material: pb.KeyMaterial) -> OpenedKey:
    return OpenedKey(
        material=Secret(material.api_key), version=material.version, fallback_version=material.fallback_version
    )


def _state(result: pb.KeyCheckResult) -> KeyState:
    # What a newer key_vault may say is at least not known to be usable.
    obstacle, description = _STATES.get(result.usability, ("KEY_UNUSABLE", "its key cannot be opened"))
    return KeyState(obstacle=obstacle, description=description, refused=result.refused_by_provider)
