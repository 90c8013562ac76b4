"""A router that finds every provider well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from gatehouse.router.v1 import probe_service_pb2 as pb
from gatehouse.router.v1.probe_service_pb2_grpc import ProbeServiceServicer, add_ProbeServiceServicer_to_server

from deploy.local.layout import StateLayout


class _Router(ProbeServiceServicer):
    async def ProbeProvider(self, request: pb.ProbeProviderRequest, context: Any) -> pb.ProbeProviderResponse:  # noqa: N802 - the name in the proto
        return pb.ProbeProviderResponse(
            outcome=pb.PROBE_OUTCOME_OK, message="it answers", model_ids=["gpt-4o", "gpt-4o-mini"]
        )


@asynccontextmanager
async def serving_router(layout: StateLayout) -> AsyncIterator[str]:
    """Its `host:port`, over TLS with the router's certificate."""
    server = grpc.aio.server()
    add_ProbeServiceServicer_to_server(_Router(), server)
    own = (layout.certificate_key("router").read_bytes(), layout.certificate("router").read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([own]))
    await server.start()
    try:
        yield f"localhost:{port}"
    finally:
        await server.stop(None)
