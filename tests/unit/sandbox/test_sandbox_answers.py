import pytest

from libs.sandbox.answers import make_answer
from libs.sandbox.dialect import Answer, Finish, Question, Refusal, Tool
from libs.sandbox.dialects.openai_chat import OpenAIChat
from libs.sandbox.directives import Directives

WEATHER = Tool(name="get_weather", parameters=b'{"type":"object","properties":{"city":{"type":"string"}}}')


def question(**changes: object) -> Question:
    fields: dict[str, object] = {
        "model": "sandbox-small",
        "digest": bytes(16),
        "prompt_tokens": 9,
        "user_text": "Why is the sky blue? [[sandbox tokens=70]]",
        "stream": True,
        "include_usage": True,
    }
    return Question(**{**fields, **changes})  # type: ignore[arg-type]


def text(answer: Answer) -> str:
    return "".join(answer.pieces)


def test_the_answer_says_what_it_is_and_echoes_the_question_without_directives() -> None:
    answer = make_answer(question(), Directives())
    assert text(answer).startswith("Hello from the sandbox")
    assert "“Why is the sky blue?”" in text(answer)
    assert "[[" not in text(answer)


@pytest.mark.parametrize("tokens", [0, 1, 7, 68, 500])
def test_tokens_sets_the_length(tokens: int) -> None:
    answer = make_answer(question(), Directives(tokens=tokens))
    assert (tokens, "stop") == (answer.completion_tokens, answer.finish)


@pytest.mark.parametrize(("limit", "finish"), [(5, "length"), (50, "stop"), (51, "stop"), (49, "length")])
def test_the_token_limit_cuts_with_finish_length(limit: int, finish: str) -> None:
    answer = make_answer(question(max_tokens=limit), Directives(tokens=50))
    assert (min(limit, 50), finish) == (answer.completion_tokens, answer.finish)


def test_reasoning_counts_towards_the_limit() -> None:
    answer = make_answer(question(max_tokens=10), Directives(reasoning=8))
    assert (
        answer.completion_tokens,
        answer.reasoning_tokens,
        len(answer.pieces),
        answer.finish,
    ) == (10, 8, 2, "length")


def test_a_stop_sequence_ends_the_answer_before_it() -> None:
    answer = make_answer(question(stop=("practice", "nowhere")), Directives())
    assert (text(answer), answer.finish) == ("Hello from the sandbox, the ", "stop")


def test_parallel_calls_take_the_tools_in_turn_with_different_arguments() -> None:
    other = Tool(name="get_time", parameters=WEATHER.parameters)
    answer = make_answer(question(tools=(WEATHER, other)), Directives(tools=3))
    assert [call.name for call in answer.calls] == ["get_weather", "get_time", "get_weather"]
    assert len({call.call_id for call in answer.calls}) == 3
    assert len({"".join(call.pieces) for call in answer.calls}) == 3
    assert answer.finish == "tool_calls"


@pytest.mark.parametrize(
    "changes",
    [{"tool_result": "sunny"}, {"tools_allowed": False}],
    ids=["a tool has answered", "tool_choice none"],
)
def test_no_tool_is_called_when(changes: dict[str, object]) -> None:
    answer = make_answer(question(tools=(WEATHER,), **changes), Directives(tools=2))
    assert answer.calls == ()


def test_asking_for_tools_without_offering_any_is_refused() -> None:
    with pytest.raises(Refusal, match="needs tools"):
        make_answer(question(), Directives(tools=1))


@pytest.mark.parametrize("limit", range(1, 40))
def test_the_bill_of_a_limited_tool_answer_adds_up(limit: int) -> None:
    ask = question(tools=(WEATHER,), max_tokens=limit)
    answer = make_answer(ask, Directives(tools=2))
    frames = list(OpenAIChat().frames(ask, answer))
    assert answer.completion_tokens == sum(frame.tokens for frame in frames)
    assert answer.completion_tokens <= limit


@pytest.mark.parametrize(
    ("changes", "wishes"),
    [
        ({}, Directives()),
        ({"include_usage": False}, Directives(tokens=0)),
        ({}, Directives(reasoning=3, show_reasoning=True)),
        ({}, Directives(reasoning=3, no_usage=True)),
        ({}, Directives(no_finish=True)),
        ({"tools": (WEATHER,)}, Directives(tools=2)),
        ({"output_schema": WEATHER.parameters}, Directives()),
    ],
)
def test_a_stream_in_one_piece_is_its_frames_joined(changes: dict[str, object], wishes: Directives) -> None:
    ask, dialect = question(**changes), OpenAIChat()
    answer = make_answer(ask, wishes)
    frames = list(dialect.frames(ask, answer))
    assert b"".join(frame.data for frame in frames) == dialect.stream_at_once(ask, answer)
    assert answer.completion_tokens == sum(frame.tokens for frame in frames)
    assert answer.chunks == sum(frame.part.name == "CONTENT" for frame in frames)


def test_reasoning_is_as_long_as_the_caller_lets_it_be_and_shown_when_asked_for() -> None:
    asked = make_answer(question(reasoning_tokens=4, show_reasoning=True), Directives(), default_reasoning=12)
    assert (asked.reasoning_tokens, len(asked.shown_reasoning)) == (4, 4)
    assert "".join(asked.shown_reasoning) == asked.reasoning_text
    hidden = make_answer(question(reasoning_tokens=0), Directives(reasoning=3), default_reasoning=12)
    assert (hidden.reasoning_tokens, hidden.shown_reasoning) == (3, ())
    assert hidden.reasoning_text
    redacted = make_answer(question(show_reasoning=True), Directives(reasoning=3, redacted=True))
    assert (redacted.redacted, redacted.shown_reasoning) == (True, ())
    assert not make_answer(question(), Directives(redacted=True)).redacted


@pytest.mark.parametrize(
    ("limit", "pieces", "calls", "finish"), [(None, 6, 1, "tool_calls"), (4, 4, 0, "length"), (7, 6, 0, "length")]
)
def test_words_come_before_tools_when_told_to(limit: int | None, pieces: int, calls: int, finish: str) -> None:
    answer = make_answer(question(tools=(WEATHER,), max_tokens=limit), Directives(tools=1, text_before_tools=True))
    assert (len(answer.pieces), len(answer.calls), answer.finish) == (pieces, calls, finish)
    assert text(answer).startswith("Let me ask")


def test_the_stop_sequence_that_ended_it_is_told() -> None:
    assert make_answer(question(stop=("nowhere", "practice")), Directives()).stop_sequence == "practice"
    assert make_answer(question(stop=("practice",), max_tokens=2), Directives()).stop_sequence is None
    assert make_answer(question(), Directives()).stop_sequence is None


def test_finish_words_are_the_dialect_s_but_raw_ones_stay() -> None:
    words = {Finish.STOP: "end_turn", Finish.LENGTH: "max_tokens", Finish.TOOL_CALLS: "tool_use"}
    assert make_answer(question(), Directives()).finish_word(words) == "end_turn"
    assert make_answer(question(), Directives(finish="stop")).finish_word(words) == "stop"
    assert make_answer(question(), Directives(no_finish=True)).finish_word(words) is None


def test_everything_that_came_along_is_told() -> None:
    said = text(make_answer(question(images=1, audio=2, documents=1, thoughts=2), Directives()))
    assert " 1 image was received" in said
    assert " 2 recordings were received" in said
    assert " 1 document was received" in said
    assert " 2 thoughts came back as given." in said
    failed = text(make_answer(question(tool_result="no such city", tool_failed=True), Directives()))
    assert "The tool failed: “no such city”." in failed
