"""A router that finds what a test says, a clock that tests set, and how they try providers with both."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta

from libs.core.resource_names import ProviderName
from libs.core.secret import Secret
from services.provider_config.domain.changes import Act
from services.provider_config.domain.ports import ConfigStore
from services.provider_config.domain.probe_ports import Probe, ProbeFinding
from services.provider_config.domain.probe_provider import ProbeProvider, Probing, UnsavedProvider
from services.provider_config.domain.provider import ProviderTest, ProviderTestOutcome
from tests.unit.provider_config.builders import ANN, provider_name
from tests.unit.provider_config.memory_store import NOW

TOKEN = Secret(b"token of ann")
TIMEOUT = timedelta(seconds=15)
FLOOR = timedelta(seconds=5)
LISTED = ("gpt-4o", "gpt-4o-mini")


def finding(outcome: ProviderTestOutcome = ProviderTestOutcome.OK, *ids: str) -> ProbeFinding:
    """What a router may find; a list of two models when no other is given."""
    listed = (ids or LISTED) if outcome is ProviderTestOutcome.OK else ids
    return ProbeFinding(
        outcome=outcome,
        message=f"it is {outcome}",
        duration=timedelta(milliseconds=120),
        model_ids=tuple(sorted(listed)),
    )


class HandClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


class FakeRouter:
    """`finds` is what a probe finds, or how it fails; while `blocked` is not set it waits."""

    def __init__(self) -> None:
        self.finds: ProbeFinding | Exception = finding()
        self.asked: list[Probe] = []
        self.free = asyncio.Event()
        self.free.set()

    async def probe(self, probe: Probe) -> ProbeFinding:
        self.asked.append(probe)
        await self.free.wait()
        if isinstance(self.finds, Exception):
            raise self.finds
        return self.finds


class Prober:
    """Tries providers in `store`."""

    def __init__(self, store: ConfigStore) -> None:
        self.store = store
        self.router = FakeRouter()
        self.clock = HandClock()
        self.probing = Probing(store=store, router=self.router, clock=self.clock, timeout=TIMEOUT, floor=FLOOR)

    def act(self, action: str = "TestProvider") -> Act:
        return Act(author=ANN, action=action, now=self.clock.now(), uid=str(uuid.uuid4()))

    async def test(
        self, name: ProviderName | None = None, *, unsaved: UnsavedProvider | None = None, model: str = ""
    ) -> ProviderTest:
        command = ProbeProvider(
            name=name or provider_name("openai"), unsaved=unsaved, model=model, caller_token=TOKEN, act=self.act()
        )
        return await self.probing.test(command)

    def pass_time(self, time: timedelta) -> None:
        self.clock.time += time

    def finds(self, outcome: ProviderTestOutcome = ProviderTestOutcome.OK, *ids: str) -> None:
        self.router.finds = finding(outcome, *ids)
