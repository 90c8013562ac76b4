"""What every dialect must do, whatever its wire format: one suite over the whole registry."""

import pytest
from jsonschema import Draft202012Validator
from orjson import loads

from libs.sandbox import Sandbox
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    FinishReason,
    Generation,
    Message,
    Role,
    Text,
    ToolArgumentsDelta,
    ToolChoiceMode,
    ToolResult,
)
from services.router.providers.http.session import HttpProviderSession
from services.router.providers.registry import DIALECTS
from tests.contract.dialects.calls import CALLS, CITY_SCHEMA, WEATHER, Call, said
from tests.contract.dialects.folding import folded
from tests.integration.router_providers.wire import CANARY, dispatch, failure, streamed

TABLE = [
    ("stop", FinishReason.STOP),
    ("length", FinishReason.LENGTH),
    ("tool_calls", FinishReason.TOOL_CALLS),
    ("content_filter", FinishReason.CONTENT_FILTER),
    ("something_new", FinishReason.UNKNOWN),
]


async def both_ways(session: HttpProviderSession, base_url: str, dialect: str, call: Call) -> tuple[Answer, Answer]:
    """The answer in one piece, and the streamed one folded."""
    sent = dispatch(base_url, call.generation, dialect=dialect, output_limit=call.output_limit)
    return await session.generate(sent), folded(await streamed(session, sent))


async def asked(session: HttpProviderSession, base_url: str, dialect: str, generation: Generation) -> Answer:
    """The answer, which is the same both ways."""
    whole, stream = await both_ways(
        session, base_url, dialect, Call(generation=generation, params=CALLS["text"].params)
    )
    assert whole == stream
    return whole


@pytest.mark.parametrize("name", CALLS)
async def test_a_streamed_answer_is_the_whole_answer(
    session: HttpProviderSession, base_url: str, dialect: str, name: str
) -> None:
    whole, stream = await both_ways(session, base_url, dialect, CALLS[name])
    assert whole == stream


@pytest.mark.parametrize("name", CALLS)
async def test_the_buckets_sum_to_what_the_provider_bills(
    session: HttpProviderSession, sandbox: Sandbox, base_url: str, dialect: str, name: str
) -> None:
    answers = await both_ways(session, base_url, dialect, CALLS[name])
    await sandbox.bill.wait_finished(2)
    billed = [record for record in sandbox.bill.records() if record.event == "finished"]
    if name == "no usage":
        assert [answer.usage for answer in answers] == [None, None]
        return
    for answer, record in zip(answers, billed, strict=True):
        usage = answer.usage
        assert usage is not None
        assert usage.total == record.prompt_tokens + record.completion_tokens
        assert (usage.cache_read_tokens, usage.reasoning_tokens) == (record.cached_tokens, record.reasoning_tokens)
        assert usage.input_tokens == record.prompt_tokens - record.cached_tokens
    assert [record.call for record in billed] == ["operation/1"] * 2


@pytest.mark.parametrize(("raw", "reason"), TABLE)
async def test_finish_reasons_are_told_apart_and_kept(
    session: HttpProviderSession, base_url: str, dialect: str, raw: str, reason: FinishReason
) -> None:
    answer = await asked(session, base_url, dialect, Generation(messages=(said(f"Hi [[sandbox finish={raw}]]"),)))
    assert (answer.finish_reason, answer.raw_finish_reason) == (reason, raw)


async def test_tool_choices_are_obeyed(session: HttpProviderSession, base_url: str, dialect: str) -> None:
    def names(answer: Answer) -> list[str]:
        return [call.name for call in answer.tool_calls]

    async def chosen(name: str) -> Answer:
        return await asked(session, base_url, dialect, CALLS[name].generation)

    assert names(await chosen("one tool on offer")) == []
    assert names(await chosen("tool choice auto, parallel calls")) == ["get_weather", "get_time", "get_weather"]
    assert names(await chosen("tool choice required")) == ["get_weather"]
    assert names(await chosen("tool choice none")) == []
    assert names(await chosen("tool choice by name, no parallel calls")) == ["get_time"]


