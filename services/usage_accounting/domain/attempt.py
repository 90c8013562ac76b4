"""What is known about one attempt at a provider.

What is made for every call is a named tuple here, and times are integer microseconds since 1970 UTC: a frozen
dataclass costs three times as much to make, and this is the path of every call.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

MICROSECONDS = 1_000_000
"""Per second."""


class AttemptKey(NamedTuple):
    """Identifies an attempt, for ever. `attempt` counts from 1."""

    tenant: str
    operation_id: str
    attempt: int


class Dimensions(NamedTuple):
    """Who called whom for what; as in `usage_record.proto`. `labels` is a JSON object with sorted keys.

    `experiment` and `arm` are both empty or both set.
    """

    user: str
    provider: str
    provider_type: str
    model: str
    provider_model_id: str
    key: str
    task: str
    plan: str
    request_id: str
    labels: str
    rule: str
    experiment: str
    arm: str


class Outcome(enum.IntEnum):
    """How an attempt ended. The numbers are stored, and those of the API."""

    SUCCEEDED = 1
    FAILED = 2
    INTERRUPTED = 3
    CANCELLED = 4
    UNKNOWN = 5


class TokenSource(enum.IntEnum):
    """Where token counts come from. The numbers are stored, and those of the API."""

    REPORTED = 1
    ESTIMATED = 2


class EventKind(enum.IntEnum):
    """Why a ledger event was written. The numbers are stored, and those of the API."""

    SETTLED = 1
    LAPSED = 2
    CORRECTION = 3
