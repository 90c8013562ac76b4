"""Calls while keys are rotated: the router's own domain, key_vault over gRPC, a provider over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace

import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as pb

from libs.core.errors import FailedPrecondition
from libs.sandbox import Rule, Sandbox, key_fingerprint
from libs.telemetry.telemetry import Telemetry, configure
from services.router.api.outcomes import answer_to_pb
from services.router.clients.key_outcomes import KeyOutcomeReporter
from services.router.clients.key_vault import KeyVaultClient
from services.router.domain.accounting import AttemptOutcome
from services.router.domain.admission import Admission
from services.router.domain.affinity import SessionAffinity
from services.router.domain.call import CallResources
from services.router.domain.failover import FailoverPolicy
from services.router.domain.generate import Completed, Generator
from services.router.domain.health import TargetHealth
from services.router.domain.limits import ProviderLimiter
from services.router.domain.outcome import Outcome
from services.router.domain.planner import Planner
from services.router.telemetry.attempts import TelemetryObserver
from tests.integration.router_keys.key_vault_double import KeyVaultDouble, StoredKey, serving
from tests.integration.router_providers.wire import open_session
from tests.unit.router.fakes import TYPES, FakeConfig, FakeLedger, ask, configuration, context, model, provider

KEY = "tenants/acme/keys/one"
GOOD, NEWER, MISTYPED = b"sk-sandbox-old-4f7b21c8", b"sk-sandbox-new-9d41e07b", b"sk-mistyped-2c66a01d"


@dataclass(slots=True)
class Chain:
    vault: KeyVaultDouble
    sandbox: Sandbox
    generator: Generator
    reporter: KeyOutcomeReporter
    log: io.BytesIO
    ledger: FakeLedger = field(default_factory=FakeLedger)

    def rotate(self, version: int, material: bytes, *, overlapping: int) -> None:
        key = self.vault.keys[KEY]
        self.vault.keys[KEY] = StoredKey({**key.versions, version: material}, version, overlapping)

    async def generate(self) -> Outcome:
        _, outcome = await self.generator.generate(ask("Hello"), context())
        return outcome

    async def stream(self) -> Outcome:
        events = [event async for event in self.generator.stream(ask("Hello"), context())]
        last = events[-1]
        assert isinstance(last, Completed)
        return last.outcome

    def accepted(self) -> Counter[str | None]:
        """How many calls the provider charged to each key."""
        return Counter(each.key_fingerprint for each in self.sandbox.bill.records() if each.event == "accepted")

    async def statuses(self) -> dict[int, set[str]]:
        """Which times key_vault was told of, by version."""
        await self.reporter.drain(5.0)
        return {
            each.version: {name.name for name, _ in each.ListFields() if name.name.startswith("last_")}
            for each in self.vault.reported()
        }


@pytest.fixture
def log() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def telemetry(log: io.BytesIO) -> Iterator[Telemetry]:
    telemetry = configure("router", log_level="debug", stream=log)
    yield telemetry
    telemetry.restore_logs()


@pytest.fixture
async def chain(telemetry: Telemetry, log: io.BytesIO) -> AsyncIterator[Chain]:
    vault = KeyVaultDouble(keys={KEY: StoredKey({1: GOOD}, 1)})
    async with Sandbox() as sandbox, open_session() as session, serving(vault) as channel:
        target = replace(provider("one", models=[model("sandbox-small")]), base_url=f"{sandbox.url}/v1")
        keys = KeyVaultClient(channel, timeout_s=5.0)
        reporter = KeyOutcomeReporter(channel, timeout_s=5.0, interval_s=0.01)
        ledger = FakeLedger()
        planner = Planner(
            config=FakeConfig(configuration([target])),
            types=TYPES,
            admission=Admission(TargetHealth(), ProviderLimiter()),
            affinity=SessionAffinity(),
            chance=random.Random(1),
        )
        resources = CallResources(
            keys=keys,
            outcomes=reporter,
            ledger=ledger,
            observer=TelemetryObserver(telemetry),
            policy=FailoverPolicy(),
            admission=planner.admission,
            affinity=planner.affinity,
            jitter=random.Random(1),
        )
        generator = Generator(planner=planner, providers=session, resources=resources)
        yield Chain(vault, sandbox, generator, reporter, log, ledger)
        await keys.aclose()
        assert ledger.open_attempts() == set()


@pytest.mark.parametrize("how", ["generate", "stream"])
async def test_a_rotation_to_a_wrong_key_fails_no_call_while_the_old_one_overlaps(chain: Chain, how: str) -> None:
    chain.rotate(2, MISTYPED, overlapping=1)
    outcomes = await asyncio.gather(*(getattr(chain, how)() for _ in range(20)))
    for outcome in outcomes:
        assert [(each.key_version, each.error_reason) for each in outcome.attempts] == [
            (2, "PROVIDER_KEY_REJECTED"),
            (1, ""),
        ]
    assert chain.accepted() == {key_fingerprint(GOOD.decode()): 20}
    assert Counter(each.outcome for each in chain.ledger.settled) == {
        AttemptOutcome.FAILED: 20,
        AttemptOutcome.SUCCEEDED: 20,
    }
    assert await chain.statuses() == {
        2: {"last_use_time", "last_rejection_time"},
        1: {"last_use_time", "last_success_time"},
    }


async def test_rotations_under_load_fail_no_call_and_end_the_use_of_the_old_key(chain: Chain) -> None:
    rounds = [0] * 8
    stopping = asyncio.Event()

    async def call_on_and_on(caller: int) -> None:
        while not stopping.is_set():
            await chain.generate()
            await chain.stream()
            rounds[caller] += 1

    async def whole_rounds_of_everybody() -> None:
        wanted = [each + 2 for each in rounds]
        while any(done < least for done, least in zip(rounds, wanted, strict=True)):
            assert not any(each.done() for each in callers), "a call failed"
            await asyncio.sleep(0.005)

    old = key_fingerprint(GOOD.decode())
    async with asyncio.timeout(60):
        callers = [asyncio.create_task(call_on_and_on(number)) for number in range(len(rounds))]
        await whole_rounds_of_everybody()
        chain.rotate(2, MISTYPED, overlapping=1)
        await whole_rounds_of_everybody()
        chain.rotate(3, NEWER, overlapping=1)
        await whole_rounds_of_everybody()
        chain.rotate(3, NEWER, overlapping=0)
        uses_of_the_old = chain.accepted()[old]
        await whole_rounds_of_everybody()
        stopping.set()
        await asyncio.gather(*callers)
    assert chain.accepted()[old] == uses_of_the_old
    assert set(chain.accepted()) == {old, key_fingerprint(NEWER.decode())}


async def test_the_overlap_may_end_between_the_refusal_and_the_fallback(chain: Chain) -> None:
    chain.rotate(2, MISTYPED, overlapping=1)

    def end_overlap(item: pb.KeyAccess) -> None:
        if item.version:
            chain.rotate(2, MISTYPED, overlapping=0)

    chain.vault.on_open = end_overlap
    with pytest.raises(FailedPrecondition) as failure:
        await chain.generate()
    assert [each.version for each in chain.vault.opened] == [0, 1]
    assert (failure.value.reason, failure.value.metadata["status"]) == ("PROVIDER_KEY_REJECTED", "401")
    assert await chain.statuses() == {2: {"last_use_time", "last_rejection_time"}}


async def test_a_key_without_a_permission_is_not_a_refused_key(chain: Chain) -> None:
    chain.rotate(2, NEWER, overlapping=1)
    chain.sandbox.rules.replace([Rule(action={"status": 403}, key_suffix=NEWER.decode())])
    with pytest.raises(FailedPrecondition) as failure:
        await chain.generate()
    assert failure.value.reason == "PROVIDER_PERMISSION_DENIED"
    assert await chain.statuses() == {2: {"last_use_time"}}


async def test_an_account_without_credit_is_told_and_is_no_reason_to_use_the_older_key(chain: Chain) -> None:
    chain.rotate(2, NEWER, overlapping=1)
    chain.sandbox.rules.replace([Rule(action={"status": 429, "code": "insufficient_quota"}, key_suffix=NEWER.decode())])
    with pytest.raises(Exception, match="no credit left"):
        await chain.generate()
    assert await chain.statuses() == {2: {"last_use_time", "last_exhaustion_time"}}


async def test_the_log_and_the_answer_tell_versions_and_never_material(chain: Chain) -> None:
    chain.rotate(2, MISTYPED, overlapping=1)
    answer, outcome = await chain.generator.generate(ask("Hello"), context())
    response = answer_to_pb(answer, outcome)
    assert [(each.number, each.key_version, each.error_reason) for each in response.outcome.attempts] == [
        (1, 2, "PROVIDER_KEY_REJECTED"),
        (2, 1, ""),
    ]
    (line,) = [json.loads(each) for each in chain.log.getvalue().splitlines() if b'"key_fallback"' in each]
    assert (line["level"], line["resource"], line["refused_version"], line["version"]) == ("warning", KEY, 2, 1)
    for material in (GOOD, MISTYPED):
        assert material not in chain.log.getvalue() + response.SerializeToString()
