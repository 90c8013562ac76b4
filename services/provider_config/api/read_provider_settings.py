"""The settings in a provider's message as a domain value; all wrong fields are reported at once."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from datetime import timedelta

from gatehouse.providerconfig.v1 import provider_pb2
from google.protobuf.duration_pb2 import Duration

from libs.core.resource_names import ID_RULE, KeyName, Owner, is_id
from libs.core.validation import FieldChecks
from services.provider_config.api.provider_options import options_in
from services.provider_config.api.read_common import check_texts
from services.provider_config.api.read_names import name_in
from services.provider_config.domain.provider import (
    DEFAULT_PRIORITY,
    ProviderLimits,
    ProviderSettings,
    ProviderTimeouts,
)
from services.provider_config.domain.provider_rules import ProviderRules

MUTABLE = frozenset(each.name for each in fields(ProviderSettings))
"""The fields of a provider that can be changed."""

_MAX_URL = 2048
_MAX_TASKS = 32
_NUMBERS = {
    "priority": (0, 1000),
    "weight": (0, 1_000_000),
    "max_retries": (0, 10),
    "default_temperature": (0, 2),
    "default_max_output_tokens": (1, 10_000_000),
}
_MAX_LIMITS = {
    "requests_per_minute": 10_000_000,
    "tokens_per_minute": 10_000_000_000,
    "concurrent_requests": 100_000,
}
_LEAST_TIMEOUT = timedelta(milliseconds=10)
_MOST_TIMEOUT = timedelta(days=1)
_NANOS = 1_000_000_000


def settings_in(
    check: FieldChecks,
    provider: provider_pb2.Provider,
    wanted: AbstractSet[str],
    *,
    owner: Owner | None,
    rules: ProviderRules,
) -> ProviderSettings:
    """The settings in `provider`; only those `wanted` are checked, the others are of no use."""
    check_texts(check, "provider", provider, wanted)
    if "base_url" in wanted:
        _check_url(check, provider.base_url, rules)
    key = _key(check, provider.key, owner) if "key" in wanted else None
    if "default_model" in wanted:
        wrong = provider.default_model and not is_id(provider.default_model)
        check.that(not wrong, "provider.default_model", f"must be empty or a model's id: {ID_RULE}")
    given = {descriptor.name for descriptor, _ in provider.ListFields()}
    for name, (least, most) in _NUMBERS.items():
        if name in wanted & given:
            within = least <= getattr(provider, name) <= most
            check.that(within, f"provider.{name}", f"must be {least:,} to {most:,}")
    if "default_for_tasks" in wanted:
        _check_tasks(check, provider.default_for_tasks)
    if "limits" in wanted:
        _check_limits(check, provider.limits)
    timeouts = _timeouts(check, provider.timeouts) if "timeouts" in wanted else ProviderTimeouts()
    if "labels" in wanted:
        check.labels("provider.labels", provider.labels)
    return ProviderSettings(
        display_name=provider.display_name,
        description=provider.description,
        base_url=provider.base_url,
        key=key,
        default_model=provider.default_model,
        active=provider.active if provider.HasField("active") else True,
        is_default=provider.is_default,
        priority=provider.priority if provider.HasField("priority") else DEFAULT_PRIORITY,
        weight=provider.weight if provider.HasField("weight") else None,
        default_for_tasks=tuple(provider.default_for_tasks),
        limits=ProviderLimits(**{name: getattr(provider.limits, name) for name in _MAX_LIMITS}),
        timeouts=timeouts,
        max_retries=provider.max_retries if provider.HasField("max_retries") else None,
        default_temperature=provider.default_temperature if provider.HasField("default_temperature") else None,
        default_max_output_tokens=(
            provider.default_max_output_tokens if provider.HasField("default_max_output_tokens") else None
        ),
        options=options_in(provider.options),
        labels=dict(provider.labels),
    )


def _check_url(check: FieldChecks, url: str, rules: ProviderRules) -> None:
    if not url:
        return
    if len(url) > _MAX_URL:
        check.text("provider.base_url", url, most=_MAX_URL)
    else:
        rules.check_address(url, check)


def _key(check: FieldChecks, text: str, owner: Owner | None) -> KeyName | None:
    if not text:
        return None
    key = name_in(check, KeyName.parse, text, field="provider.key")
    if key is None:
        # Refused already; something stands in, so that it is not reported as missing too.
        return KeyName(owner or Owner(), text)
    if owner is not None:
        check.that(key.owner == owner, "provider.key", f"must be a key of the same owner, {owner}/keys/{{key}}")
    return key


def _check_tasks(check: FieldChecks, tasks: Sequence[str]) -> None:
    field = "provider.default_for_tasks"
    check.count(field, tasks, most=_MAX_TASKS)
    for index, task in enumerate(tasks[:_MAX_TASKS]):
        check.identifier(f"{field}[{index}]", task)
        check.that(task not in tasks[:index], f"{field}[{index}]", "must not be there twice")


def _check_limits(check: FieldChecks, limits: provider_pb2.ProviderLimits) -> None:
    for name, most in _MAX_LIMITS.items():
        check.that(0 <= getattr(limits, name) <= most, f"provider.limits.{name}", f"must be 0 to {most:,}")


def _timeouts(check: FieldChecks, timeouts: provider_pb2.ProviderTimeouts) -> ProviderTimeouts:
    found = {
        descriptor.name: _timeout(check, f"provider.timeouts.{descriptor.name}", duration)
        for descriptor, duration in timeouts.ListFields()
    }
    return ProviderTimeouts(**found)


def _timeout(check: FieldChecks, field: str, duration: Duration) -> timedelta | None:
    # A day has few seconds: whatever is beyond is not even looked at more closely.
    sound = 0 <= duration.seconds <= _MOST_TIMEOUT.total_seconds() and 0 <= duration.nanos < _NANOS
    value = timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000) if sound else None
    if value is None or not _LEAST_TIMEOUT <= value <= _MOST_TIMEOUT:
        check.fail(field, "must be 10 milliseconds to one day")
        return None
    return value
