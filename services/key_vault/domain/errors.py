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
    KEY_DISABLED = "KEY_DISABLED"
    KEY_UNCHANGED = "KEY_UNCHANGED"
    KEY_VERSION_NOT_FOUND = "KEY_VERSION_NOT_FOUND"
    KEY_VERSION_IN_USE = "KEY_VERSION_IN_USE"
    KEY_VERSION_DESTROYED = "KEY_VERSION_DESTROYED"
    KEY_VERSION_RETIRED = "KEY_VERSION_RETIRED"
    AUDIT_LOG_DAMAGED = "AUDIT_LOG_DAMAGED"
    AUDIT_ANCHORS_UNREADABLE = "AUDIT_ANCHORS_UNREADABLE"
    VAULT_SECRET_NOT_ALLOWED = "VAULT_SECRET_NOT_ALLOWED"  # noqa: S105 - the name of a reason
    VAULT_SECRET_MISSING = "VAULT_SECRET_MISSING"  # noqa: S105 - the name of a reason
    VAULT_SECRET_DENIED = "VAULT_SECRET_DENIED"  # noqa: S105 - the name of a reason
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


def key_disabled(name: KeyName) -> FailedPrecondition:
    """Its owner took it out of use."""
    return _unusable(Reason.KEY_DISABLED, name, f"{name} is disabled; enable it or use another key")


def key_unchanged(name: KeyName) -> FailedPrecondition:
    """The new material is the old one."""
    return _unusable(
        Reason.KEY_UNCHANGED, name, f"this is the material that {name} has already; make a new key at the provider"
    )


def key_version_not_found(name: KeyName, version: int) -> NotFound:
    """There is no such version, or no longer."""
    return NotFound(
        Reason.KEY_VERSION_NOT_FOUND,
        f"{name} has no version {version}; read the key to see which it has",
        metadata={"name": str(name), "version": str(version)},
    )


def key_version_in_use(name: KeyName, version: int) -> FailedPrecondition:
    """It is the current one."""
    return _unusable(
        Reason.KEY_VERSION_IN_USE,
        name,
        f"version {version} of {name} is in use; rotate or delete the key to be rid of it",
        version=str(version),
    )


def key_version_destroyed(name: KeyName, version: int) -> FailedPrecondition:
    """Its material is gone for ever."""
    return _unusable(
        Reason.KEY_VERSION_DESTROYED,
        name,
        f"version {version} of {name} was destroyed; enter the key again by rotating",
        version=str(version),
    )


def key_version_retired(name: KeyName, version: int) -> FailedPrecondition:
    """It was replaced and its overlap is over, or it is gone, perhaps with its key."""
    return _unusable(
        Reason.KEY_VERSION_RETIRED,
        name,
        f"version {version} of {name} is not usable any more: it was replaced, or is gone",
        version=str(version),
    )


def vault_secret_not_allowed(secret_id: str) -> FailedPrecondition:
    """The operator's mapping does not have it for this owner. The same whether others may use it or not."""
    return _unusable_secret(
        Reason.VAULT_SECRET_NOT_ALLOWED,
        secret_id,
        f"the Vault secret {secret_id} is not allowed for this owner; the operator of Gatehouse can allow it",
    )


def vault_secret_missing(secret_id: str) -> FailedPrecondition:
    """There is no such secret, version or field, or what it holds is no text."""
    return _unusable_secret(
        Reason.VAULT_SECRET_MISSING,
        secret_id,
        f"Vault holds no provider key where the secret {secret_id} points to; store it there, or name another version",
    )


def vault_secret_denied(secret_id: str) -> FailedPrecondition:
    """Vault's policy does not let this service read it. Other secrets may be fine."""
    return _unusable_secret(
        Reason.VAULT_SECRET_DENIED,
        secret_id,
        f"Vault does not let key_vault read the secret {secret_id}; the operator must allow it in Vault's policy",
    )


def audit_anchors_unreadable() -> Unavailable:
    """The place of the anchors cannot be read, so nothing can be held against them."""
    return Unavailable(
        Reason.AUDIT_ANCHORS_UNREADABLE,
        "the anchors of the audit logs cannot be read; whoever runs Gatehouse must look at KEY_VAULT_AUDIT_ANCHOR_FILE",
    )


def vault_sealed() -> Unavailable:
    """Vault has to be unsealed or initialised by its operator."""
    return Unavailable(Reason.VAULT_SEALED, "Vault is sealed; unseal it", retry_delay_s=_RETRY_DELAY_S)


def vault_unreachable() -> Unavailable:
    """Vault does not answer, is a standby, or answers what Vault would not."""
    return Unavailable(
        Reason.VAULT_UNREACHABLE, "Vault does not answer; try again shortly", retry_delay_s=_RETRY_DELAY_S
    )


def vault_throttled() -> Unavailable:
    """A rate-limit quota of Vault is used up."""
    return Unavailable(
        Reason.VAULT_UNREACHABLE,
        "Vault's rate-limit quota lets no more calls through; try again shortly, or have its operator raise the quota",
        retry_delay_s=_RETRY_DELAY_S,
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


def _unusable_secret(reason: Reason, secret_id: str, message: str) -> FailedPrecondition:
    return FailedPrecondition(
        reason,
        message,
        metadata={"vault_secret": secret_id},
        precondition_violations=(PreconditionViolation(type=reason, subject=secret_id, description=message),),
    )
