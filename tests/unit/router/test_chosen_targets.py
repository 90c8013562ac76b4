"""What a call makes of its plan: defaults, limits, sessions, trials, warnings, and what the ledger is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from libs.core.errors import FailedPrecondition, GatehouseError, InvalidArgument, Unavailable
from libs.core.resource_names import Owner
from services.router.domain.configuration import ProviderLimits
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import Answer, Generation, TextDelta
from services.router.domain.health import TargetHealth
from services.router.domain.outcome import Outcome
from services.router.domain.ports import Dispatch
from services.router.domain.preference import Preferences
from services.router.domain.route import Arm, Experiment
from tests.unit.router.fakes import (
    PRICE,
    FakeConfig,
    World,
    answer,
    ask,
    choice,
    configuration,
    context,
    finished,
    model,
    provider,
    route,
    to,
    until,
    world_of,
)
from tests.unit.router.planning import key_of

OVERLOADED = ProviderError(Reason.PROVIDER_OVERLOADED, status=503)
REFUSED = ProviderError(Reason.PROVIDER_KEY_REJECTED, status=401)


async def generate(world: World, request: Generation | None = None) -> Outcome:
    _, outcome = await world.generator().generate(request or ask(), context())
    return outcome


async def test_the_ledger_is_told_the_rule_and_the_arm_only_of_the_arm_s_own_target() -> None:
    name = "tenants/acme/routes/write/experiments/x"
    everyone = Experiment(name=name, arms=(Arm(id="a", share_percent=100, target=to("two")),))
    world = World(
        config=FakeConfig(
            configuration([provider("one"), provider("two")], routes=[route("write", "one", experiment=everyone)])
        )
    )
    world.providers.scripts["two"] = [OVERLOADED]
    outcome = await generate(world, ask(task="write"))
    assert [(each.rule, each.experiment, each.arm) for each in world.ledger.reserved] == [
        ("experiment", name, "a"),
        ("route", "", ""),
    ]
    assert (outcome.plan.experiment, outcome.plan.arm) == (name, "a")


async def test_the_outcome_holds_the_plan_and_the_age_of_its_configuration() -> None:
    world = world_of(provider("one"), provider("off", active=False))
    outcome = await generate(world)
    assert [each.provider.id for each in outcome.plan.targets] == ["one"]
    assert [each.cause for each in outcome.plan.rejected] == ["PROVIDER_INACTIVE"]
    assert outcome.configuration_age_s == 0.25


async def test_a_provider_s_defaults_hold_where_the_call_says_nothing() -> None:
    world = world_of(
        provider(models=[model(max_output_tokens=300)], default_temperature=0.0, default_max_output_tokens=200)
    )
    await generate(world)
    await generate(world, ask(temperature=1.5, max_output_tokens=7))
    assert [(each.request.temperature, each.output_limit) for each in world.providers.dispatched] == [
        (0.0, 200),
        (1.5, 7),
    ]
    assert [each.output_tokens_limit for each in world.ledger.reserved] == [200, 7]


@pytest.mark.parametrize(("default", "own", "limit"), [(500, 300, 300), (500, 0, 500), (0, 300, 300), (0, 0, 4096)])
async def test_a_model_s_own_limit_still_bounds_the_provider_s_default(default: int, own: int, limit: int) -> None:
    world = world_of(provider(models=[model(max_output_tokens=own)], default_max_output_tokens=default))
    await generate(world)
    assert world.providers.dispatched[0].output_limit == limit


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (None, 2), (3, 4)])
async def test_a_provider_may_set_how_often_it_is_tried_again(retries: int | None, attempts: int) -> None:
    world = world_of(provider(max_retries=retries), one=[OVERLOADED] * 9)
    with pytest.raises(Unavailable):
        await generate(world)
    assert len(world.providers.dispatched) == attempts


async def test_a_catalogue_s_price_is_left_to_the_ledger() -> None:
    world = world_of(provider(models=[model(price=PRICE)]))
    await generate(world)
    world.config.configuration = configuration([provider(models=[model(price=PRICE, price_is_catalogue=True)])])
    await generate(world)
    assert [each.price for each in world.ledger.reserved] == [PRICE, None]


async def test_a_session_goes_to_who_served_it_last() -> None:
    world = world_of(provider("one"), provider("two"), one=[OVERLOADED])
    first = await generate(world, ask(session="chat"))
    again = await generate(world, ask(session="chat"))
    other = await generate(world, ask(session="other chat"))
    assert [each.served_by.provider.id for each in (first, again, other)] == ["two", "two", "one"]


async def test_a_failed_call_moves_no_session() -> None:
    world = world_of(provider("one"), one=[answer(), OVERLOADED, OVERLOADED])
    await generate(world, ask(session="chat"))
    with pytest.raises(Unavailable):
        await generate(world, ask(session="chat"))
    assert world.affinity.last("acme", "ann", "chat") == key_of("one")


async def test_a_preference_that_is_passed_over_is_told_logged_and_counted() -> None:
    held = configuration(
        [provider("one"), provider("off", active=False)], preferences=Preferences(user="ann", preferred=choice("off"))
    )
    world = World(config=FakeConfig(held))
    outcome = await generate(world)
    assert outcome.warnings == ("tenants/acme/providers/off was passed over: it is not active",)
    assert world.observer.passed == [("tenants/acme/providers/off", "preference", "PROVIDER_INACTIVE")]


async def test_a_key_that_breaks_later_is_told_logged_and_counted_too() -> None:
    held = configuration(
        [provider("one"), provider("broken")], preferences=Preferences(user="ann", preferred=choice("broken"))
    )
    world = World(config=FakeConfig(held))
    world.keys.results["tenants/acme/keys/broken"] = FailedPrecondition("KEY_DISABLED", "the key is disabled")
    outcome = await generate(world)
    assert outcome.served_by.provider.id == "one"
    assert world.observer.passed == [("tenants/acme/providers/broken", "preference", "KEY_DISABLED")]
    assert [each.cause for each in outcome.plan.rejected] == ["KEY_DISABLED"]


async def test_nothing_is_logged_where_nothing_happened() -> None:
    world = world_of(provider("one"), provider("off", active=False))
    await generate(world)
    assert (world.observer.passed, world.observer.platform) == ([], [])


async def test_the_platform_s_provider_is_logged_and_counted() -> None:
    world = World(config=FakeConfig(configuration([], [provider("common", owner=Owner())])))
    await generate(world)
    assert [each.rule for each in world.observer.platform] == ["platform"]
    assert world.ledger.reserved[0].rule == "platform"


async def test_a_limit_that_fills_after_the_plan_leads_to_the_next_target() -> None:
    limited = provider("one", priority=1, limits=ProviderLimits(concurrent_requests=1))
    world = world_of(limited, provider("two", priority=2), one=[None])
    task = asyncio.create_task(generate(world))
    await until(lambda: len(world.providers.dispatched) == 1)
    outcome = await generate(world)
    assert outcome.served_by.provider.id == "two"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await generate(world)).served_by.provider.id == "one"


def meanwhile(world: World, change: Callable[[], object]) -> None:
    """The first call that reaches a provider fails, and while it does `change` happens."""
    answering = world.providers.generate

    async def fail(dispatch: Dispatch[Generation]) -> Answer:
        world.providers.generate = answering  # type: ignore[method-assign]
        change()
        raise OVERLOADED

    world.providers.generate = fail  # type: ignore[method-assign]


def opened_by(world: World, name: str, error: ProviderError) -> Callable[[], object]:
    return lambda: world.health.failed(world.health.enter(key_of(name), 0.0), error, time.monotonic())


async def test_a_target_that_opens_after_the_plan_is_not_tried() -> None:
    world = world_of(provider("one", priority=1), provider("two", priority=2))
    world.health = TargetHealth(threshold=1)
    meanwhile(world, opened_by(world, "two", OVERLOADED))
    with pytest.raises(Unavailable) as failure:
        await generate(world)
    assert failure.value.metadata["provider"] == "tenants/acme/providers/one"
    assert [each.type for each in failure.value.precondition_violations] == ["COOLING_DOWN"]
    assert world.ledger.open_attempts() == set()


async def test_a_target_whose_limit_fills_after_the_plan_is_not_tried() -> None:
    full = provider("two", priority=2, limits=ProviderLimits(concurrent_requests=1))
    world = world_of(provider("one", priority=1), full, provider("three", priority=3))
    meanwhile(world, lambda: world.limits.begin(full, 1, time.monotonic()))
    outcome = await generate(world)
    assert [each.target.provider.id for each in outcome.attempts] == ["one", "three"]
    assert outcome.warnings == (
        "tenants/acme/providers/two was passed over: it is at its limit of 1 calls at the same time",
    )


@pytest.mark.parametrize(("others", "served_by"), [(["three"], "three"), ([], "two")])
async def test_a_key_refused_after_the_plan_is_tried_only_as_the_last(others: list[str], served_by: str) -> None:
    left = [provider(name, priority=9) for name in others]
    world = world_of(provider("one", priority=1), provider("two", priority=2), *left)
    meanwhile(world, opened_by(world, "two", REFUSED))
    assert (await generate(world)).served_by.provider.id == served_by


async def test_one_call_tries_a_target_that_has_cooled_down_and_the_others_go_elsewhere() -> None:
    world = world_of(provider("one", priority=1), provider("two", priority=2), one=[OVERLOADED, None, answer()])
    world.health = TargetHealth(threshold=1, cooldown_s=0.0)
    assert (await generate(world)).served_by.provider.id == "two"
    trial = asyncio.create_task(generate(world))
    await until(lambda: len(world.providers.dispatched) == 3)
    assert (await generate(world)).served_by.provider.id == "two"
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert (await generate(world)).served_by.provider.id == "one"


async def test_a_stream_s_first_content_lets_the_others_back_in() -> None:
    world = world_of(provider("one"), one=[OVERLOADED, [TextDelta("a"), None]])
    world.health = TargetHealth(threshold=1, cooldown_s=0.0)
    world.policy = replace(world.policy, max_retries=0)
    with pytest.raises(Unavailable):
        await generate(world)
    stream = world.generator().stream(ask(), context())
    await anext(stream)
    assert (await generate(world)).served_by.provider.id == "one"
    await stream.aclose()


async def test_a_refused_key_rests_while_there_is_another_target() -> None:
    world = world_of(provider("one", priority=1), provider("two", priority=2), one=[REFUSED])
    assert [each.error_reason for each in (await generate(world)).attempts] == ["PROVIDER_KEY_REJECTED", ""]
    second = await generate(world)
    assert (len(second.attempts), second.served_by.provider.id) == (1, "two")


async def test_the_only_provider_serves_as_soon_as_its_key_is_mended() -> None:
    world = world_of(provider("one"), one=[REFUSED])
    with pytest.raises(FailedPrecondition) as failure:
        await generate(world)
    assert failure.value.reason == "PROVIDER_KEY_REJECTED"
    assert (await generate(world)).served_by.provider.id == "one"


async def test_a_fallback_that_cannot_be_opened_costs_the_first_target_none_of_its_retries() -> None:
    world = world_of(provider("one"), provider("two"), one=[OVERLOADED, answer()])
    world.keys.results["tenants/acme/keys/two"] = FailedPrecondition("KEY_DISABLED", "its key is disabled")
    outcome = await generate(world)
    assert [each.target.provider.id for each in outcome.attempts] == ["one", "one"]
    assert outcome.warnings == ("tenants/acme/providers/two was passed over: its key is disabled",)
    assert world.ledger.open_attempts() == set()


@pytest.mark.parametrize("failures", [[REFUSED], [OVERLOADED, OVERLOADED]])
async def test_after_such_a_fallback_nobody_is_tried_more_often_than_without_it(
    failures: list[ProviderError],
) -> None:
    world = world_of(provider("one"), provider("two"), one=[*failures, answer()])
    world.keys.results["tenants/acme/keys/two"] = FailedPrecondition("KEY_DISABLED", "its key is disabled")
    with pytest.raises(GatehouseError) as failed:
        await generate(world)
    assert failed.value.reason == failures[-1].reason
    assert [each.type for each in failed.value.precondition_violations] == ["KEY_DISABLED"]
    assert len(world.providers.dispatched) == len(failures)


async def test_what_did_not_fit_goes_on_only_to_what_may_take_more() -> None:
    too_long = ProviderError(Reason.CONTEXT_TOO_LONG, status=400)
    sizes = {"one": 8_000, "same": 8_000, "smaller": 4_000, "larger": 32_000, "unknown": 0}
    world = world_of(*(provider(name, models=[model(context_tokens=size)]) for name, size in sizes.items()))
    world.config.configuration = configuration(
        world.config.configuration.tenant.providers, routes=[route("default", *sizes)]
    )
    for name in sizes:
        world.providers.scripts[name] = [too_long]
    with pytest.raises(InvalidArgument) as refused:
        await generate(world)
    assert [each.target.provider.id for each in world.providers.dispatched] == ["one", "larger", "unknown"]
    assert refused.value.reason == Reason.CONTEXT_TOO_LONG
    assert {each.subject for each in refused.value.precondition_violations} == {
        "tenants/acme/providers/same/models/small",
        "tenants/acme/providers/smaller/models/small",
    }
    assert world.ledger.open_attempts() == set()


async def test_every_way_a_call_ends_leaves_nothing_under_way() -> None:
    world = world_of(provider("one", limits=ProviderLimits(concurrent_requests=1)))
    world.policy = replace(world.policy, max_retries=0)
    endings: list[object] = [
        answer(),
        OVERLOADED,
        ProviderError(Reason.PROVIDER_INVALID_REQUEST, status=400),
        [TextDelta("a"), finished()],
        [TextDelta("a"), OVERLOADED],
        [OVERLOADED],
    ]
    for ending in endings:
        world.providers.scripts["one"] = [ending]
        try:
            if isinstance(ending, list):
                async for _ in world.generator().stream(ask(), context()):
                    pass
            else:
                await generate(world)
        except GatehouseError:
            pass
        assert world.health.under_way(key_of("one")) == 0
    world.keys.results["tenants/acme/keys/one"] = Unavailable("VAULT_SEALED", "sealed")
    with pytest.raises(Unavailable):
        await generate(world)
    assert world.health.under_way(key_of("one")) == 0
    del world.keys.results["tenants/acme/keys/one"]
    assert (await generate(world)).served_by.provider.id == "one"