async def test_tool_arguments_come_in_pieces_and_fit_the_schema(
    session: HttpProviderSession, base_url: str, dialect: str
) -> None:
    generation = Generation(
        messages=(said("Weather? [[sandbox tools=3]]"),), tools=(WEATHER,), tool_choice=ToolChoiceMode.REQUIRED
    )
    events = await streamed(session, dispatch(base_url, generation, dialect=dialect))
    answer = folded(events)
    assert len({call.id for call in answer.tool_calls}) == 3
    for index, call in enumerate(answer.tool_calls):
        Draft202012Validator(CITY_SCHEMA).validate(loads(call.arguments_json))
        assert sum(isinstance(each, ToolArgumentsDelta) and each.index == index for each in events) > 1


async def test_a_tool_conversation_goes_on_with_the_answer_as_it_came(
    session: HttpProviderSession, base_url: str, dialect: str
) -> None:
    question = said("Weather? [[sandbox tools=2]]")
    first = await asked(session, base_url, dialect, Generation(messages=(question,), tools=(WEATHER,)))
    assert first.finish_reason is FinishReason.TOOL_CALLS
    results = tuple(
        ToolResult(tool_call_id=call.id, name="get_weather", parts=(Text("sunny, 21 degrees"),))
        for call in first.tool_calls
    )
    turns = (question, Message(Role.ASSISTANT, first.tool_calls), Message(Role.TOOL, results))
    second = await asked(session, base_url, dialect, Generation(messages=turns, tools=(WEATHER,)))
    assert "sunny, 21 degrees" in second.text
    assert second.finish_reason is FinishReason.STOP


async def test_json_comes_by_the_schema(session: HttpProviderSession, base_url: str, dialect: str) -> None:
    for name in ("JSON by a strict schema", "JSON by a loose schema"):
        answer = await asked(session, base_url, dialect, CALLS[name].generation)
        Draft202012Validator(CITY_SCHEMA).validate(loads(answer.text))
    assert isinstance(loads((await asked(session, base_url, dialect, CALLS["any JSON"].generation)).text), dict)


async def test_images_arrive(session: HttpProviderSession, base_url: str, dialect: str) -> None:
    answer = await asked(session, base_url, dialect, CALLS["images by bytes and by URL"].generation)
    assert "2 images were received" in answer.text


async def test_the_output_limit_is_kept(session: HttpProviderSession, base_url: str, dialect: str) -> None:
    whole, stream = await both_ways(session, base_url, dialect, CALLS["an answer cut by its limit"])
    assert whole == stream
    assert whole.finish_reason is FinishReason.LENGTH
    assert whole.usage is not None
    assert whole.usage.output_tokens + whole.usage.reasoning_tokens == 3


