"""What every dialect must do, whatever its wire format: one suite over all of them."""

from collections.abc import Mapping

import pytest
from jsonschema import Draft202012Validator
from orjson import loads

from libs.sandbox import Sandbox
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    FinishReason,
    Generation,
    Message,
    Role,
    Text,
    ToolArgumentsDelta,
    ToolCall,
    ToolResult,
)
from services.router.providers.http.session import HttpProviderSession
from services.router.providers.registry import DIALECTS
from tests.contract.dialects.asking import asked, both_ways, failed, said, saying, sent
from tests.contract.dialects.calls import CITY_SCHEMA, WEATHER
from tests.contract.dialects.folding import folded
from tests.contract.dialects.questions import QUESTIONS
from tests.contract.dialects.variants import VARIANTS, Variant
from tests.integration.router_providers.wire import CANARY, failure, streamed

CASES = [
    pytest.param(variant, name, id=f"{variant}-{name}")
    for variant in sorted(VARIANTS)
    for name, question in QUESTIONS.items()
    if VARIANTS[variant].can(*question.needs)
]
FINISHES = [
    pytest.param(variant, raw, id=f"{variant}-{raw}")
    for variant in sorted(VARIANTS)
    for raw in VARIANTS[variant].finishes
]


@pytest.mark.parametrize(("variant", "name"), CASES, indirect=["variant"])
async def test_a_streamed_answer_is_the_whole_answer(
    session: HttpProviderSession, base_url: str, variant: Variant, name: str
) -> None:
    whole, stream = await both_ways(session, base_url, variant, QUESTIONS[name].request)
    assert whole == stream


@pytest.mark.parametrize(("variant", "name"), CASES, indirect=["variant"])
async def test_the_buckets_sum_to_what_the_provider_bills(
    session: HttpProviderSession, sandbox: Sandbox, base_url: str, variant: Variant, name: str
) -> None:
    answers = await both_ways(session, base_url, variant, QUESTIONS[name].request)
    await sandbox.bill.wait_finished(2)
    billed = [record for record in sandbox.bill.records() if record.event == "finished"]
    if name == "no usage":
        assert [answer.usage for answer in answers] == [None, None]
        return
    for answer, record in zip(answers, billed, strict=True):
        usage = answer.usage
        assert usage is not None
        assert usage.total == record.prompt_tokens + record.completion_tokens
        assert usage.cache_read_tokens == (record.cached_tokens if variant.counts_cache else 0)
        assert usage.reasoning_tokens == (record.reasoning_tokens if variant.counts_reasoning else 0)
        assert usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens == record.prompt_tokens
    assert [record.call for record in billed] == ["operation/1"] * 2


@pytest.mark.parametrize(("variant", "raw"), FINISHES, indirect=["variant"])
async def test_finish_reasons_are_told_apart_and_kept(
    session: HttpProviderSession, base_url: str, variant: Variant, raw: str
) -> None:
    answer = await asked(session, base_url, variant, saying(f"Hi [[sandbox finish={raw}]]"))
    assert (answer.finish_reason, answer.raw_finish_reason) == (variant.finishes[raw], raw)


async def test_a_wish_for_tools_is_told_as_such(session: HttpProviderSession, base_url: str, variant: Variant) -> None:
    request = Generation(messages=(said("Weather? [[sandbox tools=2]]"),), tools=(WEATHER,))
    answer = await asked(session, base_url, variant, request)
    assert answer.finish_reason is FinishReason.TOOL_CALLS
    assert [call.name for call in answer.tool_calls] == ["get_weather"] * 2


async def test_tool_choices_are_obeyed(session: HttpProviderSession, base_url: str, variant: Variant) -> None:
    async def names(name: str) -> list[str]:
        answer = await asked(session, base_url, variant, QUESTIONS[name].request)
        return [call.name for call in answer.tool_calls]

    assert await names("one tool on offer") == []
    assert await names("tool choice auto, parallel calls") == ["get_weather", "get_time", "get_weather"]
    if variant.can("tool_choice"):
        assert await names("tool choice required") == ["get_weather"]
        assert await names("tool choice none") == []
        assert await names("tool choice by name") == ["get_time"]


