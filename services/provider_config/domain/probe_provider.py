"""Trying a provider: one at a time, not too often, through a router, with the result kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from libs.core.clock import Clock
from libs.core.errors import GatehouseError
from libs.core.resource_names import ProviderName
from libs.core.secret import Secret
from services.provider_config.domain.changes import Act, record
from services.provider_config.domain.look_up import get_provider
from services.provider_config.domain.ports import ConfigStore, Transaction
from services.provider_config.domain.probe_errors import tested_already, tested_just_now, tested_too_many
from services.provider_config.domain.probe_ports import Probe, ProbeFinding, ProviderProbes
from services.provider_config.domain.provider import Provider, ProviderSettings, ProviderTest

# A test that is not ended this long after its time is lost with the process that ran it.
_MARGIN = timedelta(seconds=10)
# Names need not exist to be tried, so the floor of one provider alone bounds nothing.
_MOST_OF_OWNER = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsavedProvider:
    """A provider that is not stored, checked as if it were to be. `api_key`: in clear, in place of a stored key."""

    type: str
    settings: ProviderSettings
    api_key: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeProvider:
    """A checked request; `unsaved` is None for the stored provider of this name. `model` is empty for none."""

    name: ProviderName
    unsaved: UnsavedProvider | None
    model: str
    caller_token: Secret
    act: Act


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What was tried, and what came of it. `provider`: as it was stored then, None for one that is not."""

    provider: Provider | None
    finding: ProbeFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class Probing:
    """How providers are tried here. `timeout`: how long one may take; `floor`: between two tests of the same."""

    store: ConfigStore
    router: ProviderProbes
    clock: Clock
    timeout: timedelta
    floor: timedelta

    async def test(self, command: ProbeProvider) -> ProviderTest:
        """Try a provider; what a stored one did is kept with it. Raises as `try_provider`."""
        tried = await self.try_provider(command)
        return await self.store.write(partial(_note_test, command=command, tried=tried, now=self.clock.now()))

    async def try_provider(self, command: ProbeProvider) -> Tried:
        """Try a provider, and keep nothing of it.

        Raises NotFound `PROVIDER_NOT_FOUND`, Aborted `TEST_UNDER_WAY`, ResourceExhausted `TEST_TOO_SOON`, Unavailable.
        """
        begin = partial(_begin, command=command, lasts=self.timeout + _MARGIN, floor=self.floor)
        provider = await self.store.write(begin)
        floor = self.floor
        try:
            finding = await self.router.probe(_probe(command, provider, self.timeout))
        except GatehouseError:
            # What was not tried may be tried at once.
            floor = timedelta()
            raise
        finally:
            # Also when whoever asked has gone: going away is no way around the floor.
            await self.store.write(partial(_end, command=command, free_at=self.clock.now() + floor))
        return Tried(provider=provider, finding=finding)


def kept_test(finding: ProbeFinding, now: datetime) -> ProviderTest:
    """What a test that ended `now` is remembered as."""
    return ProviderTest(
        time=now,
        outcome=finding.outcome,
        message=finding.message,
        duration=finding.duration,
        model_count=len(finding.model_ids),
    )


def put_test(transaction: Transaction, tried: Provider, test: ProviderTest) -> Provider | None:
    """Keep what a test of `tried` found, if that is what the provider still is; the provider as it is, if so."""
    present = transaction.providers.get(tried.name)
    if present is None or _tried_of(present) != _tried_of(tried):
        return None
    transaction.providers.put_test(present, test)
    return replace(present, last_test=test)


def _begin(transaction: Transaction, *, command: ProbeProvider, lasts: timedelta, floor: timedelta) -> Provider | None:
    """Hold the provider for this test; as it is stored, if it is to be."""
    provider = get_provider(transaction, command.name) if command.unsaved is None else None
    now = command.act.now
    tests = transaction.provider_tests
    # No clock that is right makes a longer one: a clock that was wrong must not hold anybody up for days.
    tests.forget(ended=now, beyond=now + max(lasts, floor) + _MARGIN)
    held = tests.held(command.name.owner)
    hold = next((each for each in held if each.name == str(command.name)), None)
    if hold is not None and hold.under_way:
        raise tested_already(command.name)
    if hold is not None:
        raise tested_just_now(command.name, (hold.until - now).total_seconds())
    if len(held) >= _MOST_OF_OWNER:
        raise tested_too_many(command.name, (min(each.until for each in held) - now).total_seconds())
    tests.begin(command.name, command.act.uid, until=now + lasts)
    return provider


def _end(transaction: Transaction, *, command: ProbeProvider, free_at: datetime) -> None:
    transaction.provider_tests.end(command.name, command.act.uid, free_at=free_at)


def _probe(command: ProbeProvider, provider: Provider | None, timeout: timedelta) -> Probe:
    tried = provider or command.unsaved
    if tried is None:
        raise AssertionError("a provider is stored, or it is given whole")
    api_key = command.unsaved.api_key if command.unsaved is not None else None
    return Probe(
        type=tried.type,
        base_url=tried.settings.base_url,
        options=tried.settings.options,
        key=api_key or tried.settings.key,
        model=command.model,
        caller_token=command.caller_token,
        timeout=timeout,
    )


def _note_test(transaction: Transaction, *, command: ProbeProvider, tried: Tried, now: datetime) -> ProviderTest:
    test = kept_test(tried.finding, now)
    if tried.provider is not None:
        put_test(transaction, tried.provider, test)
    details = {"outcome": test.outcome.value, "saved": "true" if tried.provider is not None else "false"}
    record(transaction, command.act, command.name, command.name.owner, details)
    return test


def _tried_of(provider: Provider) -> tuple[object, ...]:
    """All of a provider that a test of it depends on."""
    settings = provider.settings
    return provider.uid, settings.base_url, settings.key, settings.options
