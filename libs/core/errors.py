"""The one error tree. Transport-free: `libs/rpc/status.py` maps it to and from gRPC.

GatehouseError
├── InvalidArgument        a field of the request is wrong; names the fields
├── Unauthenticated        who is calling is not established
├── PermissionDenied       the caller may not do this, or the resource may not exist
├── NotFound               a resource the caller may see does not exist
├── AlreadyExists          the name is taken
├── FailedPrecondition     the system is not in the state the call needs; retrying alone does not help
├── Aborted                a concurrent change won; read again and retry
├── ResourceExhausted      a limit or quota; `retry_delay_s` says when it is worth trying again
├── Unavailable            something needed is down; retrying helps
├── DeadlineExceeded       time ran out
├── Cancelled              the caller went away
└── Internal               a defect; the text never holds details
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar


class ErrorKind(enum.Enum):
    """Canonical error codes; the names are those of `google.rpc.Code`."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One wrong field: `field` is its path in the request (`messages[0].role`)."""

    field: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaViolation:
    """One exceeded limit: `subject` is the quota's resource name."""

    subject: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreconditionViolation:
    """One state that stands in the way: `type` is a reason, `subject` a resource name."""

    type: str
    subject: str
    description: str


_NO_METADATA: Mapping[str, str] = MappingProxyType({})


class GatehouseError(Exception):
    """An error that is meant to reach the caller.

    `reason` is a name from the area's `error_reason.proto`; `message` is for people and must never hold a
    secret or a foreign text; everything dynamic in it is repeated in `metadata`. `domain` names the area
    (`keyvault.gatehouse`); None means the area of the service that raises it.
    """

    kind: ClassVar[ErrorKind] = ErrorKind.INTERNAL

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] = _NO_METADATA,
        domain: str | None = None,
        retry_delay_s: float | None = None,
        field_violations: tuple[FieldViolation, ...] = (),
        quota_violations: tuple[QuotaViolation, ...] = (),
        precondition_violations: tuple[PreconditionViolation, ...] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata
        self.domain = domain
        self.retry_delay_s = retry_delay_s
        self.field_violations = field_violations
        self.quota_violations = quota_violations
        self.precondition_violations = precondition_violations

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason!r}, {self.message!r})"


class InvalidArgument(GatehouseError):
    """A field of the request is wrong."""

    kind = ErrorKind.INVALID_ARGUMENT


class Unauthenticated(GatehouseError):
    """Who is calling is not established."""

    kind = ErrorKind.UNAUTHENTICATED


class PermissionDenied(GatehouseError):
    """The caller may not do this; the text is the same whether the resource exists or not."""

    kind = ErrorKind.PERMISSION_DENIED


class NotFound(GatehouseError):
    """A resource inside the caller's reach does not exist."""

    kind = ErrorKind.NOT_FOUND


class AlreadyExists(GatehouseError):
    """The name is taken."""

    kind = ErrorKind.ALREADY_EXISTS


class FailedPrecondition(GatehouseError):
    """The system is not in the state the call needs."""

    kind = ErrorKind.FAILED_PRECONDITION


class Aborted(GatehouseError):
    """A concurrent change won."""

    kind = ErrorKind.ABORTED


class ResourceExhausted(GatehouseError):
    """A limit or quota stands in the way."""

    kind = ErrorKind.RESOURCE_EXHAUSTED


class Unavailable(GatehouseError):
    """Something needed is down; a retry may help."""

    kind = ErrorKind.UNAVAILABLE


class DeadlineExceeded(GatehouseError):
    """Time ran out."""

    kind = ErrorKind.DEADLINE_EXCEEDED


class Cancelled(GatehouseError):
    """The caller went away."""

    kind = ErrorKind.CANCELLED


class Internal(GatehouseError):
    """A defect. Its text is fixed: details stay in the service's own log."""

    kind = ErrorKind.INTERNAL


ERROR_CLASSES: Mapping[ErrorKind, type[GatehouseError]] = MappingProxyType(
    {
        cls.kind: cls
        for cls in (
            InvalidArgument,
            Unauthenticated,
            PermissionDenied,
            NotFound,
            AlreadyExists,
            FailedPrecondition,
            Aborted,
            ResourceExhausted,
            Unavailable,
            DeadlineExceeded,
            Cancelled,
            Internal,
        )
    }
)
