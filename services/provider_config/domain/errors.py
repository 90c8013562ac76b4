"""The errors this service raises itself; reasons are those of `providerconfig/v1/error_reason.proto`."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from libs.core.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    PreconditionViolation,
    QuotaViolation,
    ResourceExhausted,
    Unavailable,
)
from libs.core.resource_names import ModelName, Owner, ProviderName
from services.provider_config.domain.deletions import MOST_NAMED


class Reason(enum.StrEnum):
    """Values of `ErrorReason` without their prefix."""

    INVALID_FIELD = "INVALID_FIELD"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    PROVIDER_NOT_FOUND = "PROVIDER_NOT_FOUND"
    PROVIDER_EXISTS = "PROVIDER_EXISTS"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    MODEL_EXISTS = "MODEL_EXISTS"
    PROVIDER_IN_USE = "PROVIDER_IN_USE"
    MODEL_IN_USE = "MODEL_IN_USE"
    TEST_UNDER_WAY = "TEST_UNDER_WAY"
    TEST_TOO_SOON = "TEST_TOO_SOON"
    PROVIDER_LIST_FAILED = "PROVIDER_LIST_FAILED"
    SCOPE_FULL = "SCOPE_FULL"
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"
    ROUTE_EXISTS = "ROUTE_EXISTS"
    ROUTE_IN_USE = "ROUTE_IN_USE"
    VERSION_NOT_FOUND = "VERSION_NOT_FOUND"
    PROFILE_NOT_FOUND = "PROFILE_NOT_FOUND"
    PROFILE_EXISTS = "PROFILE_EXISTS"
    TOO_MANY_PROFILES = "TOO_MANY_PROFILES"
    TOO_MANY_PROVIDERS = "TOO_MANY_PROVIDERS"
    DATABASE_BUSY = "DATABASE_BUSY"
    AUDIT_LOG_DAMAGED = "AUDIT_LOG_DAMAGED"
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


def provider_in_motion() -> Unavailable:
    """A provider changed each time while its address and key were looked at."""
    return Unavailable(
        Reason.DATABASE_BUSY,
        "the provider changed while its address and key were looked at; try again",
        retry_delay_s=0.1,
    )


def provider_exists(name: ProviderName) -> AlreadyExists:
    """The id is taken."""
    return AlreadyExists(Reason.PROVIDER_EXISTS, f"{name} exists already", metadata={"name": str(name)})


def model_not_found(name: ModelName) -> NotFound:
    """There is no such model."""
    return NotFound(Reason.MODEL_NOT_FOUND, f"{name} does not exist", metadata={"name": str(name)})


def model_exists(name: ModelName) -> AlreadyExists:
    """The id is taken."""
    return AlreadyExists(Reason.MODEL_EXISTS, f"{name} exists already", metadata={"name": str(name)})


def provider_in_use(name: ProviderName, users: Sequence[str]) -> FailedPrecondition:
    """The resources `users` name it."""
    return _in_use(Reason.PROVIDER_IN_USE, name, users)


def model_in_use(name: ModelName, users: Sequence[str]) -> FailedPrecondition:
    """The resources `users` name it."""
    return _in_use(Reason.MODEL_IN_USE, name, users)


def _in_use(reason: Reason, name: object, users: Sequence[str]) -> FailedPrecondition:
    more = f" and {len(users) - 1} more" if len(users) > 1 else ""
    return FailedPrecondition(
        reason,
        f"{name} is named by {users[0]}{more}; change them, or set force",
        metadata={"name": str(name), "count": str(len(users))},
        precondition_violations=tuple(
            PreconditionViolation(type=reason, subject=user, description=f"names {name}") for user in users[:MOST_NAMED]
        ),
    )


def version_not_found(name: object, version: int) -> NotFound:
    """The resource has no such version, or none any more."""
    return NotFound(
        Reason.VERSION_NOT_FOUND,
        f"{name} has no version {version}, or it is older than what is kept",
        metadata={"name": str(name), "version": str(version)},
    )


def etag_mismatch(name: object) -> Aborted:
    """Somebody else changed it since the caller read it."""
    return Aborted(
        Reason.ETAG_MISMATCH,
        f"{name} changed since the etag was read; read it again and retry",
        metadata={"name": str(name)},
    )


def too_many_providers(owner: Owner, most: int) -> ResourceExhausted:
    """An owner has as many providers as there can be."""
    return ResourceExhausted(
        Reason.TOO_MANY_PROVIDERS,
        f"{owner} has {most} providers, the most there can be; delete one",
        metadata={"name": str(owner), "most": str(most)},
        quota_violations=(QuotaViolation(subject=str(owner), description=f"at most {most} providers"),),
    )


def scope_full(scope: Owner, most_bytes: int) -> ResourceExhausted:
    """The configuration of a tenant with its users, or of one user, has reached its size limit."""
    whose = str(scope) if scope.user is not None else f"{scope} and its users"
    return ResourceExhausted(
        Reason.SCOPE_FULL,
        f"{whose} can have about {most_bytes // 1000} kB of configuration; delete what is not needed, or shorten its "
        "texts",
        metadata={"scope": str(scope)},
        quota_violations=(QuotaViolation(subject=str(scope), description="size of its configuration"),),
    )


def database_silent() -> Unavailable:
    """The database took too long to say what changed."""
    return Unavailable(Reason.DATABASE_UNAVAILABLE, "the provider_config database does not answer", retry_delay_s=1.0)


def internal() -> Internal:
    """A defect."""
    return Internal(Reason.INTERNAL, "internal error")
