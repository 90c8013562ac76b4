"""Everything a call can fail with.

GatehouseError               `code` is the canonical gRPC code, `reason` says which case of it
├── InvalidArgument          fields of the request are wrong: `field_violations`
├── Unauthenticated          the token is missing, expired or not accepted
├── PermissionDenied         not allowed, or the resource does not exist
├── NotFound                 the resource does not exist
├── AlreadyExists            the name is taken
├── FailedPrecondition       the state must change first: `precondition_violations`
├── Aborted                  somebody else changed it meanwhile; read again and retry
├── OutOfRange               past the end
├── ResourceExhausted        a quota or rate limit: `quota_violations`, `retry_after`
├── Unavailable              something needed is down; retry. After a broken stream `partial` says what was used
├── DeadlineExceeded         no answer in time
├── Cancelled                the call was cancelled
├── Unimplemented            the server is older than this client
├── DataLoss, Internal, Unknown   a defect of the server; its log has the details under `request_id`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from gatehouse.advice import advice_for

if TYPE_CHECKING:
    from gatehouse.router.v1.generation_pb2 import PartialOutcome

_NO_METADATA: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One wrong field: its path in the request (`generation.messages[0].role`) and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaViolation:
    """One exceeded limit: the quota's resource name and how it stands."""

    subject: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreconditionViolation:
    """One state in the way: a cause such as `MODEL_DISABLED`, the resource it is about, and the same for people."""

    type: str
    subject: str
    description: str


class GatehouseError(Exception):
    """A call failed.

    `reason` and `domain` identify the case (see `error_reason.proto` of the area); they are empty when the answer did
    not come from Gatehouse. `metadata` holds what varies in `message`. `retry_after` is in seconds, None when waiting
    does not help or nobody knows how long. `request_id` finds the call in the server's logs. `str()` is meant for
    people: what happened, each violation, what to do.
    """

    code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        domain: str = "",
        metadata: Mapping[str, str] = _NO_METADATA,
        field_violations: tuple[FieldViolation, ...] = (),
        quota_violations: tuple[QuotaViolation, ...] = (),
        precondition_violations: tuple[PreconditionViolation, ...] = (),
        retry_after: float | None = None,
        request_id: str = "",
        partial: PartialOutcome | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.domain = domain
        self.metadata = metadata
        self.field_violations = field_violations
        self.quota_violations = quota_violations
        self.precondition_violations = precondition_violations
        self.retry_after = retry_after
        self.request_id = request_id
        self.partial = partial

    @property
    def violations(self) -> tuple[str, ...]:
        """Every violation of any kind, one readable line each."""
        return (
            *(f"{violation.field}: {violation.description}" for violation in self.field_violations),
            *(f"{violation.subject}: {violation.description}" for violation in self.quota_violations),
            *(
                f"{violation.subject}: {violation.description} ({violation.type})"
                for violation in self.precondition_violations
            ),
        )

    @property
    def untold(self) -> tuple[str, ...]:
        """The violations for people who have read `message`: none when the only one is all it says."""
        lines = self.violations
        if len(lines) != 1:
            return lines
        told = {lines[0], lines[0].replace(": ", " ", 1), *(each.description for each in self.precondition_violations)}
        return () if self.message in told else lines

    @property
    def advice(self) -> str:
        """What to do about it, one or two sentences; empty when there is nothing to add."""
        causes = [violation.type for violation in self.precondition_violations]
        return advice_for(self.code, self.reason, self.retry_after, causes)

    def __str__(self) -> str:
        lines = [f"{self.message} ({self.reason or self.code})"]
        lines += [f"  {violation}" for violation in self.untold]
        if self.advice:
            lines.append(self.advice)
        if self.request_id:
            lines.append(f"request id: {self.request_id}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, reason={self.reason!r}, request_id={self.request_id!r})"


class InvalidArgument(GatehouseError):
    """Fields of the request are wrong."""

    code = "INVALID_ARGUMENT"


class Unauthenticated(GatehouseError):
    """The token is missing, expired or not accepted."""

    code = "UNAUTHENTICATED"


class PermissionDenied(GatehouseError):
    """Not allowed, or the resource does not exist: the answer is the same."""

    code = "PERMISSION_DENIED"


class NotFound(GatehouseError):
    """The resource does not exist."""

    code = "NOT_FOUND"


class AlreadyExists(GatehouseError):
    """The name is taken."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(GatehouseError):
    """The state of the system must change first; retrying alone does not help."""

    code = "FAILED_PRECONDITION"


class Aborted(GatehouseError):
    """Somebody else changed it meanwhile."""

    code = "ABORTED"


class OutOfRange(GatehouseError):
    """Past the end."""

    code = "OUT_OF_RANGE"


class ResourceExhausted(GatehouseError):
    """A quota or a rate limit stands in the way."""

    code = "RESOURCE_EXHAUSTED"


class Unavailable(GatehouseError):
    """Something needed is down; a retry may help."""

    code = "UNAVAILABLE"


class DeadlineExceeded(GatehouseError):
    """No answer in time. The call may have been made and charged all the same."""

    code = "DEADLINE_EXCEEDED"


class Cancelled(GatehouseError):
    """The call was cancelled."""

    code = "CANCELLED"


class Unimplemented(GatehouseError):
    """The server does not know the method."""

    code = "UNIMPLEMENTED"


class DataLoss(GatehouseError):
    """The server lost data."""

    code = "DATA_LOSS"


class Internal(GatehouseError):
    """A defect of the server."""

    code = "INTERNAL"


class Unknown(GatehouseError):
    """The server failed without saying how."""

    code = "UNKNOWN"


ERROR_CLASSES: Mapping[str, type[GatehouseError]] = MappingProxyType(
    {
        error.code: error
        for error in (
            InvalidArgument,
            Unauthenticated,
            PermissionDenied,
            NotFound,
            AlreadyExists,
            FailedPrecondition,
            Aborted,
            OutOfRange,
            ResourceExhausted,
            Unavailable,
            DeadlineExceeded,
            Cancelled,
            Unimplemented,
            DataLoss,
            Internal,
            Unknown,
        )
    }
)
