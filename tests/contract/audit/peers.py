"""The services that provider_config asks: they find every key usable and every provider well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from gatehouse.keyvault.v1 import key_access_service_pb2 as key_pb
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import (
    KeyAccessServiceServicer,
    add_KeyAccessServiceServicer_to_server,
)
from gatehouse.router.v1 import probe_service_pb2 as probe_pb
from gatehouse.router.v1.probe_service_pb2_grpc import ProbeServiceServicer, add_ProbeServiceServicer_to_server

from deploy.local.layout import StateLayout


class _KeyVault(KeyAccessServiceServicer):
    async def CheckKeys(self, request: key_pb.CheckKeysRequest, context: Any) -> key_pb.CheckKeysResponse:  # noqa: N802 - the name in the proto
        usable = key_pb.KeyCheckResult(usability=key_pb.KEY_USABILITY_USABLE)
        return key_pb.CheckKeysResponse(results=[usable for _ in request.items])


class _Router(ProbeServiceServicer):
    async def ProbeProvider(  # noqa: N802 - the name in the proto
        self, request: probe_pb.ProbeProviderRequest, context: Any
    ) -> probe_pb.ProbeProviderResponse:
        return probe_pb.ProbeProviderResponse(
            outcome=probe_pb.PROBE_OUTCOME_OK, message="it answers", model_ids=["gpt-4o", "gpt-4o-mini"]
        )


@asynccontextmanager
async def peers(layout: StateLayout) -> AsyncIterator[str]:
    """Both of them at one `host:port`, over TLS with the router's certificate."""
    server = grpc.aio.server()
    add_KeyAccessServiceServicer_to_server(_KeyVault(), server)
    add_ProbeServiceServicer_to_server(_Router(), server)
    own = (layout.certificate_key("router").read_bytes(), layout.certificate("router").read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([own]))
    await server.start()
    try:
        yield f"localhost:{port}"
    finally:
        await server.stop(None)
