from __future__ import annotations

import time
from typing import Any

import gatehouse
import pytest
from gatehouse import Client, GatehouseError
from gatehouse.router.v1.generation_pb2 import (
    REASONING_EFFORT_HIGH,
    REASONING_EFFORT_NONE,
    Generation,
    Outcome,
    ReasoningRequest,
    TokenUsage,
)
from gatehouse.router.v1.generation_service_pb2 import (
    Completed,
    GenerateResponse,
    Started,
    StreamGenerateResponse,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from gatehouse.router.v1.message_pb2 import ROLE_ASSISTANT, Message, Part, ToolCall

from tests.unit.client.fake_gatehouse import FakeGatehouse

SKY = GenerateResponse(
    message=Message(
        role=ROLE_ASSISTANT, parts=[Part(text="Be"), Part(text="cause."), Part(tool_call=ToolCall(id="1"))]
    ),
    outcome=Outcome(operation_id="op", usage=TokenUsage(input_tokens=4)),
)


def slow(_: object) -> GenerateResponse:
    time.sleep(2)
    return GenerateResponse()


def sent(fake: FakeGatehouse, method: str = "Generate") -> Generation:
    generation: Generation = fake.last(method).request.generation
    return generation


def test_an_answer_has_its_text_tool_calls_and_outcome(fake: FakeGatehouse, client: Client) -> None:
    fake.answers["Generate"] = lambda _: SKY
    answer = client.generate("Why is the sky blue?")
    assert (answer.text, str(answer)) == ("Because.", "Because.")
    assert answer.tool_calls == (ToolCall(id="1"),)
    assert answer.outcome == SKY.outcome
    assert answer.cost_nano_usd is None


def test_the_cost_is_exact(fake: FakeGatehouse, client: Client) -> None:
    response = GenerateResponse()
    response.outcome.cost.currency_code, response.outcome.cost.units, response.outcome.cost.nanos = "USD", 2, 12_450
    fake.answers["Generate"] = lambda _: response
    assert client.generate("x").cost_nano_usd == 2_000_012_450


def test_a_prompt_alone_leaves_everything_else_unset(fake: FakeGatehouse, client: Client) -> None:
    client.generate("Why?")
    assert sent(fake) == Generation(messages=[gatehouse.user("Why?")])


def test_every_option_reaches_its_field(fake: FakeGatehouse, client: Client) -> None:
    client.generate(
        "and now?",
        messages=[gatehouse.user("before"), gatehouse.assistant("yes")],
        system="Be brief.",
        provider="openai",
        model="gpt",
        fallback=True,
        tools=[gatehouse.tool("clock")],
        tool_choice="required",
        parallel_tool_calls=False,
        response_format="json",
        max_output_tokens=5,
        temperature=0.0,
        top_p=0.5,
        stop="END",
        seed=0,
        task="extraction",
        labels={"a": "b"},
        request_id="id",
    )
    generation = sent(fake)
    assert [part.text for message in generation.messages for part in message.parts] == [
        "Be brief.",
        "before",
        "yes",
        "and now?",
    ]
    assert (generation.provider, generation.model, generation.fallback) == ("openai", "gpt", 2)
    assert [tool.name for tool in generation.tools] == ["clock"]
    assert generation.tool_choice.mode == 2
    assert generation.response_format.WhichOneof("format") == "json"
    assert (generation.HasField("parallel_tool_calls"), generation.parallel_tool_calls) == (True, False)
    assert (generation.HasField("temperature"), generation.temperature) == (True, 0.0)
    assert (generation.HasField("seed"), generation.seed) == (True, 0)
    assert (generation.max_output_tokens, generation.top_p, list(generation.stop)) == (5, 0.5, ["END"])
    assert (generation.task, dict(generation.labels), generation.request_id) == ("extraction", {"a": "b"}, "id")


def test_options_of_reasoning_sampling_and_service_reach_their_fields(fake: FakeGatehouse, client: Client) -> None:
    client.generate(
        "x",
        reasoning="high",
        hide_reasoning=True,
        top_k=40,
        frequency_penalty=-0.5,
        presence_penalty=0.0,
        compatibility="drop",
        service_tier="flex",
        end_user="u-7",
        prompt_cache_key="manual",
    )
    generation = sent(fake)
    assert generation.reasoning == ReasoningRequest(effort=REASONING_EFFORT_HIGH, hide=True)
    assert (generation.top_k, generation.frequency_penalty, generation.presence_penalty) == (40, -0.5, 0.0)
    assert generation.HasField("presence_penalty")
    assert (generation.compatibility, generation.service_tier) == (2, 3)
    assert (generation.end_user, generation.prompt_cache_key) == ("u-7", "manual")
    client.generate("x", reasoning=2048)
    assert sent(fake).reasoning == ReasoningRequest(budget_tokens=2048)
    client.generate("x", reasoning="none")
    assert sent(fake).reasoning == ReasoningRequest(effort=REASONING_EFFORT_NONE)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"reasoning": "hard"}, "reasoning is one of none, low, medium, high, max, not 'hard'"),
        ({"hide_reasoning": True}, "hide_reasoning goes with reasoning"),
        ({"service_tier": "fast"}, "service_tier is one of auto, standard, flex, priority, not 'fast'"),
        ({"compatibility": "unspecified"}, "compatibility is one of strict, drop, not 'unspecified'"),
    ],
)
def test_words_are_checked_before_the_call(
    fake: FakeGatehouse, client: Client, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        client.generate("x", **options)
    assert fake.received == []


def test_a_tool_is_chosen_by_name_and_fallback_refused(fake: FakeGatehouse, client: Client) -> None:
    client.generate("x", tool_choice="clock", fallback=False, stop=["a", "b"])
    assert sent(fake).tool_choice.tool == "clock"
    assert sent(fake).fallback == 1
    assert list(sent(fake).stop) == ["a", "b"]


def test_a_json_schema_can_be_given_as_it_is(fake: FakeGatehouse, client: Client) -> None:
    client.generate("x", response_format={"type": "object"})
    shape = sent(fake).response_format.json_schema
    assert (shape.name, shape.schema_json, shape.strict) == ("answer", '{"type": "object"}', True)
    with pytest.raises(ValueError, match="response_format"):
        client.generate("x", response_format="yaml")  # type: ignore[arg-type]


def test_a_call_carries_its_token_deadline_and_revision(fake: FakeGatehouse, client: Client) -> None:
    client.generate("x", timeout=20, revision=42)
    call = fake.last("Generate")
    assert call.metadata["authorization"] == "Bearer t0ken"
    assert call.metadata["gatehouse-revision"] == "42"
    assert call.seconds_left == pytest.approx(20, abs=5)
    client.generate("x")
    assert fake.last("Generate").seconds_left == pytest.approx(60, abs=10)
    assert "gatehouse-revision" not in fake.last("Generate").metadata
    client.keys.get("tenants/acme/keys/x")
    assert fake.last("GetKey").seconds_left == pytest.approx(30, abs=5)


def test_a_callable_token_is_asked_for_each_call(fake: FakeGatehouse) -> None:
    tokens = iter(["one", "two"])
    with Client(endpoints=fake.target, ca=fake.ca, token=lambda: next(tokens)) as client:
        client.generate("x")
        list(client.stream("x"))
    assert [call.metadata["authorization"] for call in fake.received] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("token", ["secret\ntoken", "secret token", "sécret", " "])
def test_a_token_no_header_can_carry_is_refused_without_quoting_it(fake: FakeGatehouse, token: str) -> None:
    with Client(endpoints=fake.target, ca=fake.ca, token=token) as client:
        with pytest.raises(gatehouse.Unauthenticated) as caught:
            client.generate("x")
        assert "cret" not in str(caught.value)


def test_a_slow_answer_ends_at_the_deadline(fake: FakeGatehouse, client: Client) -> None:
    fake.answers["Generate"] = slow
    with pytest.raises(gatehouse.DeadlineExceeded, match=r"within 0\.1 s"):
        client.generate("x", timeout=0.1)


def test_a_stream_gives_typed_events_in_order(fake: FakeGatehouse, client: Client) -> None:
    fake.answers["StreamGenerate"] = lambda _: [
        StreamGenerateResponse(started=Started(operation_id="op")),
        StreamGenerateResponse(text_delta="Be"),
        StreamGenerateResponse(tool_call_started=ToolCallStarted(name="clock")),
        StreamGenerateResponse(tool_arguments_delta=ToolArgumentsDelta(arguments_json="{}")),
        StreamGenerateResponse(completed=Completed(outcome=SKY.outcome)),
    ]
    events = list(client.stream("x"))
    assert [event.kind for event in events] == [
        "started",
        "text_delta",
        "tool_call_started",
        "tool_arguments_delta",
        "completed",
    ]
    assert [event.text for event in events] == ["", "Be", "", "", ""]
    assert events[0].started == Started(operation_id="op")
    assert events[2].tool_call_started == ToolCallStarted(name="clock")
    assert events[3].tool_arguments_delta == ToolArgumentsDelta(arguments_json="{}")
    assert events[4].outcome == SKY.outcome
    text = events[1]
    assert (text.started, text.tool_call_started, text.tool_arguments_delta, text.outcome) == (None,) * 4


def endless(_: Any) -> Any:
    while True:
        yield StreamGenerateResponse(text_delta="word ")
        time.sleep(0.01)


def test_closing_a_stream_cancels_the_call(fake: FakeGatehouse, client: Client) -> None:
    fake.answers["StreamGenerate"] = endless
    events = client.stream("x")
    next(events)
    assert not fake.ended.is_set()
    events.close()
    assert fake.ended.wait(10)


def test_leaving_the_loop_cancels_the_call(fake: FakeGatehouse, client: Client) -> None:
    fake.answers["StreamGenerate"] = endless
    for event in client.stream("x"):
        assert event.text == "word "
        break
    assert fake.ended.wait(10)


def test_a_large_message_fits(fake: FakeGatehouse, client: Client) -> None:
    text = "x" * (8 * 1024 * 1024)
    fake.answers["Generate"] = lambda _: GenerateResponse(message=gatehouse.assistant(text))
    assert len(client.generate("x").text) == len(text)


def test_explain_asks_without_a_prompt(fake: FakeGatehouse, client: Client) -> None:
    client.explain(model="gpt", revision=3)
    assert sent(fake, "ExplainRoute") == Generation(model="gpt")
    assert fake.last("ExplainRoute").metadata["gatehouse-revision"] == "3"


def test_an_error_can_be_caught_by_its_base(fake: FakeGatehouse) -> None:
    with Client(endpoints="localhost:1", ca=fake.ca) as client, pytest.raises(GatehouseError):
        client.generate("x")
