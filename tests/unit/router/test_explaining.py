"""Looking without calling: explanations, cost estimates, models for pickers, health."""

from __future__ import annotations

import pytest

from libs.core.errors import FailedPrecondition
from libs.core.money import TokenCounts
from libs.core.resource_names import Owner
from services.router.api.explanations import model_to_pb
from services.router.domain.condition import BreakerState
from services.router.domain.configuration import Capabilities
from services.router.domain.errors import Reason
from services.router.domain.explain import Explainer
from services.router.domain.features import ALL, DOCUMENTS
from services.router.domain.generation import Image, Message, Role, Tool
from services.router.domain.health import TargetHealth
from services.router.domain.ports import KeyState
from services.router.domain.preference import Preferences, Profile
from services.router.domain.routing.causes import Cause
from services.router.domain.routing.usability import ProviderTypes
from tests.unit.router.fakes import (
    PRICE,
    FakeConfig,
    World,
    ask,
    choice,
    configuration,
    context,
    model,
    provider,
    world_of,
)
from tests.unit.router.planning import ANN, fault, ids, key_of

DISABLED = KeyState(obstacle="KEY_DISABLED", description="its key is disabled; enable it")


async def test_an_explanation_has_the_plan_the_costs_and_the_age() -> None:
    world = world_of(provider("one", models=[model(price=PRICE)]), provider("two"))
    told = await world.explainer().explain(ask("x" * 400), context())
    assert ids(told.plan) == ["one", "two"]
    likely = TokenCounts(input_tokens=104, output_tokens=500)
    assert told.costs == (PRICE.cost(likely), None)
    assert (told.plan.revision, told.configuration_age_s, told.warnings) == (7, 0.25, ())
    assert (world.ledger.reserved, world.keys.opened, world.providers.dispatched) == ([], [], [])


async def test_all_keys_are_asked_about_once_with_their_origins() -> None:
    world = world_of(provider("one"), provider("two"), provider("none", key="", provider_type="openai_compatible"))
    await world.explainer().explain(ask(), context())
    assert sorted(world.key_states.asked) == [
        ("tenants/acme/keys/one", "https://one.example:443"),
        ("tenants/acme/keys/two", "https://two.example:443"),
    ]


@pytest.mark.parametrize("cause", ["KEY_UNUSABLE", "KEY_DISABLED", "ORIGIN_MISMATCH"])
async def test_a_target_whose_key_does_not_open_is_left_out(cause: str) -> None:
    world = world_of(provider("one"), provider("two"))
    world.key_states.states["tenants/acme/keys/one"] = KeyState(obstacle=cause, description="why")
    told = await world.explainer().explain(ask(), context())
    assert ids(told.plan) == ["two"]
    assert [(each.cause, each.description) for each in told.plan.rejected] == [(Cause(cause), "why")]
    assert len(told.costs) == 1


async def test_a_key_its_provider_refused_is_warned_of() -> None:
    world = world_of(provider("one"))
    world.key_states.states["tenants/acme/keys/one"] = KeyState(refused=True)
    told = await world.explainer().explain(ask(), context())
    assert ids(told.plan) == ["one"]
    assert "tenants/acme/keys/one was refused" in told.warnings[0]


async def test_without_key_vault_a_warning_says_that_keys_are_not_known() -> None:
    world = world_of(provider("one"))
    world.key_states.away = True
    told = await world.explainer().explain(ask(), context())
    assert ids(told.plan) == ["one"]
    assert told.warnings == ("key_vault does not answer: whether the keys can be opened is not known",)


async def test_an_old_configuration_and_what_is_passed_over_are_warned_of() -> None:
    held = configuration(
        [provider("one"), provider("off", active=False)], preferences=Preferences(user="ann", preferred=choice("off"))
    )
    world = World(config=FakeConfig(held))
    world.config.age = 65.0
    told = await world.explainer().explain(ask(), context())
    assert told.warnings == (
        "tenants/acme/providers/off was passed over: it is not active",
        "provider_config cannot be reached: the configuration is 65 s old",
    )
    assert world.observer.passed == [], "nobody called"


# Cost estimates ------------------------------------------------------------------------------------------------------


async def test_an_estimate_bounds_what_a_call_costs() -> None:
    world = world_of(provider("one", models=[model(price=PRICE, max_output_tokens=2_000)]))
    (estimate,), revision = await world.explainer().estimate(ask("x" * 400), context())
    assert revision == 7
    assert estimate.likely == TokenCounts(input_tokens=104, output_tokens=500)
    assert estimate.most == TokenCounts(input_tokens=408, output_tokens=2_000)
    assert (estimate.likely_cost, estimate.most_cost) == (PRICE.cost(estimate.likely), PRICE.cost(estimate.most))
    assert any("the model's" in each for each in estimate.assumptions)
    assert any("the model is configured with" in each for each in estimate.assumptions)


