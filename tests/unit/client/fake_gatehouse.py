"""A Gatehouse for the client's tests: a real gRPC server over TLS whose answers a test writes."""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID
from gatehouse.keyvault.v1 import audit_service_pb2, key_maintenance_service_pb2, key_service_pb2
from gatehouse.providerconfig.v1 import audit_service_pb2 as config_audit_service_pb2
from gatehouse.providerconfig.v1 import (
    model_service_pb2,
    preference_service_pb2,
    provider_service_pb2,
    route_service_pb2,
)
from gatehouse.router.v1 import generation_service_pb2, provider_health_service_pb2
from gatehouse.usage.v1 import quota_service_pb2, usage_service_pb2
from google.protobuf import message_factory
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

SERVICES = [
    service
    for file in (
        key_service_pb2,
        key_maintenance_service_pb2,
        audit_service_pb2,
        provider_service_pb2,
        model_service_pb2,
        route_service_pb2,
        preference_service_pb2,
        config_audit_service_pb2,
        provider_health_service_pb2,
        generation_service_pb2,
        usage_service_pb2,
        quota_service_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
]


@dataclass(frozen=True, slots=True)
class Received:
    """A call as it arrived."""

    area: str
    method: str
    request: Any
    metadata: dict[str, str | bytes]
    seconds_left: float


class Failure(Exception):
    """Raised by an answer: the call ends with this code and these details."""

    def __init__(self, code: grpc.StatusCode, message: str, *details: Message) -> None:
        super().__init__(message)
        self.code, self.message, self.details = code, message, details


def failure(code: grpc.StatusCode, message: str, reason: str, *details: Message) -> Failure:
    """A Failure as Gatehouse sends it, with ErrorInfo and RequestInfo."""
    info = error_details_pb2.ErrorInfo(reason=reason, domain="test.gatehouse", metadata={"name": "x"})
    return Failure(code, message, info, *details, error_details_pb2.RequestInfo(request_id="req-1"))


@dataclass
class FakeGatehouse:
    """`answers[method]` makes the response of a request; without one the response is empty.

    Where two areas have a method of the same name, `answers["router.ListModels"]` is only that area's.
    """

    profile: Path
    target: str = ""
    ca: bytes = b""
    answers: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    """Set when a streamed call ended, in whatever way."""

    def last(self, method: str) -> Received:
        """The last call of `method`, or of `area.method`."""
        return next(call for call in reversed(self.received) if method in (call.method, f"{call.area}.{call.method}"))

    def fails(self, method: str, error: Failure) -> None:
        """Let `method` fail."""

        def fail(_: object) -> Message:
            raise error

        self.answers[method] = fail

    def handlers(self) -> Iterator[grpc.GenericRpcHandler]:
        """Handlers for every method of every service."""
        for service in SERVICES:
            methods = {method.name: self._handler(method) for method in service.methods}
            yield grpc.method_handlers_generic_handler(service.full_name, methods)

    def _handler(self, method: Any) -> grpc.RpcMethodHandler[Any, Any]:
        request_class = message_factory.GetMessageClass(method.input_type)
        response_class = message_factory.GetMessageClass(method.output_type)
        area = method.containing_service.full_name.split(".")[1]

        def empty(_: object) -> Message:
            return response_class()

        def silent(_: object) -> tuple[Message, ...]:
            return ()

        def find(otherwise: Callable[[Any], Any]) -> Callable[[Any], Any]:
            return self.answers.get(f"{area}.{method.name}") or self.answers.get(method.name, otherwise)

        def record(request: Message, context: grpc.ServicerContext) -> None:
            metadata = {key: value for key, value in context.invocation_metadata()}  # noqa: C416 - named pairs
            self.received.append(Received(area, method.name, request, metadata, context.time_remaining() or 0.0))

        def unary(request: Message, context: grpc.ServicerContext) -> Message:
            record(request, context)
            answer = empty(request)
            try:
                answer = find(empty)(request)
            except Failure as error:
                _abort(context, error)
            return answer

        def stream(request: Message, context: grpc.ServicerContext) -> Iterator[Message]:
            record(request, context)
            context.add_callback(self.ended.set)
            try:
                answer: Iterable[Message] = find(silent)(request)
                yield from answer
            except Failure as error:
                _abort(context, error)

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, request_class.FromString, _serialize)
        return grpc.unary_unary_rpc_method_handler(unary, request_class.FromString, _serialize)


def start(folder: Path) -> tuple[FakeGatehouse, grpc.Server]:
    """A running fake with its own CA, and a client.json with an issuer key in `folder`."""
    ca, certificate, key = make_certificates()
    fake = FakeGatehouse(profile=folder / "client.json", ca=ca)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(tuple(fake.handlers()))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    fake.target = f"localhost:{port}"
    (folder / "ca.pem").write_bytes(ca)
    (folder / "issuer.key").write_bytes(
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    services = ("router", "key_vault", "provider_config", "usage_accounting")
    fake.profile.write_text(
        json.dumps(
            {
                "ca": str(folder / "ca.pem"),
                "endpoints": dict.fromkeys(services, fake.target),
                "issuer": {
                    "key": str(folder / "issuer.key"),
                    "kid": "k1",
                    "issuer": "https://gatehouse.local",
                    "audience": "gatehouse",
                },
            }
        )
    )
    server.start()
    return fake, server


def make_certificates() -> tuple[bytes, bytes, bytes]:
    """A CA certificate, and a certificate for this machine's loopback with its key, all PEM."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    now = datetime.now(UTC)

    def builder(name: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(ca_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(hours=1))
        )

    ca = builder(ca_name, ca_key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), key.public_key()).add_extension(
        x509.SubjectAlternativeName(names), False
    )
    pem = serialization.Encoding.PEM
    return (
        ca.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _abort(context: grpc.ServicerContext, error: Failure) -> None:
    status = status_pb2.Status(code=error.code.value[0], message=error.message)
    for detail in error.details:
        status.details.add().Pack(detail)
    if error.details:
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(error.code, error.message)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
