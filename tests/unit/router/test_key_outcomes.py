"""What the key service is told about a key after each kind of attempt."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress

import pytest

from libs.core.errors import GatehouseError, Unavailable
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.failover import FailoverPolicy
from services.router.domain.generation import TextDelta
from tests.unit.router.fakes import World, ask, context, finished, opened, provider, until, world_of

KEY = "tenants/acme/keys/one"
ANSWERED_FAILURES = sorted(
    {each for each in Reason if each.startswith("PROVIDER_")} | {Reason.CONTEXT_TOO_LONG, Reason.CONTENT_REFUSED}
)
TELLING = {Reason.PROVIDER_KEY_REJECTED: "rejected", Reason.PROVIDER_BILLING: "exhausted"}


def world_with(*script: object) -> World:
    world = world_of(provider("one"), one=list(script))
    world.policy = FailoverPolicy(max_attempts=1)
    world.keys.results[KEY] = opened(3)
    return world


async def generate(world: World) -> None:
    with suppress(GatehouseError):
        await world.generator().generate(ask(), context())


async def stream(world: World) -> None:
    with suppress(GatehouseError):
        async for _ in world.generator().stream(ask(), context()):
            pass


async def test_an_answer_to_the_end_is_a_success_of_the_version_that_was_sent() -> None:
    world = world_with()
    await generate(world)
    assert world.outcomes.told == [("succeeded", KEY, 3)]


async def test_a_stream_to_the_end_is_one_too() -> None:
    world = world_with([TextDelta("a"), finished()])
    await stream(world)
    assert world.outcomes.told == [("succeeded", KEY, 3)]


@pytest.mark.parametrize("reason", ANSWERED_FAILURES)
@pytest.mark.parametrize("how", ["status", "event"])
async def test_only_refusals_of_the_key_and_of_its_account_speak_against_it(reason: Reason, how: str) -> None:
    if how == "status":
        world = world_with(ProviderError(reason, status=499))
        await generate(world)
    else:
        world = world_with([ProviderError(reason, sent=True)])
        await stream(world)
    assert world.outcomes.told == [(TELLING.get(reason, "used"), KEY, 3)]


@pytest.mark.parametrize("reason", [Reason.PROVIDER_UNREACHABLE, Reason.PROVIDER_TIMEOUT, Reason.PROVIDER_KEY_REJECTED])
async def test_a_key_that_never_reached_the_provider_was_not_used(reason: Reason) -> None:
    world = world_with(ProviderError(reason))
    await generate(world)
    assert world.outcomes.told == []


@pytest.mark.parametrize("reason", [Reason.PROVIDER_UNREACHABLE, Reason.PROVIDER_BILLING])
async def test_a_stream_that_breaks_is_no_success(reason: Reason) -> None:
    world = world_with([TextDelta("a"), ProviderError(reason, sent=True)])
    await stream(world)
    assert world.outcomes.told == [(TELLING.get(reason, "used"), KEY, 3)]


async def test_an_answer_that_nobody_waits_for_any_more_was_a_use() -> None:
    world = world_with(None)
    task = asyncio.create_task(generate(world))
    await until(lambda: bool(world.providers.dispatched))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.outcomes.told == [("used", KEY, 3)]


async def test_a_stream_the_caller_leaves_was_a_use() -> None:
    world = world_with([TextDelta("a"), TextDelta("b"), finished()])
    async with aclosing(world.generator().stream(ask(), context())) as events:
        async for event in events:
            if event == TextDelta("a"):
                break
    assert world.outcomes.told == [("used", KEY, 3)]


async def test_both_versions_of_a_fallback_are_told_for_themselves() -> None:
    world = world_of(provider("one"), one=[ProviderError(Reason.PROVIDER_KEY_REJECTED, status=401)])
    world.keys.results[KEY] = opened(3, fallback_version=2)
    await generate(world)
    assert world.outcomes.told == [("rejected", KEY, 3), ("succeeded", KEY, 2)]


async def test_a_key_that_did_not_open_was_not_used() -> None:
    world = world_with()
    world.keys.results[KEY] = Unavailable("VAULT_SEALED", "sealed")
    await generate(world)
    assert world.outcomes.told == []


@pytest.mark.parametrize("script", [[], [ProviderError(Reason.PROVIDER_KEY_REJECTED, status=401)], [None]])
async def test_a_provider_without_a_key_tells_nothing(script: list[object]) -> None:
    world = world_of(provider("one", key="", provider_type="openai_compatible"), one=script)
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await generate(world)
    assert len(world.ledger.settled) == 1
    assert world.outcomes.told == []


async def test_a_call_counts_from_when_it_was_sent_and_a_refusal_from_when_it_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    world = world_with()
    asked, sent, refusing = asyncio.Event(), asyncio.Event(), asyncio.Event()
    opening: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def open_late(**_: object) -> asyncio.Future[object]:
        asked.set()
        return opening

    async def refuse_late(*_: object) -> None:
        sent.set()
        await refusing.wait()
        raise ProviderError(Reason.PROVIDER_KEY_REJECTED, status=401)

    monkeypatch.setattr(world.keys, "open", open_late)
    monkeypatch.setattr(world.providers, "generate", refuse_late)
    call = asyncio.create_task(generate(world))
    await asked.wait()
    now += 5
    opening.set_result(opened(3))
    await sent.wait()
    now += 7
    refusing.set()
    await call
    assert world.outcomes.sent_times == [1_700_000_005.0]
    assert world.outcomes.refusal_times == [1_700_000_012.0]
