from __future__ import annotations

import pytest

from libs.core.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from libs.core.resource_names import Owner
from services.router.domain.configuration import Capabilities, Provider
from services.router.domain.generation import Generation, Image, JsonSchemaFormat, Message, Role, Tool
from services.router.domain.health import TargetHealth
from services.router.domain.routing.causes import Cause, Rule
from tests.unit.router.fakes import ask, configuration, model, provider
from tests.unit.router.planning import ANN, causes, fault, ids, key_of, plan


def test_the_default_provider_comes_first_then_priority_then_name() -> None:
    config = configuration(
        [
            provider("b", priority=5),
            provider("a", priority=5),
            provider("late", priority=900),
            provider("chosen", priority=1000, is_default=True),
        ]
    )
    route = plan(ask(), config)
    assert ids(route) == ["chosen", "a", "b", "late"]
    assert [each.rule for each in route.targets] == [Rule.DEFAULT, Rule.PRIORITY, Rule.PRIORITY, Rule.PRIORITY]


def test_a_user_s_own_default_comes_before_the_tenant_s() -> None:
    config = configuration([provider("shared", is_default=True), provider("mine", owner=ANN, is_default=True)])
    assert ids(plan(ask(), config)) == ["mine", "shared"]


def test_another_user_s_provider_is_invisible() -> None:
    config = configuration([provider("bobs", owner=Owner("acme", "bob")), provider("shared")])
    route = plan(ask(), config)
    assert ids(route) == ["shared"]
    assert route.rejected == ()


def test_a_tenant_with_providers_of_its_own_never_gets_the_platform_s() -> None:
    config = configuration([provider("own", active=False)], [provider("platforms", owner=Owner())])
    assert ids(plan(ask(), config)) == []


def test_a_tenant_without_providers_gets_the_platform_s() -> None:
    config = configuration([], [provider("platforms", owner=Owner())])
    route = plan(ask(), config)
    assert ids(route) == ["platforms"]
    assert route.targets[0].rule is Rule.PLATFORM


def test_a_named_provider_is_the_only_target_unless_fallback_is_allowed() -> None:
    config = configuration([provider("one", is_default=True), provider("two")])
    assert ids(plan(ask(provider="two", fallback=False), config)) == ["two"]
    assert ids(plan(ask(provider="two", fallback=True), config)) == ["two", "one"]
    assert ids(plan(ask(provider="tenants/acme/providers/two", fallback=False), config)) == ["two"]


def test_a_named_model_finds_the_first_provider_that_has_it() -> None:
    config = configuration([provider("one", models=[model("a")]), provider("two", models=[model("a"), model("b")])])
    route = plan(ask(model="b", fallback=False), config)
    assert [(each.provider.id, each.model.id) for each in route.targets] == [("two", "b")]


def test_without_fallback_a_second_provider_of_the_model_is_not_chosen() -> None:
    config = configuration([provider("one"), provider("two")])
    route = plan(ask(model="small", fallback=False), config)
    assert ids(route) == ["one"]
    assert causes(route) == {"two": Cause.NOT_CHOSEN}


def test_an_unknown_provider_or_model_names_the_field() -> None:
    config = configuration([provider("one")])
    with pytest.raises(InvalidArgument) as unknown_provider:
        plan(ask(provider="nope"), config)
    assert unknown_provider.value.field_violations[0].field == "generation.provider"
    for request in (ask(model="nope"), ask(provider="one", model="nope")):
        with pytest.raises(InvalidArgument) as unknown_model:
            plan(request, config)
        assert unknown_model.value.field_violations[0].field == "generation.model"


@pytest.mark.parametrize("name", ["tenants/other/providers/one", "tenants/acme/users/bob/providers/one"])
def test_somebody_else_s_provider_is_denied_whether_it_exists_or_not(name: str) -> None:
    with pytest.raises(PermissionDenied) as denied:
        plan(ask(provider=name), configuration([provider("one")]))
    assert denied.value.message == "you may not do this, or the resource does not exist"


@pytest.mark.parametrize(
    ("candidate", "cause"),
    [
        (provider(active=False), Cause.PROVIDER_INACTIVE),
        (provider(provider_type="carrier-pigeon"), Cause.UNSUPPORTED_TYPE),
        (provider(key=""), Cause.NO_KEY),
        (provider(models=[model(enabled=False)]), Cause.NO_MODEL),
        (provider(models=[model(enabled=False)], default_model="small"), Cause.MODEL_DISABLED),
        (provider(default_model="gone"), Cause.UNKNOWN_MODEL),
        (provider(models=[model(context_tokens=1)]), Cause.CONTEXT_TOO_LONG),
        (provider(models=[model(max_output_tokens=10)]), Cause.OUTPUT_LIMIT_EXCEEDED),
    ],
)
def test_an_unusable_target_is_rejected_with_its_cause(candidate: Provider, cause: Cause) -> None:
    route = plan(ask("x" * 100, max_output_tokens=11), configuration([candidate]))
    assert (ids(route), causes(route)) == ([], {"one": cause})
    with pytest.raises(FailedPrecondition) as nothing:
        route.require_target()
    assert [each.type for each in nothing.value.precondition_violations] == [cause]


def test_a_type_without_keys_needs_none() -> None:
    assert ids(plan(ask(), configuration([provider(key="", provider_type="openai_compatible")]))) == ["one"]


@pytest.mark.parametrize(
    ("request_", "lacking", "word"),
    [
        (ask(tools=(Tool(name="t", description="", parameters_json=""),)), Capabilities(tools=False), "tools"),
        (
            ask(response_format=JsonSchemaFormat(name="s", description="", schema_json="{}", strict=True)),
            Capabilities(json_schema=False),
            "JSON Schema",
        ),
        (
            Generation(messages=(Message(Role.USER, (Image(url="https://x/y.png"),)),)),
            Capabilities(images=False),
            "images",
        ),
    ],
)
def test_what_a_model_cannot_do_is_named(request_: Generation, lacking: Capabilities, word: str) -> None:
    route = plan(request_, configuration([provider(models=[model(capabilities=lacking)])]))
    assert causes(route) == {"one": Cause.CAPABILITY_MISSING}
    assert word in route.rejected[0].description


def test_a_target_that_cools_down_is_passed_over_until_it_has() -> None:
    health = TargetHealth(threshold=1, cooldown_s=5)
    one, two = provider("one"), provider("two")
    fault(health, key_of("one"), now=97.0)
    config = configuration([one, two])
    assert ids(plan(ask(), config, health=health)) == ["two"]
    fault(health, key_of("two"), now=94.0)
    assert ids(plan(ask(), config, health=health)) == ["two"]
