"""Random histories of the ledger, held against a model of a few lines."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from libs.core.errors import GatehouseError
from libs.core.money import TokenPrices
from libs.storage.database import Database
from libs.storage.migrations import upgrade
from services.usage_accounting import app
from services.usage_accounting.domain.attempt import AttemptKey, Dimensions
from services.usage_accounting.domain.experiments import ExperimentQuery
from services.usage_accounting.domain.lapse_reservations import lapse_reservations
from services.usage_accounting.domain.quota import QuotaMetric
from services.usage_accounting.storage import store as store_module
from tests.databases import PostgresServer
from tests.integration.usage_accounting.ledger_world import (
    DIMENSIONS,
    MINUTE,
    PRICE,
    Time,
    World,
    ask,
    assert_held_equals_holds,
    counts,
    pico,
)

T = TypeVar("T")
LIMIT = 1_000
TOKENS, COST = "tenants/acme/quotas/tokens", "tenants/acme/quotas/cost"
PRICES = (PRICE, pico(500, 1_500, cache_write=4_000))
EXPERIMENT = "tenants/acme/routes/chat/experiments/e"


@dataclass
class Attempt:
    """What the model remembers of an attempt."""

    input_tokens: int
    output_tokens: int
    price: TokenPrices
    arm: str
    lapse_us: int
    state: str = "live"
    tokens: int = 0
    cost: int = 0
    counts_for_arm: bool = False

    @property
    def bound(self) -> tuple[int, int]:
        """Tokens and nano-USD at most."""
        dear_input = max(self.price.input, self.price.cache_write)
        pico_usd = self.input_tokens * dear_input + self.output_tokens * self.price.output
        return self.input_tokens + self.output_tokens, -(-pico_usd // 1000)


class LedgerMachine(RuleBasedStateMachine):
    """Reserve, settle, release, lapse, correct and repeat, in any order."""

    fresh_url: ClassVar[Any]
    keys: Bundle[AttemptKey] = Bundle("keys")

    @initialize()
    def open(self) -> None:
        self.url, self.discard = type(self).fresh_url()
        self.runner = asyncio.Runner()
        self.patch = pytest.MonkeyPatch()
        self.time = Time(lambda now_us: self.patch.setattr(store_module, "_POSTGRES_NOW", f"SELECT {now_us}::bigint"))
        self.database = Database.open(self.url, name="usage")
        self.world = World(self.database, self.time)
        self.model: dict[AttemptKey, Attempt] = {}
        self.quotas: set[str] = set()
        self.do(self.world.quota(LIMIT, name=TOKENS))
        self.quotas.add(TOKENS)

    def do(self, action: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(action)

    @rule(
        target=keys,
        tokens=st.tuples(st.integers(0, 600), st.integers(0, 600)),
        price=st.sampled_from(PRICES),
        arm=st.sampled_from(["", "a", "b"]),
    )
    def reserve(self, tokens: tuple[int, int], price: TokenPrices, arm: str) -> AttemptKey:
        key = AttemptKey("acme", str(uuid.uuid4()), 1)
        attempt = Attempt(*tokens, price, arm, self.time.us + 10 * MINUTE)
        used, held = self.expected()
        fits = all(
            used[name] + held[name] + amount <= LIMIT
            for name, amount in zip((TOKENS, COST), attempt.bound, strict=True)
            if name in self.quotas
        )
        (result,) = self.do(self.world.reserve(ask(*tokens, key=key, price=price, dimensions=dimensions(arm))))
        assert isinstance(result, GatehouseError) != fits, (result, used, held, attempt)
        if fits:
            self.model[key] = attempt
        return key

    @rule(key=keys, tokens=st.tuples(st.integers(0, 700), st.integers(0, 700)))
    def settle(self, key: AttemptKey, tokens: tuple[int, int]) -> None:
        attempt = self.model.get(key)
        result = self.do(self.world.settle(key, counts(*tokens)))
        if attempt is None or attempt.state == "released":
            assert isinstance(result, GatehouseError)
            return
        assert not isinstance(result, GatehouseError)
        assert result.already_settled == (attempt.state == "settled")
        if attempt.state != "settled":
            attempt.state = "settled"
            attempt.tokens = sum(tokens)
            attempt.cost = attempt.price.cost(counts(*tokens))
            attempt.counts_for_arm = bool(attempt.arm)
        assert result.cost == attempt.cost

    @rule(key=keys)
    def release(self, key: AttemptKey) -> None:
        attempt = self.model.get(key)
        state = "" if attempt is None else attempt.state
        assert self.do(self.world.release(key)) == [state in ("live", "lapsed")]
        if attempt is not None and state == "live":
            attempt.state = "released"
        elif attempt is not None and state == "lapsed":
            # The ledger keeps it, corrected down to nothing.
            attempt.state = "settled"
            attempt.tokens = attempt.cost = 0

    @rule(key=keys)
    def reserve_again(self, key: AttemptKey) -> None:
        attempt = self.model.get(key)
        if attempt is None or attempt.state == "released":
            return
        same = dimensions(attempt.arm)
        again = ask(attempt.input_tokens, attempt.output_tokens, key=key, price=attempt.price, dimensions=same)
        (result,) = self.do(self.world.reserve(again))
        assert isinstance(result, GatehouseError) == (attempt.state != "live")

    @rule(minutes=st.integers(1, 12))
    def wait(self, minutes: int) -> None:
        self.time.advance(minutes * MINUTE)

    @rule()
    def lapse(self) -> None:
        due = [each for each in self.model.values() if each.state == "live" and each.lapse_us <= self.time.us]
        assert self.do(lapse_reservations(self.world.store)) == len(due)
        for attempt in due:
            attempt.state = "lapsed"
            attempt.tokens = attempt.input_tokens + attempt.output_tokens
            attempt.cost = attempt.price.cost(counts(attempt.input_tokens, attempt.output_tokens))

    @rule()
    def create_the_cost_quota(self) -> None:
        if COST not in self.quotas:
            self.do(self.world.quota(LIMIT, QuotaMetric.COST, name=COST))
            self.quotas.add(COST)

    @invariant()
    def the_store_agrees_with_the_model(self) -> None:
        used, held = self.expected()
        for name in self.quotas:
            assert self.do(self.world.use(name)) == (used[name], held[name]), name
        self.do(assert_held_equals_holds(self.database))
        assert self.do(self.arms()) == [
            (arm, len(own), sum(each.tokens for each in own), sum(each.cost for each in own))
            for arm in ("a", "b")
            if (own := [each for each in self.model.values() if each.counts_for_arm and each.arm == arm])
        ]

    async def arms(self) -> list[tuple[str, int, int, int]]:
        """Calls, tokens and cost of each arm."""
        query = ExperimentQuery(tenant="acme", experiment=EXPERIMENT)
        found = await self.world.store.read(lambda transaction: transaction.experiments.sums(query))
        return [(each.arm, each.calls, each.tokens.total, each.costs_nano_usd.total) for each in found]

    def expected(self) -> tuple[dict[str, int], dict[str, int]]:
        """What is used and held of each quota, had it existed all along."""
        done = [each for each in self.model.values() if each.state in ("settled", "lapsed")]
        live = [each.bound for each in self.model.values() if each.state == "live"]
        used = {TOKENS: sum(each.tokens for each in done), COST: sum(each.cost for each in done)}
        held = {TOKENS: sum(tokens for tokens, _ in live), COST: sum(cost for _, cost in live)}
        return used, held

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.do(self.database.close())
            self.runner.close()
            self.patch.undo()
            self.discard()


def dimensions(arm: str) -> Dimensions:
    """Those of an attempt for `arm`, or for none."""
    return DIMENSIONS._replace(experiment=EXPERIMENT if arm else "", arm=arm)


FreshUrl = Callable[[], tuple[str, Callable[[], object]]]


def run(fresh_url: FreshUrl, *, examples: int, steps: int) -> None:
    machine = type("Machine", (LedgerMachine,), {"fresh_url": staticmethod(fresh_url)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_history_on_sqlite_agrees_with_the_model(tmp_path: Path) -> None:
    template = tmp_path / "template.db"
    upgrade(f"sqlite:///{template}", app.MIGRATIONS)

    def fresh_url() -> tuple[str, Callable[[], object]]:
        directory = tempfile.mkdtemp(dir=tmp_path)
        shutil.copy(template, f"{directory}/usage.db")
        return f"sqlite:///{directory}/usage.db", lambda: shutil.rmtree(directory)

    run(fresh_url, examples=25, steps=30)


@pytest.mark.postgres
def test_any_history_on_postgresql_agrees_with_the_model(postgres_server: PostgresServer) -> None:

    def fresh_url() -> tuple[str, Callable[[], object]]:
        url = postgres_server.create_database()
        upgrade(url, app.MIGRATIONS)
        return url, lambda: postgres_server.drop_database(url)

    run(fresh_url, examples=5, steps=20)
