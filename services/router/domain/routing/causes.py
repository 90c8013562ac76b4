"""The rules of selection, and what can stand in a target's way."""

from __future__ import annotations

import enum


class Rule(enum.StrEnum):
    """The rule of selection that put a target where it is, in the order they are gone by."""

    REQUEST = "request"
    EXPERIMENT = "experiment"
    PREFERENCE = "preference"
    ROUTE = "route"
    ROUTE_FALLBACK = "route_fallback"
    DEFAULT_ROUTE = "default_route"
    DEFAULT = "default"
    PRIORITY = "priority"
    PLATFORM = "platform"


class Cause(enum.StrEnum):
    """What stands in a target's way."""

    UNKNOWN_PROVIDER = "UNKNOWN_PROVIDER"
    PROVIDER_INACTIVE = "PROVIDER_INACTIVE"
    PLATFORM_NOT_ALLOWED = "PLATFORM_NOT_ALLOWED"
    NOT_IN_PROFILE = "NOT_IN_PROFILE"
    PLAN_EXCLUDED = "PLAN_EXCLUDED"
    UNSUPPORTED_TYPE = "UNSUPPORTED_TYPE"
    NO_MODEL = "NO_MODEL"
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    MODEL_DISABLED = "MODEL_DISABLED"
    NO_KEY = "NO_KEY"
    CAPABILITY_MISSING = "CAPABILITY_MISSING"
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    OUTPUT_LIMIT_EXCEEDED = "OUTPUT_LIMIT_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    COOLING_DOWN = "COOLING_DOWN"
    NOT_CHOSEN = "NOT_CHOSEN"
    KEY_UNUSABLE = "KEY_UNUSABLE"
    KEY_DISABLED = "KEY_DISABLED"
    KEY_UNREADABLE = "KEY_UNREADABLE"
    ORIGIN_MISMATCH = "ORIGIN_MISMATCH"
    VAULT_SECRET_MISSING = "VAULT_SECRET_MISSING"  # noqa: S105 - a reason, no secret
    VAULT_SECRET_DENIED = "VAULT_SECRET_DENIED"  # noqa: S105 - as above
    VAULT_SECRET_NOT_ALLOWED = "VAULT_SECRET_NOT_ALLOWED"  # noqa: S105 - as above
    PRICE_UNKNOWN = "PRICE_UNKNOWN"

    @classmethod
    def of(cls, reason: str) -> Cause:
        """The cause when a target could not be opened: the reason of key_vault or the ledger where it is known here."""
        return cls(reason) if reason in _REASONS_OF_OTHERS else cls.KEY_UNUSABLE


_REASONS_OF_OTHERS = frozenset(
    {
        Cause.KEY_DISABLED,
        Cause.KEY_UNREADABLE,
        Cause.ORIGIN_MISMATCH,
        Cause.VAULT_SECRET_MISSING,
        Cause.VAULT_SECRET_DENIED,
        Cause.VAULT_SECRET_NOT_ALLOWED,
        Cause.PRICE_UNKNOWN,
    }
)
