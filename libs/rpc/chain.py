"""The interceptor chain: every method of every service runs through these links, in this order.

A link wraps the next one once, when a service is registered, not once per call. Streams run through the same links
as unary calls: the innermost link writes the events, so a link costs nothing per event.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

import grpc
from google.protobuf.message import DecodeError, Message
from opentelemetry import context as otel_context
from opentelemetry.trace import SpanKind, Status, StatusCode, use_span

from libs.core.errors import (
    DeadlineExceeded,
    ErrorKind,
    FieldViolation,
    GatehouseError,
    Internal,
    InvalidArgument,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from libs.identity.caller import Caller
from libs.identity.freshness import Freshness
from libs.identity.peers import peer_service
from libs.identity.permissions import authorize, resource_named
from libs.identity.tokens import TokenVerifier, bearer_token
from libs.rpc.context import RequestContext, enter
from libs.rpc.denials import DenialHook, record
from libs.rpc.status import DETAILS_KEY, GRPC_CODES, to_trailer
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from libs.telemetry.telemetry import Telemetry
from libs.telemetry.trace_context import extract

_log = get_logger(__name__)
_WAY_BACK_SHARE = 0.05
_WAY_BACK_MOST_S = 0.05
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(slots=True, kw_only=True)
class Method:
    """A registered method."""

    name: str
    longest_s: float
    """Calls without a deadline, or with a longer one, are cut off after this time."""
    decode: Callable[[bytes], Message]
    streams_requests: bool


@dataclass(slots=True, kw_only=True)
class Call:
    """One call on its way through the chain."""

    method: Method
    context: grpc.aio.ServicerContext[Message, Message]
    request: object
    """The message, or the iterator of messages of a client stream; bytes until the chain has decoded them."""
    info: RequestContext | None = None
    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""


Next = Callable[[Call], Awaitable[object]]
Link = Callable[[Next], Next]
ErrorDetails = Callable[[GatehouseError], Sequence[Message]]
"""The typed details a service adds to its own errors."""


def chain(
    *,
    telemetry: Telemetry,
    verifier: TokenVerifier,
    domain: str,
    details: ErrorDetails,
    freshness: Freshness | None = None,
    denied: DenialHook | None = None,
) -> tuple[tuple[str, Link], ...]:
    """The links, outermost first. The order is part of the contract: see each link's reason."""
    return (
        # Sees the final status, also of calls that are refused.
        ("telemetry", _telemetry(telemetry)),
        # Everything below can name the request.
        ("request context", _request_context),
        # Everything below raises our errors; nothing else leaves.
        ("errors", _errors(domain, details)),
        # Also bounds the verification of a token.
        ("deadline", _deadline),
        # No byte of a stranger's message is decoded.
        ("authentication", _authentication(verifier)),
        # What goes wrong in it answers like any other error and tells nothing of the inside.
        ("decoding", _decoding),
        # Last, for it reads the request: nothing of the servicer runs for a caller who may not.
        ("authorization", _authorization(freshness, denied)),
    )


def wrapped(links: tuple[tuple[str, Link], ...], innermost: Next) -> Next:
    """`innermost` inside all links."""
    head = innermost
    for _, link in reversed(links):
        head = link(head)
    return head


def _telemetry(telemetry: Telemetry) -> Link:
    def link(following: Next) -> Next:
        if not telemetry.enabled:
            return following

        async def measured(call: Call) -> object:
            started = time.monotonic()
            name = call.method.name.lstrip("/")
            attributes = {names.ATTR_RPC_SYSTEM: names.RPC_SYSTEM_GRPC, names.ATTR_RPC_METHOD: name}
            parent = extract(call.context.invocation_metadata() or ())
            span = telemetry.tracer.start_span(
                name, context=parent or otel_context.Context(), kind=SpanKind.SERVER, attributes=attributes
            )
            try:
                with use_span(span, record_exception=False, set_status_on_exception=False):
                    return await following(call)
            except asyncio.CancelledError:
                call.code = grpc.StatusCode.CANCELLED
                raise
            finally:
                attributes[names.ATTR_RPC_STATUS] = call.code.name
                if call.reason:
                    attributes[names.ATTR_ERROR_TYPE] = call.reason
                    span.set_status(Status(StatusCode.ERROR))
                span.set_attributes(attributes)
                span.end()
                telemetry.instruments.rpc_duration.record(time.monotonic() - started, attributes)

        return measured

    return link


def _request_context(following: Next) -> Next:
    async def identified(call: Call) -> object:
        metadata = {key: value for key, value in call.context.invocation_metadata() or () if isinstance(value, str)}
        request_id = metadata.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = os.urandom(16).hex()
        now = time.monotonic()
        remaining: float | None = call.context.time_remaining()
        longest = call.method.longest_s
        call.info = RequestContext(
            method=call.method.name,
            request_id=request_id,
            peer=call.context.peer(),
            metadata=metadata,
            arrived=now,
            deadline=now + (longest if remaining is None else min(_time_to_work(remaining), longest)),
        )
        enter(call.info)
        return await following(call)

    return identified


