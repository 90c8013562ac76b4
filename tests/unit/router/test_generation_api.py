"""The servicers that look and do not call, and the trace in every answer, message by message."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from gatehouse.router.v1 import generation_pb2, message_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb
from gatehouse.router.v1 import provider_health_service_pb2 as health_pb
from google.protobuf.json_format import MessageToDict

from libs.core.errors import InvalidArgument
from libs.core.page_tokens import encode_page_token
from libs.core.secret import Secret
from libs.identity.caller import Caller
from libs.rpc import context as rpc_context
from libs.rpc.context import RequestContext
from services.router.api import convert
from services.router.api.generation_service import GenerationService
from services.router.api.outcomes import answer_to_pb
from services.router.api.provider_health_service import ProviderHealthService
from services.router.domain.configuration import Capabilities
from services.router.domain.health import TargetHealth
from services.router.domain.preference import Preferences, Profile
from services.router.domain.route import Arm, Experiment, Strategy, Tier
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
    route,
    to,
    world_of,
)
from tests.unit.router.planning import fault, key_of

WORK = "tenants/acme/users/ann/profiles/work"
QUESTION = generation_pb2.Generation(
    messages=[message_pb2.Message(role=message_pb2.ROLE_USER, parts=[message_pb2.Part(text="Why?")])]
)


@pytest.fixture(autouse=True)
def caller() -> Iterator[None]:
    now = time.monotonic()
    ann = Caller(tenant="acme", user="ann", plan="pro", token=Secret(b"the-token"))
    request = RequestContext(
        method="/m", request_id="r", peer="", metadata={}, arrived=now, deadline=now + 30, established=ann
    )
    token = rpc_context._current.set(request)
    yield
    rpc_context._current.reset(token)


def service(world: World) -> GenerationService:
    return GenerationService(world.generator(), world.embeddings(), world.explainer())


def everything() -> World:
    """A world in which every field of a trace has something to say."""
    held = configuration(
        [provider("one", models=[model(price=PRICE)]), provider("off", active=False), provider("arm")],
        routes=[
            route(
                "write",
                strategy=Strategy.COMPLEXITY,
                tiers=(Tier(id="all", most_score=100, targets=(to("one"), to("gone"))),),
                experiment=Experiment(
                    name="tenants/acme/routes/write/experiments/x",
                    arms=(Arm(id="a", share_percent=100, target=to("arm")),),
                ),
            )
        ],
        preferences=Preferences(user="ann", preferred=choice("off"), active_profile=WORK),
        profile=Profile(name=WORK),
    )
    return World(config=FakeConfig(held))


TRACE: dict[str, Any] = {
    "targets": [
        {
            "provider": "tenants/acme/providers/arm",
            "providerType": "openai",
            "model": "small",
            "key": "tenants/acme/keys/arm",
            "rule": "experiment",
            "reason": "arm a of experiment x",
        },
        {
            "provider": "tenants/acme/providers/one",
            "providerType": "openai",
            "model": "small",
            "key": "tenants/acme/keys/one",
            "rule": "route",
            "reason": "tier all of the route write",
        },
    ],
    "rejected": [
        {
            "target": {
                "provider": "tenants/acme/providers/off",
                "providerType": "openai",
                "model": "small",
                "key": "tenants/acme/keys/off",
                "rule": "preference",
                "reason": "preferred",
            },
            "cause": "PROVIDER_INACTIVE",
            "description": "it is not active",
        },
        {
            "target": {
                "provider": "tenants/acme/providers/gone",
                "rule": "route",
                "reason": "tier all of the route write",
            },
            "cause": "UNKNOWN_PROVIDER",
            "description": "there is no such provider",
        },
    ],
    "revision": "7",
    "route": "tenants/acme/routes/write",
    "experiment": "tenants/acme/routes/write/experiments/x",
    "arm": "a",
    "profile": WORK,
    "complexity": {"score": 0, "length": 0, "tools": 0, "code": 0, "images": 0, "jsonSchema": 0, "tier": "all"},
    "configurationAge": "0.250s",
}


def as_dict(trace: generation_pb2.RouteTrace) -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(trace)
    found["complexity"] = MessageToDict(trace.complexity, always_print_fields_with_no_presence=True)
    return found


async def test_an_answer_s_trace_says_all_of_its_plan() -> None:
    world = everything()
    given, outcome = await world.generator().generate(ask(task="write"), context())
    assert as_dict(answer_to_pb(given, outcome).outcome.trace) == TRACE


async def test_an_explanation_says_the_same_and_what_each_target_would_cost() -> None:
    request = pb.ExplainRouteRequest(generation=QUESTION)
    request.generation.task = "write"
    response = await service(everything()).ExplainRoute(request, None)
    # 5 tokens in and 500 out, at $0.15 and $0.60 a million.
    assert response.trace.targets[1].estimated_cost.nanos == 300_750
    assert not response.trace.targets[0].HasField("estimated_cost")
    response.trace.targets[1].ClearField("estimated_cost")
    assert as_dict(response.trace) == TRACE


async def test_explaining_needs_no_messages_and_estimating_does() -> None:
    world = world_of(provider("one"))
    assert len((await service(world).ExplainRoute(pb.ExplainRouteRequest(), None)).trace.targets) == 1
    with pytest.raises(InvalidArgument):
        await service(world).EstimateCost(pb.EstimateCostRequest(), None)


async def test_an_estimate_has_tokens_costs_and_assumptions() -> None:
    world = world_of(provider("one", models=[model(price=PRICE, max_output_tokens=1_000)]), provider("two"))
    response = await service(world).EstimateCost(pb.EstimateCostRequest(generation=QUESTION), None)
    assert response.revision == 7
    priced, unpriced = response.estimates
    assert (priced.likely_input_tokens, priced.likely_output_tokens) == (5, 500)
    assert (priced.most_input_tokens, priced.most_output_tokens) == (12, 1_000)
    assert (priced.likely_cost.nanos, priced.most_cost.nanos) == (300_750, 601_800)
    assert priced.target.estimated_cost == priced.likely_cost
    assert len(priced.assumptions) >= 4
    assert not unpriced.HasField("likely_cost")
    assert not unpriced.HasField("most_cost")


async def test_a_listed_model_has_all_a_picker_shows() -> None:
    fine = model(
        "big",
        display_name="Big One",
        context_tokens=8_000,
        max_output_tokens=1_000,
        price=PRICE,
        capabilities=Capabilities(tools=False, reasoning=True),
    )
    world = world_of(
        provider("one", models=[fine, model("off", enabled=False)], default_model="big", display_name="Our One")
    )
    response = await service(world).ListModels(pb.ListModelsRequest(), None)
    big, off = response.models
    assert MessageToDict(big) == {
        "provider": "tenants/acme/providers/one",
        "providerDisplayName": "Our One",
        "model": "big",
        "displayName": "Big One",
        "usable": True,
        "isDefault": True,
        "contextTokens": 8_000,
        "maxOutputTokens": 1_000,
        "capabilities": ["streaming", "json_schema", "images", "reasoning"],
        "inputPricePerMillion": {"currencyCode": "USD", "nanos": 150_000_000},
        "outputPricePerMillion": {"currencyCode": "USD", "nanos": 600_000_000},
    }
    assert (off.display_name, off.usable, off.cause) == ("off", False, "MODEL_DISABLED")
    assert off.description
    assert response.next_page_token == ""


async def test_models_come_in_pages_bound_to_their_arguments() -> None:
    world = world_of(*(provider(f"p{number}") for number in range(5)))
    seen: list[str] = []
    token = ""
    while True:
        response = await service(world).ListModels(pb.ListModelsRequest(page_size=2, page_token=token), None)
        seen += [each.provider for each in response.models]
        token = response.next_page_token
        if not token:
            break
        with pytest.raises(InvalidArgument) as other:
            await service(world).ListModels(pb.ListModelsRequest(page_token=token, usable_only=True), None)
        assert other.value.field_violations[0].field == "page_token"
    assert seen == [f"tenants/acme/providers/p{number}" for number in range(5)]


@pytest.mark.parametrize("cursor", ["", "1", "a b c d", "1 2 three", "1 -2 a b", "1 2 a b c"])
async def test_a_made_up_token_is_refused(cursor: str) -> None:
    arguments = {"method": "ListModels", "tenant": "acme", "user": "ann", "usable_only": False}
    with pytest.raises(InvalidArgument) as refused:
        await service(world_of()).ListModels(
            pb.ListModelsRequest(page_token=encode_page_token(cursor, arguments)), None
        )
    assert refused.value.field_violations[0].field == "page_token"


async def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        await service(world_of()).ListModels(pb.ListModelsRequest(page_size=-1), None)


async def test_health_says_how_targets_do_and_how_old_the_configuration_is() -> None:
    world = world_of(provider("one", priority=1), provider("two", priority=2))
    world.health = TargetHealth(threshold=1, cooldown_s=50)
    fault(world.health, key_of("two"), now=time.monotonic())
    async for _ in world.generator().stream(ask(), context()):
        pass
    response = await ProviderHealthService(world.explainer()).ListProviderHealth(
        health_pb.ListProviderHealthRequest(), None
    )
    one, two = response.targets
    assert (one.provider, one.model, one.key) == key_of("one")
    assert (one.state, one.recent_calls, one.recent_faults) == (health_pb.BREAKER_STATE_CLOSED, 1, 0)
    assert one.HasField("average_first_content")
    assert not one.HasField("cooling_until")
    assert (two.state, two.recent_calls, two.recent_faults) == (health_pb.BREAKER_STATE_OPEN, 1, 1)
    assert two.cooling_until.ToNanoseconds() / 1e9 == pytest.approx(time.time() + 50, abs=5)
    assert not two.HasField("average_first_content")
    state = response.configuration
    assert (state.connected, state.age.ToMilliseconds(), state.revision) == (True, 250, 7)


@pytest.mark.parametrize(("length", "elsewhere"), [(1_000, False), (1_000_000, True)])
async def test_the_other_calls_go_on_while_a_large_one_is_read(
    length: int, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    read = convert.generation

    def noticed(*arguments: Any, **named: Any) -> Any:
        threads.append(threading.get_ident())
        return read(*arguments, **named)

    monkeypatch.setattr(convert, "generation", noticed)
    world = everything()
    said = message_pb2.Message(role=message_pb2.ROLE_USER, parts=[message_pb2.Part(text="a" * length)])
    asked = generation_pb2.Generation(messages=[said])
    await service(world).Generate(pb.GenerateRequest(generation=asked), None)
    [_ async for _ in service(world).StreamGenerate(pb.StreamGenerateRequest(generation=asked), None)]
    await service(world).EstimateCost(pb.EstimateCostRequest(generation=asked), None)
    await service(world).ExplainRoute(pb.ExplainRouteRequest(generation=asked), None)
    assert [each != threading.get_ident() for each in threads] == [elsewhere] * 4
    with pytest.raises(InvalidArgument):
        await service(world).Generate(
            pb.GenerateRequest(generation=generation_pb2.Generation(messages=[said], top_k=-1)), None
        )