async def test_tool_arguments_come_in_pieces_and_fit_the_schema(
    session: HttpProviderSession, base_url: str, variant: Variant
) -> None:
    generation = Generation(messages=(said("Weather? [[sandbox tools=3]]"),), tools=(WEATHER,))
    events = await streamed(session, sent(variant, base_url, generation))
    answer = folded(events)
    assert len({call.id for call in answer.tool_calls}) == 3
    for index, call in enumerate(answer.tool_calls):
        Draft202012Validator(CITY_SCHEMA).validate(loads(call.arguments_json))
        pieces = sum(isinstance(each, ToolArgumentsDelta) and each.index == index for each in events)
        assert pieces > 1 or (variant.whole_arguments and pieces == 1)


async def test_a_tool_conversation_goes_on_with_the_answer_as_it_came(
    session: HttpProviderSession, base_url: str, variant: Variant
) -> None:
    question = said("Weather? [[sandbox tools=2]]")
    first = await asked(session, base_url, variant, Generation(messages=(question,), tools=(WEATHER,)))
    assert first.finish_reason is FinishReason.TOOL_CALLS
    results = tuple(
        ToolResult(tool_call_id=call.id, name=call.name, parts=(Text("sunny, 21 degrees"),))
        for call in first.tool_calls
    )
    turns = (question, Message(Role.ASSISTANT, first.parts), Message(Role.TOOL, results))
    second = await asked(session, base_url, variant, Generation(messages=turns, tools=(WEATHER,)))
    assert "sunny, 21 degrees" in second.text
    assert second.finish_reason is FinishReason.STOP


async def test_ids_of_calls_differ_from_turn_to_turn(
    session: HttpProviderSession, base_url: str, variant: Variant
) -> None:
    turns: list[Message] = []
    ids: list[str] = []
    for city in ("Oslo", "Rome"):
        turns.append(said(f"Weather in {city}? [[sandbox tools=1]]"))
        answer = await asked(session, base_url, variant, Generation(messages=tuple(turns), tools=(WEATHER,)))
        (call,) = answer.tool_calls
        ids.append(call.id)
        result = ToolResult(tool_call_id=call.id, name=call.name, parts=(Text("sunny"),))
        turns += [Message(Role.ASSISTANT, answer.parts), Message(Role.TOOL, (result,))]
        answer = await asked(session, base_url, variant, Generation(messages=tuple(turns), tools=(WEATHER,)))
        turns.append(Message(Role.ASSISTANT, answer.parts))
    assert len(ids) == 2


async def test_json_comes_by_the_schema(session: HttpProviderSession, base_url: str, variant: Variant) -> None:
    for name in ("JSON by a strict schema", "JSON by a loose schema"):
        answer = await asked(session, base_url, variant, QUESTIONS[name].request)
        Draft202012Validator(CITY_SCHEMA).validate(loads(answer.text))
        assert answer.tool_calls == ()
        assert answer.finish_reason is FinishReason.STOP
    if variant.can("json"):
        answer = await asked(session, base_url, variant, QUESTIONS["any JSON"].request)
        assert isinstance(loads(answer.text), dict)


async def test_the_output_limit_is_kept(session: HttpProviderSession, base_url: str, variant: Variant) -> None:
    answer = await asked(session, base_url, variant, QUESTIONS["an answer cut by its limit"].request)
    assert answer.finish_reason is FinishReason.LENGTH
    assert answer.usage is not None
    assert answer.usage.output_tokens + answer.usage.reasoning_tokens == 3


async def test_a_stop_word_ends_the_answer(session: HttpProviderSession, base_url: str, variant: Variant) -> None:
    if not variant.can("stop"):
        pytest.skip("the provider has no stop words")
    answer = await asked(session, base_url, variant, Generation(messages=(said("Hi"),), stop=("practice",)))
    assert answer.text == "Hello from the sandbox, the "


