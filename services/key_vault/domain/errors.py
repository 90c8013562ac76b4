"""The errors this service raises itself; reasons are those of `keyvault/v1/error_reason.proto`."""

from __future__ import annotations

import enum

from libs.core.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PreconditionViolation,
    Unavailable,
)
from libs.core.resource_names import KeyName

# A sealed or restarted Vault is back in seconds, and one probe a second finds out.
_RETRY_DELAY_S = 1.0


class Reason(enum.StrEnum):
    """Values of `ErrorReason` without their prefix."""

    INVALID_FIELD = "INVALID_FIELD"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    OVERLOADED = "OVERLOADED"
    KEY_NOT_FOUND = "KEY_NOT_FOUND"
    KEY_EXISTS = "KEY_EXISTS"
    ORIGIN_MISMATCH = "ORIGIN_MISMATCH"
    KEY_UNREADABLE = "KEY_UNREADABLE"
    VAULT_SEALED = "VAULT_SEALED"
    VAULT_UNREACHABLE = "VAULT_UNREACHABLE"
    VAULT_DENIED = "VAULT_DENIED"


def invalid_field(field: str, description: str) -> InvalidArgument:
    """One wrong field."""
    return InvalidArgument(
        Reason.INVALID_FIELD,
        f"{field} {description}",
        metadata={"field": field},
        field_violations=(FieldViolation(field=field, description=description),),
    )


def permission_denied() -> PermissionDenied:
    """The caller may not use the key, whether it exists or not."""
    return PermissionDenied(Reason.PERMISSION_DENIED, "you may not do this, or the resource does not exist")


def key_not_found(name: KeyName) -> NotFound:
    """There is no such key."""
    return NotFound(Reason.KEY_NOT_FOUND, f"{name} does not exist", metadata={"name": str(name)})


def key_exists(name: KeyName) -> AlreadyExists:
    """The id is taken."""
    return AlreadyExists(Reason.KEY_EXISTS, f"{name} exists already", metadata={"name": str(name)})


def etag_mismatch(name: KeyName) -> Aborted:
    """Somebody else changed it since the caller read it."""
    return Aborted(
        Reason.ETAG_MISMATCH,
        f"{name} changed since the etag was read; read it again and retry",
        metadata={"name": str(name)},
    )


def origin_mismatch(name: KeyName, origin: str) -> FailedPrecondition:
    """The key was entered for another origin than it is about to be sent to."""
    return _unusable(
        Reason.ORIGIN_MISMATCH,
        name,
        f"{name} was entered for another origin than {origin}; enter it again as a key for that one",
        origin=origin,
    )


def key_unreadable(name: KeyName) -> FailedPrecondition:
    """The ciphertext does not open in this row."""
    return _unusable(Reason.KEY_UNREADABLE, name, f"{name} cannot be opened by Vault; enter it again")


def vault_sealed() -> Unavailable:
    """Vault has to be unsealed or initialised by its operator."""
    return Unavailable(Reason.VAULT_SEALED, "Vault is sealed; unseal it", retry_delay_s=_RETRY_DELAY_S)


def vault_unreachable() -> Unavailable:
    """Vault does not answer, is a standby, or answers what Vault would not."""
    return Unavailable(
        Reason.VAULT_UNREACHABLE, "Vault does not answer; try again shortly", retry_delay_s=_RETRY_DELAY_S
    )


def vault_denied() -> Unavailable:
    """Vault refuses this service's own login or policy. That says nothing about the caller."""
    return Unavailable(
        Reason.VAULT_DENIED,
        "Vault refuses key_vault's own login, policy or transit key; its operator must mend it",
        retry_delay_s=_RETRY_DELAY_S,
    )


def overloaded() -> Unavailable:
    """More calls wait for Vault than this service accepts."""
    return Unavailable(
        Reason.OVERLOADED, "too many calls wait for Vault; try again shortly", retry_delay_s=_RETRY_DELAY_S
    )


def _unusable(reason: Reason, name: KeyName, message: str, **metadata: str) -> FailedPrecondition:
    return FailedPrecondition(
        reason,
        message,
        metadata={"name": str(name), **metadata},
        precondition_violations=(PreconditionViolation(type=reason, subject=str(name), description=message),),
    )
