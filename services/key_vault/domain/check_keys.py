"""Saying of keys whether they could be opened, for configuration that names them. Nothing is opened for it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from libs.core.resource_names import KeyName
from services.key_vault.domain.key import Condition, KeyOutline, KeyState
from services.key_vault.domain.ports import KeyTransaction


class KeyUsability(enum.Enum):
    """Whether a key could be opened."""

    USABLE = "usable"
    MISSING = "missing"
    DISABLED = "disabled"
    ORIGIN_MISMATCH = "origin_mismatch"
    NO_VERSION = "no_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCheck:
    """A key to look at, and the normalised origin it would be sent to; None is any."""

    name: KeyName
    origin: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCheckResult:
    """What is known of a key. `origin` is the one it was entered for, empty when it does not exist.

    `refused_by_provider`: its provider refused it when it was last used, or said its credit is used up.
    """

    usability: KeyUsability
    origin: str = ""
    refused_by_provider: bool = False


def check_keys(transaction: KeyTransaction, checks: Sequence[KeyCheck]) -> list[KeyCheckResult]:
    """One result for each of `checks`, in order."""
    outlines = transaction.keys.outlines({each.name for each in checks})
    return [_result(each, outlines.get(each.name)) for each in checks]


def _result(check: KeyCheck, key: KeyOutline | None) -> KeyCheckResult:
    if key is None:
        return KeyCheckResult(usability=KeyUsability.MISSING)
    return KeyCheckResult(
        usability=_usability(check, key),
        origin=key.origin,
        refused_by_provider=key.condition in (Condition.REJECTED, Condition.EXHAUSTED),
    )


def _usability(check: KeyCheck, key: KeyOutline) -> KeyUsability:
    # What never changes comes first: a disabled key may be enabled any time, one of another origin never fits.
    if check.origin is not None and check.origin != key.origin:
        return KeyUsability.ORIGIN_MISMATCH
    if not key.has_material:
        return KeyUsability.NO_VERSION
    return KeyUsability.USABLE if key.state is KeyState.ACTIVE else KeyUsability.DISABLED