async def test_what_is_estimated_at_most_is_what_is_reserved() -> None:
    world = world_of(provider("one", default_max_output_tokens=99))
    (estimate,), _ = await world.explainer().estimate(ask("ü" * 40), context())
    await world.generator().generate(ask("ü" * 40), context())
    (reserved,) = world.ledger.reserved
    assert estimate.most == TokenCounts(
        input_tokens=reserved.input_tokens_estimate, output_tokens=reserved.output_tokens_limit
    )


async def test_the_assumptions_say_where_every_figure_comes_from() -> None:
    async def assumed(*models: object, **fields: object) -> str:
        world = world_of(provider("one", models=list(models), **fields))  # type: ignore[arg-type]
        (estimate,), _ = await world.explainer().estimate(ask(), context())
        return " ".join(estimate.assumptions)

    assert "built-in catalogue" in await assumed(model(price=PRICE, price_is_catalogue=True))
    assert "No price is known" in await assumed(model())
    assert "not known" in await assumed(model())
    assert "the provider's default" in await assumed(model(), default_max_output_tokens=10)
    assert "as many tokens as the limit" in await assumed(model(max_output_tokens=10))


async def test_images_and_unknown_prices_are_said() -> None:
    world = world_of(provider("one"))
    request = ask()
    image = Message(Role.USER, (Image(url="https://x/y.png"),))
    request = type(request)(messages=(*request.messages, image), max_output_tokens=5)
    (estimate,), _ = await world.explainer().estimate(request, context())
    assert (estimate.likely_cost, estimate.most_cost) == (None, None)
    assert estimate.most.input_tokens > 2_500
    assert any("image" in each for each in estimate.assumptions)
    assert any("which the call gives" in each for each in estimate.assumptions)


async def test_an_estimate_without_a_target_says_why() -> None:
    with pytest.raises(FailedPrecondition) as nothing:
        await world_of(provider(active=False)).explainer().estimate(ask(), context())
    assert nothing.value.reason == "NO_USABLE_TARGET"


# Models for pickers --------------------------------------------------------------------------------------------------


def shelf() -> World:
    return World(
        config=FakeConfig(
            configuration(
                [
                    provider("zeta", models=[model("b"), model("a"), model("off", enabled=False)], is_default=True),
                    provider("late", priority=900),
                    provider("early", priority=1),
                    provider("mine", owner=ANN),
                    provider("his", owner=Owner("acme", "bob")),
                ],
                [provider("common", owner=Owner())],
            )
        )
    )


async def test_models_come_by_provider_in_the_order_of_selection_then_by_id() -> None:
    page = await shelf().explainer().models(context(), usable_only=False, after=None, at_most=50)
    assert [(each.provider.id, each.model.id) for each in page.models] == [
        ("zeta", "a"),
        ("zeta", "b"),
        ("zeta", "off"),
        ("mine", "small"),
        ("early", "small"),
        ("late", "small"),
        ("common", "small"),
    ]
    assert {each.provider.id: each.obstacle.cause for each in page.models if each.obstacle} == {
        "zeta": Cause.MODEL_DISABLED,
        "common": Cause.PLATFORM_NOT_ALLOWED,
    }
    assert page.next_place is None


async def test_pages_go_on_where_the_last_one_ended_also_when_that_is_gone() -> None:
    world, seen = shelf(), []
    after = None
    while True:
        page = await world.explainer().models(context(), usable_only=True, after=after, at_most=2)
        seen += [(each.provider.id, each.model.id) for each in page.models]
        if page.next_place is None:
            break
        after = page.next_place
        if len(seen) == 2:
            left = [each for each in world.config.configuration.tenant.providers if each.id != "mine"]
            world.config.configuration = configuration(left)
    assert seen == [("zeta", "a"), ("zeta", "b"), ("early", "small"), ("late", "small")]


async def test_a_page_asks_only_about_the_keys_it_shows() -> None:
    world = world_of(*(provider(f"p{number}", models=[model("a"), model("b")]) for number in range(6)))
    first = await world.explainer().models(context(), usable_only=True, after=None, at_most=2)
    assert {name for name, _ in world.key_states.asked} == {"tenants/acme/keys/p0", "tenants/acme/keys/p1"}
    world.key_states.asked.clear()
    world.key_states.states["tenants/acme/keys/p1"] = DISABLED
    second = await world.explainer().models(context(), usable_only=True, after=first.next_place, at_most=2)
    assert [(each.provider.id, each.model.id) for each in second.models] == [("p2", "a"), ("p2", "b")]
    assert "tenants/acme/keys/p5" not in {name for name, _ in world.key_states.asked}


