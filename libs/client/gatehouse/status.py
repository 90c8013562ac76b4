"""From a failed gRPC call to a GatehouseError: the only place that reads `grpc-status-details-bin`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from gatehouse.advice import CERTIFICATE_REJECTED, CONNECTION_FAILED
from gatehouse.errors import (
    ERROR_CLASSES,
    FieldViolation,
    GatehouseError,
    PreconditionViolation,
    QuotaViolation,
    Unknown,
)
from gatehouse.router.v1.generation_pb2 import PartialOutcome

_DETAILS_KEY = "grpc-status-details-bin"
_CLIENT_DOMAIN = "client.gatehouse"
# What gRPC's texts hold when TLS could not be established.
_UNTRUSTED = ("certificate", "handshake", "hostname verification")

_M = TypeVar("_M", bound=Message)


class FailedCall(Protocol):
    """What the sync and the async RpcError have in common."""

    def code(self) -> grpc.StatusCode:
        """The status code."""
        ...

    def details(self) -> str | None:
        """The status message."""
        ...

    def trailing_metadata(self) -> Iterable[Any] | None:
        """What came with the status: pairs of a name and a text or bytes."""
        ...


def error_from(call: FailedCall, *, service: str, target: str, timeout: float) -> GatehouseError:
    """The error a failed call to `service` at `target` raises, `timeout` being the seconds it was given."""
    status = _status_of(call)
    info = _detail(status, error_details_pb2.ErrorInfo)
    code, message = call.code(), call.details() or ""
    if info is None:
        return _without_details(code, message, f"{service} at {target}", timeout)
    bad_request = _detail(status, error_details_pb2.BadRequest) or error_details_pb2.BadRequest()
    quota = _detail(status, error_details_pb2.QuotaFailure) or error_details_pb2.QuotaFailure()
    precondition = _detail(status, error_details_pb2.PreconditionFailure) or error_details_pb2.PreconditionFailure()
    retry = _detail(status, error_details_pb2.RetryInfo)
    request = _detail(status, error_details_pb2.RequestInfo)
    return ERROR_CLASSES.get(code.name, Unknown)(
        message,
        reason=info.reason,
        domain=info.domain,
        metadata=dict(info.metadata),
        field_violations=tuple(
            FieldViolation(field=each.field, description=each.description) for each in bad_request.field_violations
        ),
        quota_violations=tuple(
            QuotaViolation(subject=each.subject, description=each.description) for each in quota.violations
        ),
        precondition_violations=tuple(
            PreconditionViolation(type=each.type, subject=each.subject, description=each.description)
            for each in precondition.violations
        ),
        retry_after=None if retry is None else retry.retry_delay.ToNanoseconds() / 1e9,
        request_id="" if request is None else request.request_id,
        partial=_detail(status, PartialOutcome),
    )


def _status_of(call: FailedCall) -> status_pb2.Status:
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()


def _detail(status: status_pb2.Status, kind: type[_M]) -> _M | None:
    for packed in status.details:
        message = kind()
        try:
            if packed.Unpack(message):
                return message
        except DecodeError:
            return None
    return None


def _without_details(code: grpc.StatusCode, message: str, where: str, timeout: float) -> GatehouseError:
    """An error that gRPC itself made, or a server that is not Gatehouse."""
    kind = ERROR_CLASSES.get(code.name, Unknown)
    if code is grpc.StatusCode.UNAVAILABLE:
        if any(sign in message.lower() for sign in _UNTRUSTED):
            return kind(f"no trusted connection to {where}", reason=CERTIFICATE_REJECTED, domain=_CLIENT_DOMAIN)
        return kind(f"no connection to {where}", reason=CONNECTION_FAILED, domain=_CLIENT_DOMAIN)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return kind(f"no answer from {where} within {timeout:g} s", reason=code.name, domain=_CLIENT_DOMAIN)
    return kind(message or f"{where} answered {code.name}")
