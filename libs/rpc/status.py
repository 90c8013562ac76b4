"""The one mapping between our errors and gRPC statuses, in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from libs.core.errors import (
    ERROR_CLASSES,
    Cancelled,
    ErrorKind,
    FieldViolation,
    GatehouseError,
    Internal,
    PreconditionViolation,
    QuotaViolation,
    Unavailable,
)

DETAILS_KEY = "grpc-status-details-bin"

# Clients refuse trailers over 8 KiB, and then the whole error is lost. Base64 makes the status a third larger, and the
# message travels once more beside it, percent-encoded to three times its bytes at worst.
MAX_TRAILER_BYTES = 3_072
MAX_MESSAGE_BYTES = 1_000

_NUMBERS: Mapping[ErrorKind, int] = {kind: code_pb2.Code.Value(kind.name) for kind in ErrorKind}
_KINDS: Mapping[int, ErrorKind] = {number: kind for kind, number in _NUMBERS.items()}
GRPC_CODES: Mapping[ErrorKind, grpc.StatusCode] = {kind: grpc.StatusCode[kind.name] for kind in ErrorKind}


def to_status(
    error: GatehouseError, *, domain: str, request_id: str = "", extra: Iterable[Message] = ()
) -> status_pb2.Status:
    """The status of a failed call: code, message and typed details, `extra` messages last."""
    return _status(error, domain, request_id, extra, None)


def to_trailer(
    error: GatehouseError, *, domain: str, request_id: str = "", extra: Iterable[Message] = ()
) -> status_pb2.Status:
    """`to_status`, cut to what fits into a call's trailers.

    What is too much goes in this order: the end of the message, violations from the end, then `extra` and metadata.
    """
    extra = tuple(extra)
    status = to_status(error, domain=domain, request_id=request_id, extra=extra)
    message = _cut(error.message)
    status.message = message
    if status.ByteSize() <= MAX_TRAILER_BYTES:
        return status
    most = max(len(error.field_violations), len(error.quota_violations), len(error.precondition_violations))
    while most:
        most //= 2
        status = _status(error, domain, request_id, extra, most)
        status.message = message
        if status.ByteSize() <= MAX_TRAILER_BYTES:
            return status
    bare = ERROR_CLASSES[error.kind](error.reason, message, domain=error.domain, retry_delay_s=error.retry_delay_s)
    return to_status(bare, domain=domain, request_id=request_id)


def _cut(message: str) -> str:
    raw = message.encode()
    return message if len(raw) <= MAX_MESSAGE_BYTES else raw[: MAX_MESSAGE_BYTES - 3].decode(errors="ignore") + "…"


def _status(
    error: GatehouseError, domain: str, request_id: str, extra: Iterable[Message], most: int | None
) -> status_pb2.Status:
    """`most`: how many violations of each kind, None for all."""
    status = status_pb2.Status(code=_NUMBERS[error.kind], message=error.message)
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=error.domain or domain, metadata=dict(error.metadata))
    ]
    if field_violations := error.field_violations[:most]:
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=each.field, description=each.description)
                    for each in field_violations
                ]
            )
        )
    if quota_violations := error.quota_violations[:most]:
        details.append(
            error_details_pb2.QuotaFailure(
                violations=[
                    error_details_pb2.QuotaFailure.Violation(subject=each.subject, description=each.description)
                    for each in quota_violations
                ]
            )
        )
    if precondition_violations := error.precondition_violations[:most]:
        details.append(
            error_details_pb2.PreconditionFailure(
                violations=[
                    error_details_pb2.PreconditionFailure.Violation(
                        type=each.type, subject=each.subject, description=each.description
                    )
                    for each in precondition_violations
                ]
            )
        )
    if error.retry_delay_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_delay_s * 1e9))
        details.append(retry)
    if request_id:
        details.append(error_details_pb2.RequestInfo(request_id=request_id))
    for detail in (*details, *extra):
        status.details.add().Pack(detail)
    return status


def to_item_status(error: GatehouseError, *, domain: str) -> status_pb2.Status:
    """The status of one failed item of a batch."""
    return to_status(error, domain=domain)


def from_item_status(status: status_pb2.Status) -> GatehouseError:
    """The error inside a status. Codes and details we do not know become Internal without text."""
    kind = _KINDS.get(status.code)
    info = error_details_pb2.ErrorInfo()
    if kind is None or not _unpack(status.details, info):
        return Internal("INTERNAL", "another service answered with an error of unknown shape")
    bad = error_details_pb2.BadRequest()
    quota = error_details_pb2.QuotaFailure()
    precondition = error_details_pb2.PreconditionFailure()
    retry = error_details_pb2.RetryInfo()
    _unpack(status.details, bad)
    _unpack(status.details, quota)
    _unpack(status.details, precondition)
    return ERROR_CLASSES[kind](
        info.reason,
        status.message,
        metadata=dict(info.metadata),
        domain=info.domain,
        retry_delay_s=retry.retry_delay.ToNanoseconds() / 1e9 if _unpack(status.details, retry) else None,
        field_violations=tuple(
            FieldViolation(field=each.field, description=each.description) for each in bad.field_violations
        ),
        quota_violations=tuple(
            QuotaViolation(subject=each.subject, description=each.description) for each in quota.violations
        ),
        precondition_violations=tuple(
            PreconditionViolation(type=each.type, subject=each.subject, description=each.description)
            for each in precondition.violations
        ),
    )


def from_rpc_error(error: grpc.aio.AioRpcError, *, service: str) -> GatehouseError:
    """The error another Gatehouse service answered with.

    Without our details the failure is the transport's: Cancelled, or Unavailable `SERVICE_UNREACHABLE` naming
    `service`. A refusal of this service's own identity is also Unavailable, for it says nothing about the caller.
    """
    trailers = error.trailing_metadata() or ()
    for key, value in trailers:
        if key == DETAILS_KEY:
            status = status_pb2.Status()
            try:
                status.ParseFromString(value if isinstance(value, bytes) else value.encode())
            except DecodeError:
                break
            decoded = from_item_status(status)
            if decoded.kind not in (ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED):
                return decoded
            break
    if error.code() is grpc.StatusCode.CANCELLED:
        return Cancelled("CANCELLED", "the call was cancelled")
    return Unavailable(
        "SERVICE_UNREACHABLE",
        f"{service} does not answer; try again shortly",
        metadata={"service": service},
        retry_delay_s=1.0,
    )


def _unpack(details: Iterable[Any], into: Message) -> bool:
    for detail in details:
        if detail.TypeName() == into.DESCRIPTOR.full_name:
            try:
                return bool(detail.Unpack(into))
            except DecodeError:
                return False
    return False
