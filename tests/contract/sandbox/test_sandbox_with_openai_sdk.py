"""The sandbox held against the official SDK: what its client understands is the dialect."""

from typing import Any

import openai
import orjson
import pytest
from jsonschema import Draft202012Validator
from openai import AsyncOpenAI
from pydantic import BaseModel

from libs.sandbox import Rule, Sandbox

MODEL = "sandbox-small"
CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": CITY_SCHEMA}}


def ask(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def whole(client: AsyncOpenAI, text: str, **options: Any) -> Any:
    return await client.chat.completions.create(model=MODEL, messages=ask(text), **options)


async def chunks(client: AsyncOpenAI, text: str, **options: Any) -> list[Any]:
    stream = await client.chat.completions.create(model=MODEL, messages=ask(text), stream=True, **options)
    return [chunk async for chunk in stream]


def joined(stream: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


async def test_the_same_question_has_the_same_answer_streamed_or_whole(client: AsyncOpenAI) -> None:
    first, second = await whole(client, "Why?"), await whole(client, "Why?")
    stream = await chunks(client, "Why?", stream_options={"include_usage": True})
    assert first == second
    assert first.choices[0].message.content == joined(stream)
    assert {first.id} == {chunk.id for chunk in stream}
    assert first.usage == stream[-1].usage
    assert first.id != (await whole(client, "Why not?")).id


async def test_the_usage_comes_last_with_empty_choices_and_only_when_asked_for(client: AsyncOpenAI) -> None:
    with_usage = await chunks(client, "Hi", stream_options={"include_usage": True})
    assert with_usage[-1].choices == []
    assert [None] * (len(with_usage) - 1) == [chunk.usage for chunk in with_usage[:-1]]
    assert with_usage[-2].choices[0].finish_reason == "stop"
    without = await chunks(client, "Hi")
    assert all(chunk.usage is None and chunk.choices for chunk in without)


async def test_usage_details_are_as_directed(client: AsyncOpenAI) -> None:
    usage = (await whole(client, "Hi [[sandbox cached=5 reasoning=4 tokens=10]]")).usage
    assert (
        usage.prompt_tokens_details.cached_tokens,
        usage.completion_tokens_details.reasoning_tokens,
        usage.completion_tokens,
    ) == (5, 4, 14)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert (await whole(client, "Hi [[sandbox no_usage]]")).usage is None


@pytest.mark.parametrize("option", ["max_tokens", "max_completion_tokens"])
async def test_the_token_limit_is_kept(client: AsyncOpenAI, option: str) -> None:
    answer = await whole(client, "Hi", **{option: 5})
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 5)


async def test_a_forced_tool_is_called_with_valid_arguments(client: AsyncOpenAI) -> None:
    answer = await whole(client, "Weather?", tools=[WEATHER], tool_choice="required")
    (call,) = answer.choices[0].message.tool_calls
    assert (answer.choices[0].finish_reason, call.function.name) == ("tool_calls", "get_weather")
    Draft202012Validator(CITY_SCHEMA).validate(orjson.loads(call.function.arguments))


async def test_parallel_calls_are_streamed_in_pieces(client: AsyncOpenAI) -> None:
    text = "Weather? [[sandbox tools=2]]"
    expected = (await whole(client, text, tools=[WEATHER])).choices[0].message.tool_calls
    collected: dict[int, dict[str, str]] = {}
    pieces = 0
    for chunk in await chunks(client, text, tools=[WEATHER]):
        for delta in chunk.choices[0].delta.tool_calls or []:
            pieces += 1
            call = collected.setdefault(delta.index, {"id": delta.id, "name": delta.function.name, "arguments": ""})
            call["arguments"] += delta.function.arguments
    assert [{"id": c.id, "name": c.function.name, "arguments": c.function.arguments} for c in expected] == [
        collected[0],
        collected[1],
    ]
    assert pieces > 4


async def test_the_sdk_s_own_stream_helper_accumulates_the_tool_call(client: AsyncOpenAI) -> None:
    tool: Any = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}
    async with client.chat.completions.stream(
        model=MODEL, messages=ask("Weather?"), tools=[tool], tool_choice="required"
    ) as stream:
        final = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    Draft202012Validator(CITY_SCHEMA).validate(orjson.loads(calls[0].function.arguments))


