"""Conversations by the rules of Anthropic's API."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain.generation import (
    Generation,
    Message,
    Part,
    Reasoning,
    Role,
    Signature,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from services.router.providers.formats.anthropic_messages.conversation import Conversation
from tests.steps import steps
from tests.unit.router.providers.anthropic_calls import MESSAGES, MODELS, body_of, generations, judged

NO_RESULT = {"content": "There is no result: the tool was not run.", "is_error": True}


def said(role: Role, *parts: Part | str, marks: tuple[int, ...] = ()) -> Message:
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts), marks)


def turns(*messages: Message, system_turns: bool = False) -> list[Any]:
    conversation = Conversation(messages, model="m", system_turns=system_turns)
    found: list[Any] = orjson.loads(orjson.dumps(conversation.turns))
    return found


def texts(*said: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in said]


def call(call_id: str) -> ToolCall:
    return ToolCall(id=call_id, name="get", arguments_json="{}")


def result(call_id: str, text: str = "done") -> ToolResult:
    return ToolResult(tool_call_id=call_id, name="get", parts=(Text(text),))


def use(call_id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "get", "input": {}}


def answer(call_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": "done", **fields}


USER, ASSISTANT, SYSTEM, TOOL = Role.USER, Role.ASSISTANT, Role.SYSTEM, Role.TOOL


@given(st.sampled_from(MODELS), st.data(), st.sampled_from([1, 1000, 1025, 4096, 50_000]))
@settings(max_examples=150, deadline=None)
def test_whatever_is_said_and_asked_for_the_api_takes(model: str, data: st.DataObject, limit: int) -> None:
    request = data.draw(generations(model))
    body = body_of(request, model, limit=limit)
    judged(body)
    roles = [turn["role"] for turn in body["messages"]]
    assert roles[0] == "user"
    assert all(before != after for before, after in pairwise(roles))
    assert {"role", "content"} == {key for turn in body["messages"] for key in turn}


@given(MESSAGES)
@settings(deadline=None)
def test_no_visible_word_of_a_user_is_lost(messages: Sequence[Message]) -> None:
    sent = orjson.dumps(turns(*messages)).decode()
    for message in messages:
        for part in message.parts if message.role is USER else ():
            if isinstance(part, Text) and not part.text.isspace():
                # The last turn's end may be stripped when it is the assistant's only.
                assert orjson.dumps(part.text).decode()[1:-1] in sent


def test_instructions_at_the_head_are_the_system_s_and_later_ones_stay_where_they_are() -> None:
    messages = (
        said(SYSTEM, "One.", "Two."),
        said(SYSTEM, "Three."),
        said(USER, "Hello"),
        said(ASSISTANT, "Hi"),
        said(SYSTEM, "Four."),
        said(USER, "And now?"),
    )
    assert body_of(Generation(messages=messages))["system"] == texts("One.", "Two.", "Three.")
    marked = texts("<system>\nFour.\n</system>", "And now?")
    for known in (False, True):
        assert turns(*messages, system_turns=known)[-1] == {"role": "user", "content": marked}


def test_a_message_of_the_system_stands_after_the_user_s_where_the_model_knows_it() -> None:
    messages = (said(USER, "Hello"), said(SYSTEM, "Be brief."), said(SYSTEM, "In French."), said(ASSISTANT, "Oui"))
    marked = texts("Hello", "<system>\nBe brief.\n</system>", "<system>\nIn French.\n</system>")
    assert turns(*messages)[0]["content"] == marked
    known = turns(*messages, system_turns=True)
    assert known[1] == {"role": "system", "content": texts("Be brief.", "In French.")}
    assert [turn["role"] for turn in known] == ["user", "system", "assistant"]


def test_instructions_among_the_results_of_tools_do_not_end_the_turn() -> None:
    messages = (
        said(USER, "Go"),
        said(ASSISTANT, call("a"), call("b")),
        said(TOOL, result("a")),
        said(SYSTEM, "Be brief."),
        said(TOOL, result("b")),
    )
    expected = [answer("a"), answer("b"), *texts("<system>\nBe brief.\n</system>")]
    assert turns(*messages, system_turns=True)[-1] == {"role": "user", "content": expected}


@pytest.mark.parametrize(
    "messages",
    [
        (said(ASSISTANT, "Hi"), said(USER, "Hello")),
        (said(SYSTEM, "Write a poem."),),
        (said(USER, " "), said(ASSISTANT, "Hi"), said(USER, "Hello")),
    ],
)
def test_the_user_begins(messages: tuple[Message, ...]) -> None:
    assert turns(*messages)[0] == {"role": "user", "content": "Begin."}


def test_neighbours_of_one_role_are_one_turn() -> None:
    assert turns(said(USER, "a"), said(USER, "b"), said(ASSISTANT, "c"), said(ASSISTANT, "d"), said(USER, "e")) == [
        {"role": "user", "content": texts("a", "b")},
        {"role": "assistant", "content": texts("c", "d")},
        {"role": "user", "content": "e"},
    ]


@pytest.mark.parametrize("parts", [(), (Text("  "),)])
def test_an_error_says_something(parts: tuple[Text, ...]) -> None:
    failed = ToolResult(tool_call_id="1", name="get", parts=parts, is_error=True)
    sent = turns(said(USER, "Go"), said(ASSISTANT, call("1")), said(TOOL, failed))
    assert sent[-1]["content"] == [answer("1", content="(nothing)", is_error=True)]


def test_what_is_blank_is_not_sent() -> None:
    assert turns(said(USER, " ", "a", "\n"), said(ASSISTANT, " "), said(USER, "b")) == [
        {"role": "user", "content": texts("a", "b")}
    ]
    assert turns(said(USER, "a"), said(ASSISTANT, "b"), said(USER, " "))[-1] == {"role": "user", "content": "(nothing)"}


def test_what_the_assistant_last_said_ends_with_no_blank() -> None:
    assert turns(said(USER, "a"), said(ASSISTANT, "b \n"))[-1]["content"] == "b"
    assert turns(said(USER, "a"), said(ASSISTANT, "b \n"), said(USER, "c"))[1]["content"] == "b \n"


def test_results_stand_first_in_the_turn_after_their_calls() -> None:
    messages = (
        said(USER, "Go"),
        said(ASSISTANT, call("a"), call("b")),
        said(USER, "Wait"),
        said(TOOL, result("b")),
        said(TOOL, result("a")),
    )
    assert turns(*messages)[-1]["content"] == [answer("b"), answer("a"), *texts("Wait")]


def test_a_call_that_nothing_answered_is_told_as_such() -> None:
    messages = (said(USER, "Go"), said(ASSISTANT, call("a"), call("b")), said(TOOL, result("b")))
    assert turns(*messages, said(ASSISTANT, "Done"))[2]["content"] == [answer("b"), answer("a", **NO_RESULT)]
    assert turns(*messages[:2], said(USER, "Stop"))[-1]["content"] == [
        answer("a", **NO_RESULT),
        answer("b", **NO_RESULT),
        *texts("Stop"),
    ]
    assert turns(*messages[:2])[-1]["content"] == [answer("a", **NO_RESULT), answer("b", **NO_RESULT)]


def test_a_result_that_answers_no_call_of_the_turn_before_is_text() -> None:
    messages = (said(USER, "Go"), said(TOOL, result("a", "12"), ToolResult(tool_call_id="b", name="get", parts=())))
    assert turns(*messages)[0]["content"] == texts(
        "Go", "The tool get answered:", "12", "The tool get answered:", "(nothing)"
    )


def test_ids_of_other_providers_are_written_in_the_api_s_alphabet_and_once_each() -> None:
    first = (said(ASSISTANT, call("call 0"), call("é")), said(TOOL, result("é"), result("call 0")))
    again = (said(ASSISTANT, call("call 0"), call("call_0")), said(TOOL, result("call_0"), result("call 0")))
    found = turns(said(USER, "Go"), *first, *again)
    assert found[1]["content"] == [use("call_0"), use("_")]
    assert found[2]["content"] == [answer("_"), answer("call_0")]
    assert found[3]["content"] == [use("call_0_2"), use("call_0_3")]
    assert found[4]["content"] == [answer("call_0_3"), answer("call_0_2")]


def test_thoughts_stay_in_their_places_unless_a_turn_would_end_with_them() -> None:
    thought = Reasoning("Hm", Signature(b"tmark"))
    sealed = Reasoning("", Signature(b"rdata"))
    found = turns(said(USER, "Go"), said(ASSISTANT, thought, call("a"), sealed), said(TOOL, result("a")))
    assert found[1]["content"] == [{"type": "thinking", "thinking": "Hm", "signature": "mark"}, use("a")]
    found = turns(said(USER, "Go"), said(ASSISTANT, sealed, thought, "Well"), said(ASSISTANT, sealed))
    assert [block["type"] for block in found[1]["content"]] == ["redacted_thinking", "thinking", "text"]
    assert turns(said(USER, "Go"), said(ASSISTANT, thought), said(USER, "on")) == [
        {"role": "user", "content": texts("Go", "on")}
    ]


def test_instructions_before_a_turn_that_came_to_nothing_are_marked_in_the_user_s() -> None:
    thought = Reasoning("Hm", Signature(b"tmark"))
    messages = (said(USER, "Go"), said(SYSTEM, "Be brief."), said(ASSISTANT, thought), said(USER, "on"))
    assert turns(*messages, system_turns=True) == [
        {"role": "user", "content": texts("Go", "<system>\nBe brief.\n</system>", "on")}
    ]


def test_thoughts_go_back_to_the_model_that_had_them() -> None:
    def kept(origin: bytes) -> bool:
        parts = (
            Reasoning("Hm", Signature(b"tmark" + origin)),
            Reasoning("", Signature(b"rdata" + origin)),
            Text("Well"),
        )
        content = turns(said(USER, "Go"), said(ASSISTANT, *parts), said(USER, "on"))[1]["content"]
        return bool(content != "Well")

    assert kept(b"\nm")
    assert not kept(b"\nm2")
    assert not kept(b"\n")


@pytest.mark.parametrize("mark", [b"", b"t", b"r", b"x1", b"t\xff", b"t\nm", b"t\xff\nm", b"tx\n\xff"])
def test_marks_that_were_not_made_here_are_not_sent(mark: bytes) -> None:
    messages = (said(USER, "Go"), said(ASSISTANT, Reasoning("Hm", Signature(mark)), "Well"), said(USER, "on"))
    assert turns(*messages)[1]["content"] == "Well"


def test_a_breakpoint_on_what_is_not_sent_goes_to_what_stands_before_it() -> None:
    cached = {"cache_control": {"type": "ephemeral"}}
    found = turns(
        said(USER, "a", " ", marks=(1,)),
        said(ASSISTANT, "b", call("c"), marks=(1,)),
        said(TOOL, result("c"), marks=(0,)),
    )
    assert found[0]["content"] == [{**texts("a")[0], **cached}]
    assert found[1]["content"] == [*texts("b"), {**use("c"), **cached}]
    assert found[2]["content"] == [{**answer("c"), **cached}]
    thought = Reasoning("Hm", Signature(b"tmark"))
    assert "cache_control" not in str(turns(said(USER, "a"), said(ASSISTANT, thought, "b", marks=(0,))))
    assert "cache_control" not in str(turns(said(USER, "a"), said(ASSISTANT, thought, " ", "b", marks=(1,))))


def test_tools_that_were_called_are_defined_even_when_none_is_on_offer() -> None:
    messages = (said(USER, "Go"), said(ASSISTANT, call("a")), said(TOOL, result("a")))
    body = body_of(Generation(messages=messages))
    assert body["tools"] == [{"name": "get", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}
    put = Tool(name="put", description="", parameters_json="")
    body = body_of(Generation(messages=messages, tools=(put,)))
    assert [tool["name"] for tool in body["tools"]] == ["put", "get"]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("model", "goes_on"),
    [
        ("claude-3-5-haiku", True),
        ("claude-haiku-4-5", True),
        ("claude-opus-4-6", False),
        ("claude-mythos-preview", False),
        ("claude-sonnet-5-5", False),
        ("my-own", False),
    ],
)
def test_newer_models_are_told_to_go_on(model: str, *, goes_on: bool) -> None:
    body = body_of(Generation(messages=(said(USER, "Go"), said(ASSISTANT, "One, two, "))), model)
    last = body["messages"][-1]
    expected = ("assistant", "One, two,") if goes_on else ("user", "Continue.")
    assert (last["role"], last["content"]) == expected
    if not goes_on:
        assert body["messages"][-2]["content"] == "One, two, "


def test_results_stand_at_the_head_of_every_turn() -> None:
    talk = [said(USER, "Go")]
    for each in ("1", "2"):
        talk += [said(ASSISTANT, call(each)), said(USER, "And?"), said(TOOL, result(each))]
    for turn in turns(*talk)[2::2]:
        assert [block["type"] for block in turn["content"]] == ["tool_result", "text"]


def test_ids_that_come_again_and_again_stay_apart() -> None:
    talk = [said(USER, "Go")]
    for _ in range(3):
        talk += [said(ASSISTANT, call("a"), call("a")), said(TOOL, result("a", "1"), result("a", "2"))]
    ids = [block["id"] for turn in turns(*talk) for block in turn["content"] if "id" in block]
    assert ids == ["a", "a_2", "a_3", "a_4", "a_5", "a_6"]
    answers = [block for turn in turns(*talk) for block in turn["content"] if "tool_use_id" in block]
    assert [each["tool_use_id"] for each in answers] == ids
    assert [each["content"] for each in answers] == ["1", "2"] * 3


def test_a_result_that_comes_after_the_next_turn_becomes_text() -> None:
    talk = [
        said(USER, "Go"),
        said(ASSISTANT, call("1")),
        said(USER, "And?"),
        said(ASSISTANT, "Hm."),
        said(TOOL, result("1")),
    ]
    *_, answered, _, last = turns(*talk)
    assert answered["content"][0] == {"type": "tool_result", "tool_use_id": "1", **NO_RESULT}
    assert last["content"] == texts("The tool get answered:", "done")


def test_an_id_that_was_made_is_not_given_again() -> None:
    talk = [said(USER, "Go"), said(ASSISTANT, call("a"), call("a")), said(TOOL, result("a"), result("a"))]
    talk += [said(ASSISTANT, call("a_2")), said(TOOL, result("a_2"))]
    ids = [block["id"] for turn in turns(*talk) for block in turn["content"] if "id" in block]
    assert ids == ["a", "a_2", "a_2_2"]


def test_long_conversations_take_linear_time() -> None:
    def work(rounds: int) -> int:
        talk = [said(USER, "Go")]
        for _ in range(rounds):
            # The same ids in every turn, as dialects make them that get none.
            ids = [f"call_{place}" for place in range(50)]
            talk.append(said(ASSISTANT, *map(call, ids)))
            talk += [said(TOOL, result(each)) for each in reversed(ids)]
        return steps(lambda: Conversation(talk, model="m", system_turns=False))

    assert work(80) < 12 * work(8)
