"""How providers took keys: merged reports, the condition they make, and what the owner is told."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.core.resource_names import KeyName
from services.key_vault.domain.key import Condition, KeyStatus

CLOCK_DIFFERENCE = timedelta(minutes=5)
"""As far as the clocks of two machines may be apart."""
QUIET = timedelta(hours=1)
"""A version that flaps is told of once within this time, not each time."""


class NotificationType(enum.StrEnum):
    """What happened to a key."""

    REJECTED = "rejected"
    EXHAUSTED = "exhausted"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOutcome:
    """What a router reports of one version since its last report. Times are UTC."""

    name: KeyName
    version: int
    last_use_time: datetime
    last_success_time: datetime | None = None
    last_rejection_time: datetime | None = None
    last_exhaustion_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNotification:
    """Something the owner of a key should know."""

    uid: str
    key: KeyName
    version: int
    type: NotificationType
    create_time: datetime


def credible(outcome: KeyOutcome, *, since: datetime, now: datetime) -> KeyOutcome:
    """`outcome` without what cannot be about a version in use `since` then, and without times from the future.

    A late report may be about another key that had the name before; a router's clock may be wrong by years.
    """

    def bounded(time: datetime | None) -> datetime | None:
        return None if time is None or time < since else min(time, now + CLOCK_DIFFERENCE)

    return replace(
        outcome,
        last_use_time=min(outcome.last_use_time, now + CLOCK_DIFFERENCE),
        last_success_time=bounded(outcome.last_success_time),
        last_rejection_time=bounded(outcome.last_rejection_time),
        last_exhaustion_time=bounded(outcome.last_exhaustion_time),
    )


def merged(status: KeyStatus, outcome: KeyOutcome, *, is_current: bool, now: datetime) -> KeyStatus:
    """`status` with `outcome` taken in: the same whatever the order of reports, and however often one comes.

    Only `condition_time` is that of the report, taken in at `now`, that changed the condition. A report about a version
    that is not in use tells when the key was used and nothing about the one in use.
    """
    status = replace(status, last_use_time=_later(status.last_use_time, outcome.last_use_time))
    if not is_current:
        return status
    status = replace(
        status,
        last_success_time=_later(status.last_success_time, outcome.last_success_time),
        last_rejection_time=_later(status.last_rejection_time, outcome.last_rejection_time),
        last_exhaustion_time=_later(status.last_exhaustion_time, outcome.last_exhaustion_time),
    )
    condition = _condition(status)
    return status if condition is status.condition else replace(status, condition=condition, condition_time=now)


def notification_type(before: Condition, after: Condition) -> NotificationType | None:
    """What a change of the condition is told as, None when it is nothing to tell."""
    match (before, after):
        case (_, Condition.REJECTED) if before is not after:
            return NotificationType.REJECTED
        case (_, Condition.EXHAUSTED) if before is not after:
            return NotificationType.EXHAUSTED
        case (Condition.REJECTED | Condition.EXHAUSTED, Condition.WORKING):
            return NotificationType.RECOVERED
    return None


def _condition(status: KeyStatus) -> Condition:
    accepted = status.last_success_time
    rejected, exhausted = status.last_rejection_time, status.last_exhaustion_time
    # A success counts from when its call was sent: one that was under way when the key was refused proves nothing.
    if rejected is not None and (accepted is None or accepted <= rejected):
        if exhausted is None or exhausted <= rejected:
            return Condition.REJECTED
        return Condition.EXHAUSTED
    if exhausted is not None and (accepted is None or accepted <= exhausted):
        return Condition.EXHAUSTED
    return Condition.UNKNOWN if accepted is None else Condition.WORKING


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)
