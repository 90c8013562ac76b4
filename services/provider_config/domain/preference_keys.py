"""The keys that a user's choices would be called with, as far as key_vault knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, assert_never

from libs.core.resource_names import KeyName
from libs.core.validation import origin_of
from services.provider_config.domain.ports import KeyCheck, KeyUsability
from services.provider_config.domain.provider import Provider

KeyUse: TypeAlias = tuple[KeyName, str]
"""A key and the origin it would be sent to."""

KeyFindings: TypeAlias = Mapping[KeyUse, KeyCheck]
"""What key_vault said of keys."""


class KeysNotAsked(Exception):
    """Since the keys were asked for, the choices have come to mean others: ask for these, and begin anew."""


def key_use(provider: Provider) -> KeyUse | None:
    """What calls to `provider` would need; None when they are made without a key."""
    key = provider.settings.key
    return None if key is None else (key, origin_of(provider.settings.base_url) or "")


def key_problem(provider: Provider, findings: KeyFindings) -> str | None:
    """Why no call can be made with the key of `provider`, and what to do about it; None when calls can be made.

    Raises KeysNotAsked.
    """
    use = key_use(provider)
    if use is None:
        return None
    found = findings.get(use)
    if found is None:
        raise KeysNotAsked
    key, origin = use
    if found.usability is not KeyUsability.USABLE:
        return f"must have a key that can be opened: {key} {_unusable(found, origin)}"
    if found.refused_by_provider:
        return (
            f"must have a key that works: the provider refused {key} when it was last used, or its credit is used up; "
            f"rotate the key or settle the account, test {provider.name}, and save again"
        )
    return None


def _unusable(found: KeyCheck, origin: str) -> str:
    match found.usability:
        case KeyUsability.MISSING:
            return "does not exist; create it and save again"
        case KeyUsability.DISABLED:
            return "is disabled; enable it and save again"
        case KeyUsability.ORIGIN_MISMATCH:
            # Not for which one: users may use the keys of their tenant and of the platform, not read them.
            return f"was entered for another address than {origin}; enter a key for that address"
        case KeyUsability.NO_VERSION:
            return "has no version in use; rotate it and save again"
        case KeyUsability.USABLE:
            return "can be opened"
        case _:
            assert_never(found.usability)
