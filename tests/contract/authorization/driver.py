"""Calls through the real interceptor chain as it is registered in production, without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Never, cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from deploy.local.issuer import AUDIENCE, ISSUER
from libs.identity.freshness import Freshness
from libs.identity.jwks_file import JwksFile
from libs.identity.tokens import TokenVerifier
from libs.rpc import chain as chain_module
from libs.rpc.denials import Denial
from libs.rpc.registration import Registrar
from libs.rpc.status import DETAILS_KEY
from libs.telemetry.telemetry import silent
from tests.contract.authorization.callers import Caller, Tokens, auth_context
from tests.contract.authorization.cases import METHODS
from tests.contract.authorization.documented import DENIED, FRESH, RAN, UNAUTHENTICATED, wrong
from tests.contract.authorization.recording import Ran, recording_servicers
from tests.identities import Identities, Metadata

DENIAL = "you may not do this, or the resource does not exist"
MAX_AGE_S = 900.0
ADDRESS = "192.0.2.7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call ended: `outcome` in the words of `documented`, and the messages that reached the servicer."""

    outcome: str
    received: tuple[Message, ...]
    denials: tuple[Denial, ...]


class Refused(grpc.aio.AbortError):
    """The chain aborted the call."""

    def __init__(self, code: grpc.StatusCode, status: status_pb2.Status) -> None:
        super().__init__()
        self.outcome = outcome_of(code, status)


def outcome_of(code: grpc.StatusCode, status: status_pb2.Status) -> str:
    """A status in the words of `documented`; anything it has no word for as it is."""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        detail.Unpack(info)
    match code, info.reason:
        case grpc.StatusCode.UNAUTHENTICATED, "FRESH_AUTHENTICATION_REQUIRED":
            return FRESH
        case grpc.StatusCode.UNAUTHENTICATED, _:
            return UNAUTHENTICATED
        case grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED" if status.message == DENIAL and not info.metadata:
            return DENIED
        case grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD":
            return wrong(info.metadata["field"])
        case _:
            return f"{code.name} {info.reason}: {status.message}"


class _Context:
    """As much of gRPC's context as the chain looks at."""

    def __init__(self, caller: Caller, metadata: Metadata) -> None:
        self._caller = caller
        self._metadata = metadata

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return auth_context(self._caller)

    def time_remaining(self) -> None:
        return None

    def peer(self) -> str:
        return f"ipv4:{ADDRESS}:4711"

    async def write(self, _: bytes) -> None:
        pass

    async def abort(self, code: grpc.StatusCode, _: str, trailers: tuple[tuple[str, bytes], ...]) -> Never:
        status = status_pb2.Status()
        status.ParseFromString(dict(trailers)[DETAILS_KEY])
        raise Refused(code, status)


class House:
    """Every service of the API behind the chain. `demands_mfa`: the deployment asks for fresh MFA."""

    def __init__(self, identities: Identities, tokens: Tokens, *, demands_mfa: bool) -> None:
        self._tokens = tokens
        self._ran: Ran = []
        self._denials: list[Denial] = []
        registrar = Registrar(
            chain_module.chain(
                telemetry=silent(),
                verifier=TokenVerifier(JwksFile(identities.layout.jwks), issuer=ISSUER, audience=AUDIENCE),
                domain="test.gatehouse",
                details=lambda _: (),
                freshness=Freshness(max_age_s=MAX_AGE_S) if demands_mfa else None,
                denied=self._denied,
            ),
            longest_s={},
            default_s=60.0,
        )
        for register, servicer in recording_servicers(self._ran):
            registrar.add(register, servicer)
        registrar.install(cast(grpc.aio.Server, self))
        self._streams_requests = {name for name, method in METHODS.items() if method.client_streaming}
        self._behaviours = {name: self._behaviour(name) for name in METHODS}

    def add_generic_rpc_handlers(self, handlers: tuple[grpc.GenericRpcHandler, ...]) -> None:
        """Called by the registrar, which takes this for the server."""
        self._handlers = handlers

    async def call(self, method: str, caller: Caller, data: bytes, more: Metadata = ()) -> Ended:
        """How a call with these bytes ends, with the metadata `more` besides the caller's token."""
        self._ran.clear()
        self._denials.clear()
        context = _Context(caller, (*more, *self._tokens.of(caller)))
        try:
            await self._behaviours[method](_once(data) if method in self._streams_requests else data, context)
            outcome = RAN
        except Refused as refused:
            outcome = refused.outcome
        assert all(name == method for name, _ in self._ran)
        return Ended(outcome=outcome, received=tuple(message for _, message in self._ran), denials=tuple(self._denials))

    async def _denied(self, denial: Denial) -> None:
        self._denials.append(denial)

    def _behaviour(self, method: str) -> Callable[[object, object], Any]:
        details = cast(grpc.HandlerCallDetails, SimpleNamespace(method=method, invocation_metadata=()))
        handler: Any = next(found for each in self._handlers if (found := each.service(details)) is not None)
        shapes = (handler.unary_unary, handler.unary_stream, handler.stream_unary, handler.stream_stream)
        behaviour: Callable[[object, object], Any] = next(shape for shape in shapes if shape is not None)
        return behaviour


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