async def test_warnings_of_a_long_page_are_each_said_once() -> None:
    world = world_of(*(provider(f"p{number}", active=False) for number in range(8)), provider("last"))
    world.key_states.away = True
    page = await world.explainer().models(context(), usable_only=True, after=None, at_most=1)
    assert [each.provider.id for each in page.models] == ["last"]
    assert page.warnings == ("key_vault does not answer: whether the keys can be opened is not known",)


async def test_a_model_whose_key_does_not_open_is_not_usable() -> None:
    world = world_of(provider("one"), provider("two"))
    world.key_states.states["tenants/acme/keys/one"] = DISABLED
    page = await world.explainer().models(context(), usable_only=False, after=None, at_most=50)
    assert [(each.provider.id, each.obstacle and each.obstacle.cause) for each in page.models] == [
        ("one", Cause.KEY_DISABLED),
        ("two", None),
    ]
    usable = await world.explainer().models(context(), usable_only=True, after=None, at_most=50)
    assert [each.provider.id for each in usable.models] == ["two"]


async def test_models_outside_of_the_active_profile_are_not_usable() -> None:
    work = "tenants/acme/users/ann/profiles/work"
    held = configuration(
        [provider("one"), provider("two")],
        preferences=Preferences(user="ann", active_profile=work),
        profile=Profile(name=work, providers=frozenset({"tenants/acme/providers/one"})),
    )
    page = await World(config=FakeConfig(held)).explainer().models(context(), usable_only=False, after=None, at_most=50)
    assert [each.obstacle and each.obstacle.cause for each in page.models] == [None, Cause.NOT_IN_PROFILE]


async def test_a_model_is_usable_exactly_when_a_call_that_names_it_is_sent() -> None:
    world = shelf()
    world.health = TargetHealth(threshold=1)
    fault(world.health, key_of("early"), now=1e9)
    fault(world.health, key_of("late"), Reason.PROVIDER_KEY_REJECTED, now=1e9)
    page = await world.explainer().models(context(), usable_only=False, after=None, at_most=50)
    for each in page.models:
        request = ask(provider=each.provider.name, model=each.model.id, fallback=False)
        told = await world.explainer().explain(request, context())
        assert bool(told.plan.targets) == (each.obstacle is None), each.provider.id


# Health --------------------------------------------------------------------------------------------------------------


async def test_health_is_of_the_caller_s_targets_that_were_called() -> None:
    world = shelf()
    await world.generator().generate(ask(), context())
    fault(world.health, key_of("his", owner="tenants/acme/users/bob"))
    fault(world.health, key_of("theirs", owner="tenants/other"))
    report = await world.explainer().health(context())
    assert [(each.key[0], each.key[1], each.state, each.recent_calls) for each in report.targets] == [
        ("tenants/acme/providers/zeta", "a", BreakerState.CLOSED, 1)
    ]
    assert (report.connected, report.age_s, report.revision) == (True, 0.25, 7)


@pytest.mark.parametrize(
    ("own", "platform_last", "told"), [(True, False, False), (True, True, True), (False, False, True)]
)
async def test_how_the_platform_s_providers_do_is_for_those_they_may_serve(
    own: bool, platform_last: bool, told: bool
) -> None:
    common = provider("common", owner=Owner())
    world = World(
        config=FakeConfig(configuration([provider("one")] if own else [], [common], platform_last=platform_last))
    )
    world.health.enter((common.name, "small", common.key), 1.0)
    report = await world.explainer().health(context())
    assert [each.key[0] for each in report.targets] == ([common.name] if told else [])


async def test_models_are_listed_with_what_their_provider_s_api_carries() -> None:
    can = Capabilities(streaming=True, tools=False, json_schema=False, images=False, documents=True)
    world = world_of(
        provider("one", models=[model(capabilities=can)]),
        provider("two", models=[model(capabilities=can)], provider_type="gone"),
    )
    planner = world.planner()
    planner.types = ProviderTypes(
        known=frozenset({"openai"}), keyless=frozenset(), features={"openai": lambda *_: ALL & ~DOCUMENTS}
    )
    explainer = Explainer(planner=planner, config=world.config, keys=world.key_states)
    page = await explainer.models(context(), usable_only=False, after=None, at_most=50)
    told = {each.provider.id: list(model_to_pb(each).capabilities) for each in page.models}
    assert told == {"one": ["streaming"], "two": ["streaming", "documents"]}, "of a type that is gone nobody knows"


async def test_what_the_first_target_would_not_be_sent_is_told() -> None:
    first = provider("one", models=[model(capabilities=Capabilities(tools=False))], priority=1)
    world = world_of(first, provider("two", priority=2))
    tool = Tool(name="t", description="", parameters_json="")
    explained = await world.explainer().explain(ask(tools=(tool,), drop_unsupported=True), context())
    assert explained.warnings == ("tools left out: the model 'small' of tenants/acme/providers/one cannot do this",)
