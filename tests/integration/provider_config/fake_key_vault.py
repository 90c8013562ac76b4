"""A key_vault that knows every key, each for the origin it is asked about, unless a test says otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from gatehouse.keyvault.v1 import key_access_service_pb2 as pb
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import (
    KeyAccessServiceServicer,
    add_KeyAccessServiceServicer_to_server,
)

from libs.core.errors import NotFound
from libs.rpc.status import to_item_status

MISSING = pb.KeyCheckResult(usability=pb.KEY_USABILITY_MISSING)


class FakeKeyVault(KeyAccessServiceServicer):
    """`known`: what is said of a key by its name; `asked`: the (name, origin) pairs; `down`: it answers nobody.

    To the router it gives `materials`, by name; `opened` and `told` are what the router asked for and reported.
    """

    def __init__(self) -> None:
        self.materials: dict[str, bytes] = {}
        self.opened: list[pb.KeyAccess] = []
        self.told: list[pb.KeyOutcome] = []
        self.known: dict[str, pb.KeyCheckResult] = {}
        self.asked: list[tuple[str, str]] = []
        self.down = False

    async def AccessKeys(  # noqa: N802 - gRPC's name
        self, request: pb.AccessKeysRequest, context: object
    ) -> pb.AccessKeysResponse:
        self.opened += request.items
        return pb.AccessKeysResponse(results=map(self._open, request.items))

    def _open(self, item: pb.KeyAccess) -> pb.KeyAccessResult:
        material = self.materials.get(item.name)
        if material is not None:
            return pb.KeyAccessResult(material=pb.KeyMaterial(api_key=material, version=1))
        gone = NotFound("KEY_NOT_FOUND", "the key does not exist")
        return pb.KeyAccessResult(error=to_item_status(gone, domain="keyvault.gatehouse"))

    async def ReportKeyOutcomes(  # noqa: N802 - gRPC's name
        self, request: pb.ReportKeyOutcomesRequest, context: object
    ) -> pb.ReportKeyOutcomesResponse:
        self.told += request.outcomes
        return pb.ReportKeyOutcomesResponse()

    async def CheckKeys(  # noqa: N802 - gRPC's name
        self, request: pb.CheckKeysRequest, context: grpc.aio.ServicerContext[pb.CheckKeysRequest, pb.CheckKeysResponse]
    ) -> pb.CheckKeysResponse:
        if self.down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "down")
        self.asked += [(item.name, item.origin) for item in request.items]
        return pb.CheckKeysResponse(
            results=[
                self.known.get(item.name) or pb.KeyCheckResult(usability=pb.KEY_USABILITY_USABLE, origin=item.origin)
                for item in request.items
            ]
        )

    @asynccontextmanager
    async def serving(self, *, tls_cert_file: Path, tls_key_file: Path, tls_ca_file: Path) -> AsyncIterator[str]:
        """Serve it; gives its `host:port`."""
        credentials = _mutual_tls(tls_cert_file, tls_key_file, tls_ca_file)
        server = grpc.aio.server()
        add_KeyAccessServiceServicer_to_server(self, server)
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        try:
            yield f"localhost:{port}"
        finally:
            await server.stop(None)


def _mutual_tls(certificate: Path, key: Path, authorities: Path) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())],
        root_certificates=authorities.read_bytes(),
        require_client_auth=True,
    )
