"""The errors this service raises itself; reasons are those of `providerconfig/v1/error_reason.proto`."""

from __future__ import annotations

import enum

from libs.core.errors import (
    Aborted,
    AlreadyExists,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    QuotaViolation,
    ResourceExhausted,
    Unavailable,
)
from libs.core.resource_names import ModelName, Owner, ProviderName


class Reason(enum.StrEnum):
    """Values of `ErrorReason` without their prefix."""

    INVALID_FIELD = "INVALID_FIELD"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    PROVIDER_NOT_FOUND = "PROVIDER_NOT_FOUND"
    PROVIDER_EXISTS = "PROVIDER_EXISTS"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    MODEL_EXISTS = "MODEL_EXISTS"
    SCOPE_FULL = "SCOPE_FULL"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    INTERNAL = "INTERNAL"


def invalid_field(field: str, description: str) -> InvalidArgument:
    """One wrong field."""
    return InvalidArgument(
        Reason.INVALID_FIELD,
        f"{field} {description}",
        metadata={"field": field},
        field_violations=(FieldViolation(field=field, description=description),),
    )


def provider_not_found(name: ProviderName) -> NotFound:
    """There is no such provider."""
    return NotFound(Reason.PROVIDER_NOT_FOUND, f"{name} does not exist", metadata={"name": str(name)})


def provider_exists(name: ProviderName) -> AlreadyExists:
    """The id is taken."""
    return AlreadyExists(Reason.PROVIDER_EXISTS, f"{name} exists already", metadata={"name": str(name)})


def model_not_found(name: ModelName) -> NotFound:
    """There is no such model."""
    return NotFound(Reason.MODEL_NOT_FOUND, f"{name} does not exist", metadata={"name": str(name)})


def model_exists(name: ModelName) -> AlreadyExists:
    """The id is taken."""
    return AlreadyExists(Reason.MODEL_EXISTS, f"{name} exists already", metadata={"name": str(name)})


def etag_mismatch(name: ProviderName | ModelName) -> Aborted:
    """Somebody else changed it since the caller read it."""
    return Aborted(
        Reason.ETAG_MISMATCH,
        f"{name} changed since the etag was read; read it again and retry",
        metadata={"name": str(name)},
    )


def scope_full(scope: Owner, most_bytes: int) -> ResourceExhausted:
    """A tenant's configuration has reached its size limit."""
    return ResourceExhausted(
        Reason.SCOPE_FULL,
        f"{scope} and its users hold about {most_bytes // 1000} kB of providers and models, the most there can be; "
        "delete some, or shorten their texts",
        metadata={"scope": str(scope)},
        quota_violations=(QuotaViolation(subject=str(scope), description="size of its configuration"),),
    )


def database_silent() -> Unavailable:
    """The database took too long to say what changed."""
    return Unavailable(Reason.DATABASE_UNAVAILABLE, "the provider_config database does not answer", retry_delay_s=1.0)


def internal() -> Internal:
    """A defect."""
    return Internal(Reason.INTERNAL, "internal error")