FAILURES: Mapping[str, tuple[Reason, int]] = {
    "status=400": (Reason.PROVIDER_INVALID_REQUEST, 400),
    "status=422": (Reason.PROVIDER_INVALID_REQUEST, 422),
    "status=400 code=context_length_exceeded": (Reason.CONTEXT_TOO_LONG, 400),
    "status=413": (Reason.CONTEXT_TOO_LONG, 413),
    "status=400 code=content_filter": (Reason.CONTENT_REFUSED, 400),
    "status=401": (Reason.PROVIDER_KEY_REJECTED, 401),
    "status=403": (Reason.PROVIDER_PERMISSION_DENIED, 403),
    "status=402": (Reason.PROVIDER_BILLING, 402),
    "status=429 code=insufficient_quota": (Reason.PROVIDER_BILLING, 429),
    "status=429 retry_after=1.5": (Reason.PROVIDER_RATE_LIMITED, 429),
    "status=404": (Reason.PROVIDER_MODEL_NOT_FOUND, 404),
    "status=408": (Reason.PROVIDER_TIMEOUT, 408),
    "status=503": (Reason.PROVIDER_OVERLOADED, 503),
    "status=529": (Reason.PROVIDER_OVERLOADED, 529),
    "status=500": (Reason.PROVIDER_ERROR, 500),
    "status=502": (Reason.PROVIDER_ERROR, 502),
    "status=302 location=/elsewhere": (Reason.PROVIDER_BAD_RESPONSE, 302),
    "error_after=0": (Reason.PROVIDER_ERROR, 200),
    "garbage": (Reason.PROVIDER_BAD_RESPONSE, 200),
    "html": (Reason.PROVIDER_BAD_RESPONSE, 200),
    "reset": (Reason.PROVIDER_UNREACHABLE, 0),
    "cut_after=0": (Reason.PROVIDER_UNREACHABLE, 0),
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("words", FAILURES)
async def test_every_failure_has_its_class(
    session: HttpProviderSession, base_url: str, variant: Variant, words: str, stream: bool
) -> None:
    if words in variant.unworded:
        pytest.skip("the provider has no words for it")
    error = await failed(session, base_url, variant, f"Hi [[sandbox {words}]]", stream=stream)
    assert (error.reason, error.status) == FAILURES[words]
    assert error.retry_after_s == (1.5 if "retry_after" in words else None)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_wrong_key_and_an_unknown_model_are_told_apart(
    session: HttpProviderSession, base_url: str, variant: Variant, stream: bool
) -> None:
    wrong_key = await failure(session, sent(variant, base_url, saying("Hi"), key="sk-other"), stream=stream)
    no_model = await failure(session, sent(variant, base_url, saying("Hi"), model="gpt-0"), stream=stream)
    assert (wrong_key.reason, no_model.reason) == (Reason.PROVIDER_KEY_REJECTED, Reason.PROVIDER_MODEL_NOT_FOUND)


@pytest.mark.parametrize("stream", [True, False])
async def test_no_attempt_is_repeated(
    session: HttpProviderSession, sandbox: Sandbox, base_url: str, variant: Variant, stream: bool
) -> None:
    for words in ("status=503", "status=429 retry_after=0", "reset", "cut_after=0"):
        await failed(session, base_url, variant, f"Hi [[sandbox {words}]]", stream=stream)
    assert len(sandbox.requests) == 4


def test_a_dialect_names_itself_and_hides_nothing_in_its_key_header() -> None:
    for name, dialect in DIALECTS.items():
        assert name == dialect.id
        headers = dialect.key_headers(CANARY, {})
        assert all(header.isascii() for header in headers)
        assert any(CANARY in value for value in headers.values())


@pytest.mark.parametrize("stream", [True, False])
def test_the_key_is_not_in_path_or_body(variant: Variant, stream: bool) -> None:
    for question in QUESTIONS.values():
        if variant.can(*question.needs):
            encoded = variant.dialect.encode(
                question.request, provider_model_id="m", output_limit=9, stream=stream, options=variant.options
            )
            assert encoded.path.startswith("/")
            assert b"sk-" not in encoded.path.encode() + encoded.body


def test_classifying_rubbish_never_raises() -> None:
    for dialect in DIALECTS.values():
        for status in (100, 200, 204, 302, 400, 401, 429, 500, 999):
            for body in (b"", b"\xff", b"[" * 100_000, b'{"error":[{"a":1}]}', b"null", b'{"error":null}'):
                assert isinstance(dialect.classify(status, {"retry-after": "\x00"}, body), ProviderError)


async def test_a_call_in_an_answer_has_an_object_for_arguments(
    session: HttpProviderSession, base_url: str, variant: Variant
) -> None:
    request = Generation(
        messages=(said("Time? [[sandbox tools=1]]"),), tools=QUESTIONS["a tool call without words"].request.tools
    )
    answer = await asked(session, base_url, variant, request)
    (call,) = answer.tool_calls
    assert isinstance(call, ToolCall)
    assert isinstance(loads(call.arguments_json or "{}"), dict)