async def test_a_whole_tool_conversation_ends_in_words(client: AsyncOpenAI) -> None:
    first = await whole(client, "Weather? [[sandbox tools=2]]", tools=[WEATHER])
    calls = first.choices[0].message.tool_calls
    results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny, 21 degrees"} for call in calls]
    messages: Any = [
        *ask("Weather? [[sandbox tools=2]]"),
        first.choices[0].message.model_dump(exclude_none=True),
        *results,
    ]
    answer = await client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert "sunny, 21 degrees" in str(answer.choices[0].message.content)


async def test_a_json_schema_answer_parses_into_the_sdk_s_model(client: AsyncOpenAI) -> None:
    class Trip(BaseModel):
        city: str
        days: int

    answer = await client.chat.completions.parse(model=MODEL, messages=ask("A trip"), response_format=Trip)
    assert isinstance(answer.choices[0].message.parsed, Trip)


async def test_a_json_object_answer_is_json(client: AsyncOpenAI) -> None:
    answer = await whole(client, "Answer in JSON", response_format={"type": "json_object"})
    assert isinstance(orjson.loads(answer.choices[0].message.content), dict)


async def test_images_are_taken_and_counted(client: AsyncOpenAI) -> None:
    parts: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}},
    ]
    answer = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    assert "1 image was received" in str(answer.choices[0].message.content)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 85


async def test_a_body_of_several_megabytes_is_taken(client: AsyncOpenAI) -> None:
    url = "data:image/png;base64," + "aGVs" * 1_000_000
    parts: Any = [{"type": "image_url", "image_url": {"url": url}}]
    answer = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].finish_reason == "stop"


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    assert MODEL in [model.id async for model in client.models.list()]