async def test_a_stop_word_ends_the_answer(session: HttpProviderSession, base_url: str, dialect: str) -> None:
    answer = await asked(session, base_url, dialect, Generation(messages=(said("Hi"),), stop=("practice",)))
    assert answer.text == "Hello from the sandbox, the "


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("words", "reason", "status"),
    [
        ("status=400", Reason.PROVIDER_INVALID_REQUEST, 400),
        ("status=422", Reason.PROVIDER_INVALID_REQUEST, 422),
        ("status=400 code=context_length_exceeded", Reason.CONTEXT_TOO_LONG, 400),
        ("status=413", Reason.CONTEXT_TOO_LONG, 413),
        ("status=400 code=content_filter", Reason.CONTENT_REFUSED, 400),
        ("status=401", Reason.PROVIDER_KEY_REJECTED, 401),
        ("status=403", Reason.PROVIDER_PERMISSION_DENIED, 403),
        ("status=402", Reason.PROVIDER_BILLING, 402),
        ("status=429 code=insufficient_quota", Reason.PROVIDER_BILLING, 429),
        ("status=429 retry_after=1.5", Reason.PROVIDER_RATE_LIMITED, 429),
        ("status=404", Reason.PROVIDER_MODEL_NOT_FOUND, 404),
        ("status=408", Reason.PROVIDER_TIMEOUT, 408),
        ("status=503", Reason.PROVIDER_OVERLOADED, 503),
        ("status=529", Reason.PROVIDER_OVERLOADED, 529),
        ("status=500", Reason.PROVIDER_ERROR, 500),
        ("status=502", Reason.PROVIDER_ERROR, 502),
        ("status=504", Reason.PROVIDER_ERROR, 504),
        ("status=302 location=/elsewhere", Reason.PROVIDER_BAD_RESPONSE, 302),
        ("error_after=0", Reason.PROVIDER_ERROR, 200),
        ("garbage", Reason.PROVIDER_BAD_RESPONSE, 200),
        ("html", Reason.PROVIDER_BAD_RESPONSE, 200),
        ("reset", Reason.PROVIDER_UNREACHABLE, 0),
        ("cut_after=0", Reason.PROVIDER_UNREACHABLE, 0),
    ],
)
async def test_every_failure_has_its_class(
    session: HttpProviderSession, base_url: str, dialect: str, words: str, reason: Reason, status: int, stream: bool
) -> None:
    call = dispatch(base_url, Generation(messages=(said(f"Hi [[sandbox {words}]]"),)), dialect=dialect)
    error = await failure(session, call, stream=stream)
    assert (error.reason, error.status) == (reason, status)
    assert error.retry_after_s == (1.5 if "retry_after" in words else None)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_wrong_key_and_an_unknown_model_are_told_apart(
    session: HttpProviderSession, base_url: str, dialect: str, stream: bool
) -> None:
    wrong_key = await failure(session, dispatch(base_url, dialect=dialect, key="sk-other"), stream=stream)
    no_model = await failure(session, dispatch(base_url, dialect=dialect, model="gpt-0"), stream=stream)
    assert (wrong_key.reason, no_model.reason) == (Reason.PROVIDER_KEY_REJECTED, Reason.PROVIDER_MODEL_NOT_FOUND)


@pytest.mark.parametrize("stream", [True, False])
async def test_no_attempt_is_repeated(
    session: HttpProviderSession, sandbox: Sandbox, base_url: str, dialect: str, stream: bool
) -> None:
    for words in ("status=503", "status=429 retry_after=0", "reset", "cut_after=0"):
        call = dispatch(base_url, Generation(messages=(said(f"Hi [[sandbox {words}]]"),)), dialect=dialect)
        await failure(session, call, stream=stream)
    assert len(sandbox.requests) == 4


def test_a_dialect_names_itself_and_hides_nothing_in_its_key_header() -> None:
    for name, dialect in DIALECTS.items():
        assert name == dialect.id
        headers = dialect.key_headers(CANARY, {})
        assert all(header.isascii() for header in headers)
        assert any(CANARY in value for value in headers.values())


@pytest.mark.parametrize("stream", [True, False])
def test_the_key_is_not_in_path_or_body(stream: bool) -> None:
    for dialect in DIALECTS.values():
        for call in CALLS.values():
            encoded = dialect.encode(call.generation, provider_model_id="m", output_limit=None, stream=stream)
            assert encoded.path.startswith("/")
            assert b"sk-" not in encoded.path.encode() + encoded.body


def test_classifying_rubbish_never_raises() -> None:
    for dialect in DIALECTS.values():
        for status in (100, 200, 204, 302, 400, 401, 429, 500, 999):
            for body in (b"", b"\xff", b"[" * 100_000, b'{"error":[{"a":1}]}', b"null", b'{"error":null}'):
                assert isinstance(dialect.classify(status, {"retry-after": "\x00"}, body), ProviderError)
