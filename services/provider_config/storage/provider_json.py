"""What is stored of providers as JSON: parts of their settings, whole earlier settings, tests.

Times and durations are integer microseconds. Decoding takes what an older release left out for unset.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.core.resource_names import KeyName
from services.provider_config.domain.provider import (
    ProviderLimits,
    ProviderSettings,
    ProviderTest,
    ProviderTestOutcome,
    ProviderTimeouts,
)

_Json = dict[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def encode_limits(limits: ProviderLimits) -> _Json:
    """The limits there are, by their names."""
    return {name: value for name, value in asdict(limits).items() if value}


def decode_limits(stored: _Json) -> ProviderLimits:
    """The other way round."""
    return ProviderLimits(**stored)


def encode_timeouts(timeouts: ProviderTimeouts) -> _Json:
    """The timeouts there are, by their names."""
    return {name: value // _MICROSECOND for name, value in asdict(timeouts).items() if value is not None}


def decode_timeouts(stored: _Json) -> ProviderTimeouts:
    """The other way round."""
    return ProviderTimeouts(**{name: value * _MICROSECOND for name, value in stored.items()})


def encode_settings(settings: ProviderSettings) -> _Json:
    """All settings, by their names; the key by its resource name."""
    stored = {each.name: getattr(settings, each.name) for each in fields(settings)}
    return stored | {
        "key": None if settings.key is None else str(settings.key),
        "default_for_tasks": list(settings.default_for_tasks),
        "limits": encode_limits(settings.limits),
        "timeouts": encode_timeouts(settings.timeouts),
        "options": dict(settings.options),
        "labels": dict(settings.labels),
    }


def decode_settings(stored: _Json) -> ProviderSettings:
    """The other way round."""
    key = stored.get("key")
    changes = {
        "key": None if key is None else KeyName.parse(key),
        "default_for_tasks": tuple(stored.get("default_for_tasks", ())),
        "limits": decode_limits(stored.get("limits", {})),
        "timeouts": decode_timeouts(stored.get("timeouts", {})),
    }
    return ProviderSettings(**(stored | changes))


def encode_test(test: ProviderTest) -> _Json:
    """What a test found."""
    return {
        "time_us": (test.time - _EPOCH) // _MICROSECOND,
        "outcome": test.outcome.value,
        "message": test.message,
        "duration_us": test.duration // _MICROSECOND,
        "model_count": test.model_count,
    }


def decode_test(stored: _Json) -> ProviderTest:
    """The other way round."""
    return ProviderTest(
        time=_EPOCH + stored["time_us"] * _MICROSECOND,
        outcome=ProviderTestOutcome(stored["outcome"]),
        message=stored["message"],
        duration=stored["duration_us"] * _MICROSECOND,
        model_count=stored["model_count"],
    )