def _time_to_work(remaining_s: float) -> float:
    """Short of the caller's deadline by what the answer needs to arrive: after it, all the caller knows is the time."""
    return remaining_s - min(remaining_s * _WAY_BACK_SHARE, _WAY_BACK_MOST_S)


def _errors(domain: str, details: ErrorDetails) -> Link:
    def link(following: Next) -> Next:
        async def translated(call: Call) -> object:
            try:
                return await following(call)
            except GatehouseError as error:
                failure = error
            except (asyncio.CancelledError, grpc.aio.AbortError, GeneratorExit):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, its text must not reach the caller
                # gRPC's own error for a connection that broke while a message was being written.
                if type(error).__name__ == "ExecuteBatchError":
                    raise asyncio.CancelledError from None
                failure = _crashed(call, error)
            await _abort(call, failure, domain, details)
            raise AssertionError("abort returned")

        return translated

    return link


def _crashed(call: Call, error: Exception) -> Internal:
    info = _info(call)
    _log.error(names.EVENT_RPC_CRASHED, exc_info=error, method=info.method, request_id=info.request_id)
    return Internal("INTERNAL", "an internal error occurred; its request id leads to the log")


async def _abort(call: Call, error: GatehouseError, domain: str, details: ErrorDetails) -> None:
    info = _info(call)
    try:
        status = to_trailer(error, domain=domain, request_id=info.request_id, extra=details(error))
    except Exception as broken:  # noqa: BLE001 - an error that cannot be encoded is a defect like any other
        error = _crashed(call, broken)
        status = to_trailer(error, domain=domain, request_id=info.request_id)
    call.code = GRPC_CODES[error.kind]
    call.reason = error.reason
    level = _log.warning if error.kind is ErrorKind.UNAVAILABLE else _log.debug
    level(
        names.EVENT_RPC_FINISHED,
        method=info.method,
        code=call.code.name,
        reason=error.reason,
        request_id=info.request_id,
    )
    await call.context.abort(call.code, status.message, ((DETAILS_KEY, status.SerializeToString()),))


def _deadline(following: Next) -> Next:
    async def bounded(call: Call) -> object:
        limit = asyncio.timeout(_info(call).remaining_s())
        try:
            async with limit:
                return await following(call)
        except TimeoutError:
            if not limit.expired():
                # Somebody else's timer, and not expected by who set it.
                raise
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "the deadline passed before the work was done") from None

    return bounded


def _authentication(verifier: TokenVerifier) -> Link:
    def link(following: Next) -> Next:
        async def authenticated(call: Call) -> object:
            info = _info(call)
            info.established = await _caller(verifier, call, info)
            return await following(call)

        return authenticated

    return link


def _decoding(following: Next) -> Next:
    async def decoded(call: Call) -> object:
        decode = call.method.decode
        if call.method.streams_requests:
            call.request = _messages(decode, cast(AsyncIterator[bytes], call.request))
        else:
            try:
                call.request = decode(cast(bytes, call.request))
            except DecodeError:
                raise _not_a_message() from None
        return await following(call)

    return decoded


async def _messages(decode: Callable[[bytes], Message], raw: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    async for data in raw:
        try:
            message = decode(data)
        except DecodeError:
            raise _not_a_message() from None
        yield message


def _not_a_message() -> InvalidArgument:
    description = "is not a message of the method's request type"
    return InvalidArgument(
        "INVALID_FIELD",
        f"the request {description}",
        metadata={"field": "request"},
        field_violations=(FieldViolation(field="request", description=description),),
    )


def _authorization(freshness: Freshness | None, denied: DenialHook | None) -> Link:
    def link(following: Next) -> Next:
        async def authorized(call: Call) -> object:
            info = _info(call)
            resource = resource_named(info.method, call.request)
            try:
                authorize(info.method, info.caller, resource, freshness)
            except (PermissionDenied, Unauthenticated) as refusal:
                if denied is not None:
                    await record(denied, info, resource=resource, reason=refusal.reason)
                raise
            return await following(call)

        return authorized

    return link


async def _caller(verifier: TokenVerifier, call: Call, info: RequestContext) -> Caller:
    # The token leaves the metadata here: nothing further in can log or forward it by accident.
    authorization = info.metadata.pop("authorization", None)
    if authorization is None:
        # A certificate alone is an identity; a token beside it is the caller's own word and wins.
        service = peer_service(call.context.auth_context())
        if service is not None:
            return Caller(service=service)
    token = bearer_token(authorization)
    try:
        return verifier.recall(token) or await verifier.verify(token)
    except (Unauthenticated, Unavailable) as error:
        _log.info(names.EVENT_RPC_FINISHED, method=info.method, reason=error.reason, request_id=info.request_id)
        raise


def _info(call: Call) -> RequestContext:
    return cast(RequestContext, call.info)
