"""The errors this service raises itself; reasons are those of `usage/v1/error_reason.proto`."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from libs.core.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PreconditionViolation,
    QuotaViolation,
    ResourceExhausted,
)
from libs.core.resource_names import QuotaName
from services.usage_accounting.domain.attempt import MICROSECONDS, AttemptKey
from services.usage_accounting.domain.quota import QuotaMetric, QuotaState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Reason(enum.StrEnum):
    """Values of `ErrorReason` without their prefix."""

    INVALID_FIELD = "INVALID_FIELD"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    PRICE_UNKNOWN = "PRICE_UNKNOWN"
    RESERVATION_EXISTS = "RESERVATION_EXISTS"
    RESERVATION_NOT_FOUND = "RESERVATION_NOT_FOUND"
    QUOTA_NOT_FOUND = "QUOTA_NOT_FOUND"
    QUOTA_EXISTS = "QUOTA_EXISTS"


def invalid_field(field: str, description: str) -> InvalidArgument:
    """One wrong field."""
    return InvalidArgument(
        Reason.INVALID_FIELD,
        f"{field} {description}",
        metadata={"field": field},
        field_violations=(FieldViolation(field=field, description=description),),
    )


def quota_exceeded(exceeded: Sequence[QuotaState], amounts: Sequence[int], *, now_us: int) -> ResourceExhausted:
    """The attempt could exceed these quotas, by asking for these amounts of them.

    The metadata and the delay are those of the quota whose window resets last: before that no retry helps.
    """
    binding = max(exceeded, key=lambda state: state.reset_us)
    reset_time = rfc3339(binding.reset_us)
    return ResourceExhausted(
        Reason.QUOTA_EXCEEDED,
        f"the call could exceed {binding.quota.name}, which resets at {reset_time}"
        + (f" (and {len(exceeded) - 1} more)" if len(exceeded) > 1 else ""),
        metadata={
            "quota": str(binding.quota.name),
            "limit": str(binding.quota.limit),
            "used": str(binding.use.used),
            "held": str(binding.use.held),
            "reset_time": reset_time,
        },
        retry_delay_s=max(0, binding.reset_us - now_us) / MICROSECONDS,
        quota_violations=tuple(
            QuotaViolation(subject=str(state.quota.name), description=_excess(state, amount))
            for state, amount in zip(exceeded, amounts, strict=True)
        ),
    )


def price_unknown(model: str, quota: QuotaName) -> FailedPrecondition:
    """A cost quota applies and nobody knows what the model costs. `model` is its resource name."""
    description = f"{quota} limits cost, and {model} has no known price: set one on the model"
    return FailedPrecondition(
        Reason.PRICE_UNKNOWN,
        description,
        metadata={"model": model, "quota": str(quota)},
        precondition_violations=(
            PreconditionViolation(type=Reason.PRICE_UNKNOWN, subject=model, description=description),
        ),
    )


def reservation_exists(key: AttemptKey, *, settled: bool) -> AlreadyExists:
    """The attempt is known already."""
    how = "is in the ledger" if settled else "was reserved with other values"
    return AlreadyExists(
        Reason.RESERVATION_EXISTS,
        f"attempt {key.attempt} of {key.operation_id} {how}",
        metadata={"operation_id": key.operation_id, "attempt": str(key.attempt)},
    )


def reservation_not_found(key: AttemptKey) -> NotFound:
    """The attempt was never reserved, or was released."""
    return NotFound(
        Reason.RESERVATION_NOT_FOUND,
        f"attempt {key.attempt} of {key.operation_id} was never reserved",
        metadata={"operation_id": key.operation_id, "attempt": str(key.attempt)},
    )


def quota_not_found(name: QuotaName) -> NotFound:
    """There is no such quota."""
    return NotFound(Reason.QUOTA_NOT_FOUND, f"{name} does not exist", metadata={"name": str(name)})


def quota_exists(name: QuotaName) -> AlreadyExists:
    """The id is taken."""
    return AlreadyExists(Reason.QUOTA_EXISTS, f"{name} exists already", metadata={"name": str(name)})


def etag_mismatch(name: QuotaName) -> Aborted:
    """Somebody else changed it since the caller read it."""
    return Aborted(
        Reason.ETAG_MISMATCH,
        f"{name} changed since the etag was read; read it again and retry",
        metadata={"name": str(name)},
    )


def rfc3339(instant_us: int) -> str:
    """Microseconds since 1970 as a UTC time."""
    return (_EPOCH + timedelta(microseconds=instant_us)).isoformat().replace("+00:00", "Z")


def _excess(state: QuotaState, amount: int) -> str:
    unit = "tokens" if state.quota.metric is QuotaMetric.TOKENS else "nano-USD"
    return (
        f"the call could use {amount} {unit}; of {state.quota.limit}, {state.use.used} are used "
        f"and {state.use.held} held by calls under way"
    )