@pytest.mark.parametrize(
    ("words", "error", "code"),
    [
        ("status=400 code=context_length_exceeded", openai.BadRequestError, "context_length_exceeded"),
        ("status=401", openai.AuthenticationError, "invalid_api_key"),
        ("status=402", openai.APIStatusError, "billing_not_active"),
        ("status=403", openai.PermissionDeniedError, "permission_denied"),
        ("status=404", openai.NotFoundError, "model_not_found"),
        ("status=422", openai.UnprocessableEntityError, None),
        ("status=429", openai.RateLimitError, "rate_limit_exceeded"),
        ("status=429 code=insufficient_quota", openai.RateLimitError, "insufficient_quota"),
        ("status=500", openai.InternalServerError, None),
        ("status=503", openai.InternalServerError, None),
        ("status=529", openai.InternalServerError, "overloaded"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_ordered_status_is_the_sdk_s_error(
    client: AsyncOpenAI, words: str, error: type[openai.APIStatusError], code: str | None, stream: bool
) -> None:
    with pytest.raises(error) as caught:
        await whole(client, f"Hi [[sandbox {words}]]", stream=stream)
    assert code == caught.value.code


async def test_retry_after_reaches_the_client(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        await whole(client, "Hi [[sandbox status=429 retry_after=1.5]]")
    headers = caught.value.response.headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1500")


@pytest.mark.parametrize("key", ["sk-other-1234", "sk-sandbox-"])
async def test_a_key_that_is_not_the_sandbox_s_is_refused_without_being_shown(sandbox: Sandbox, key: str) -> None:
    async with AsyncOpenAI(base_url=f"{sandbox.url}/v1", api_key=key, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await whole(client, "Hi")
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
    assert caught.value.code == "invalid_api_key"
    assert key not in str(caught.value)
    assert [record.outcome for record in sandbox.bill.records()] == ["refused"]


async def test_an_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="gpt-99", messages=ask("Hi"))
    assert caught.value.code == "model_not_found"


async def test_the_key_is_echoed_only_when_a_test_asks_for_a_careless_provider(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError, match="canary"):
        await whole(client, "Hi [[sandbox status=401 echo_key]]")
    with pytest.raises(openai.AuthenticationError) as caught:
        await whole(client, "Hi [[sandbox status=401]]")
    assert "canary" not in str(caught.value)


async def test_an_error_in_the_stream_comes_after_the_content_before_it(client: AsyncOpenAI, sandbox: Sandbox) -> None:
    seen = ""
    stream = await whole(client, "Hi [[sandbox error_after=2]]", stream=True)
    with pytest.raises(openai.APIError):
        async for chunk in stream:
            seen += chunk.choices[0].delta.content or ""
    assert seen == "Hello from"
    assert (sandbox.bill.records()[-1].outcome, sandbox.bill.records()[-1].completion_tokens) == ("failed", 2)


async def test_a_cut_stream_is_a_connection_error_after_the_content_before_it(
    client: AsyncOpenAI, sandbox: Sandbox
) -> None:
    seen = ""
    stream = await whole(client, "Hi [[sandbox cut_after=3]]", stream=True)
    with pytest.raises(openai.APIConnectionError):
        async for chunk in stream:
            seen += chunk.choices[0].delta.content or ""
    assert seen == "Hello from the"
    assert (
        sandbox.bill.records()[-1].outcome,
        sandbox.bill.records()[-1].completion_tokens,
        sandbox.bill.records()[-1].chunks,
    ) == ("cut", 3, 3)


@pytest.mark.parametrize("words", ["reset", "cut_after=0", "cut_at_end"])
async def test_a_broken_connection_is_a_connection_error(client: AsyncOpenAI, words: str) -> None:
    with pytest.raises(openai.APIConnectionError):
        await whole(client, f"Hi [[sandbox {words}]]")


async def test_garbage_is_not_taken_for_an_answer(client: AsyncOpenAI, sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expecting|Unterminated"):
        await chunks(client, "Hi [[sandbox garbage]]")
    with pytest.raises((openai.APIResponseValidationError, ValueError)):
        await whole(client, "Hi [[sandbox garbage]]")
    assert {"broken"} == {record.outcome for record in sandbox.bill.records() if record.event == "finished"}


async def test_finish_and_end_can_be_left_out(client: AsyncOpenAI) -> None:
    stream = await chunks(client, "Hi [[sandbox no_finish tokens=2]]")
    assert {None} == {chunk.choices[0].finish_reason for chunk in stream}
    stream = await chunks(client, "Hi [[sandbox no_done tokens=2 finish=content_filter]]")
    assert stream[-1].choices[0].finish_reason == "content_filter"


async def test_a_rule_fails_one_model_and_spares_the_other(client: AsyncOpenAI, sandbox: Sandbox) -> None:
    sandbox.rules.replace([Rule(model=MODEL, times=1, action={"status": 503})])
    with pytest.raises(openai.InternalServerError):
        await whole(client, "Hi")
    answer = await client.chat.completions.create(model="sandbox-large", messages=ask("Hi"))
    assert answer.model == "sandbox-large"
    assert await whole(client, "Hi")


async def test_the_reasoning_model_reasons_and_compatible_providers_show_it(client: AsyncOpenAI) -> None:
    quiet = await client.chat.completions.create(model="sandbox-reasoner", messages=ask("Hi"))
    assert quiet.usage is not None
    assert quiet.usage.completion_tokens_details is not None
    assert quiet.usage.completion_tokens_details.reasoning_tokens == 12
    stream = await chunks(client, "Hi [[sandbox reasoning=5 show_reasoning]]")
    shown = [getattr(chunk.choices[0].delta, "reasoning_content", None) for chunk in stream]
    assert len([piece for piece in shown if piece]) == 5
