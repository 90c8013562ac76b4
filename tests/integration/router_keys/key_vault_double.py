"""key_vault as the router sees it, over real gRPC: opens what a test put into it and notes what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from gatehouse.keyvault.v1 import key_access_service_pb2 as pb
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import (
    KeyAccessServiceServicer,
    add_KeyAccessServiceServicer_to_server,
)

from libs.core.errors import FailedPrecondition, GatehouseError, PermissionDenied
from libs.rpc.status import DETAILS_KEY, GRPC_CODES, to_item_status, to_trailer

DOMAIN = "keyvault.gatehouse"


@dataclass(slots=True)
class StoredKey:
    """A key by its versions. `current` is in use, `overlapping` its predecessor while it may still be asked for."""

    versions: dict[int, bytes]
    current: int
    overlapping: int = 0


@dataclass
class KeyVaultDouble(KeyAccessServiceServicer):
    """`on_open` is called before each batch is opened. `failures` are what the next reports fail with."""

    keys: dict[str, StoredKey] = field(default_factory=dict)
    opened: list[pb.KeyAccess] = field(default_factory=list)
    reports: list[list[pb.KeyOutcome]] = field(default_factory=list)
    failures: list[GatehouseError] = field(default_factory=list)
    on_open: Callable[[pb.KeyAccess], None] = lambda _: None
    hang: asyncio.Event | None = None

    async def AccessKeys(self, request: pb.AccessKeysRequest, context: Any) -> pb.AccessKeysResponse:  # noqa: N802 - the name in the proto
        response = pb.AccessKeysResponse()
        for item in request.items:
            self.on_open(item)
            self.opened.append(item)
            try:
                response.results.add(material=self._material(item))
            except GatehouseError as error:
                response.results.add(error=to_item_status(error, domain=DOMAIN))
        return response

    async def ReportKeyOutcomes(  # noqa: N802 - the name in the proto
        self, request: pb.ReportKeyOutcomesRequest, context: Any
    ) -> pb.ReportKeyOutcomesResponse:
        if self.hang is not None:
            await self.hang.wait()
        if self.failures:
            failure = self.failures.pop(0)
            trailer = to_trailer(failure, domain=DOMAIN).SerializeToString()
            await context.abort(GRPC_CODES[failure.kind], failure.message, ((DETAILS_KEY, trailer),))
        self.reports.append(list(request.outcomes))
        return pb.ReportKeyOutcomesResponse()

    async def CheckKeys(self, request: pb.CheckKeysRequest, context: Any) -> pb.CheckKeysResponse:  # noqa: N802 - the name in the proto
        """Every key that was put here could be opened, and no other."""
        return pb.CheckKeysResponse(
            results=[
                pb.KeyCheckResult(
                    usability=pb.KEY_USABILITY_USABLE if item.name in self.keys else pb.KEY_USABILITY_MISSING
                )
                for item in request.items
            ]
        )

    def reported(self) -> list[pb.KeyOutcome]:
        """All outcomes of all reports."""
        return [outcome for report in self.reports for outcome in report]

    def _material(self, item: pb.KeyAccess) -> pb.KeyMaterial:
        key = self.keys.get(item.name)
        if key is None:
            raise PermissionDenied("PERMISSION_DENIED", "you may not do this, or the resource does not exist")
        version = item.version or key.current
        if version not in (key.current, key.overlapping):
            raise FailedPrecondition("KEY_VERSION_RETIRED", f"version {version} of {item.name} was replaced")
        fallback = key.overlapping if version == key.current else 0
        return pb.KeyMaterial(api_key=key.versions[version], version=version, fallback_version=fallback)


@asynccontextmanager
async def serving(double: KeyVaultDouble) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to `double` on a free port."""
    server = grpc.aio.server()
    add_KeyAccessServiceServicer_to_server(double, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=(("grpc.use_local_subchannel_pool", 1),)
        ) as channel:
            yield channel
    finally:
        if double.hang is not None:
            double.hang.set()
        await server.stop(None)
