"""Conversations by Gemini's rules for turns."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain import features
from services.router.domain.generation import (
    Generation,
    Image,
    JsonSchemaFormat,
    Message,
    NamedTool,
    Reasoning,
    Role,
    Signature,
    Text,
    Tool,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from services.router.providers.dialects.gemini import GEMINI
from tests.steps import steps

MODELS = ("gemini-2.5-flash", "gemini-3.1-pro-preview", "gemini-3.7-flash")
PICTURE = Image(data=b"x", media_type="image/png")


def user(text: str) -> Message:
    return Message(Role.USER, (Text(text),))


def model(*parts: Any) -> Message:
    return Message(Role.ASSISTANT, parts)


def called(call_id: str, name: str = "look") -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments_json="{}")


def result(call_id: str, name: str = "look", text: str = "ok", *, failed: bool = False) -> Message:
    answer = ToolResult(tool_call_id=call_id, name=name, parts=(Text(text),) if text else (), is_error=failed)
    return Message(Role.TOOL, (answer,))


def body(*messages: Message, to: str = "gemini-2.5-flash", **fields: Any) -> Any:
    request = Generation(messages=messages, **fields)
    return orjson.loads(GEMINI.encode(request, provider_model_id=to, output_limit=None, stream=False).body)


def turns(*messages: Message, to: str = "gemini-2.5-flash") -> list[Any]:
    """The role of each turn, with its texts, and the ids of its calls and responses."""

    def shown(part: Any) -> str:
        if "text" in part:
            return str(part["text"])
        kind = next(iter(part))
        return f"{kind}:{part[kind].get('id')}"

    return [(turn["role"], [shown(part) for part in turn["parts"]]) for turn in body(*messages, to=to)["contents"]]


def test_responses_stand_by_themselves_and_in_the_order_of_their_calls() -> None:
    assert turns(user("Go"), model(called("1"), called("2")), result("2"), user("And?"), result("1")) == [
        ("user", ["Go"]),
        ("model", ["functionCall:1", "functionCall:2"]),
        ("user", ["functionResponse:1", "functionResponse:2"]),
        ("user", ["And?"]),
    ]


@pytest.mark.parametrize("after", [(), (user("Well?"),), (model(Text("Hm.")), user("Well?"))])
def test_a_call_without_a_result_gets_one_that_says_so(after: tuple[Message, ...]) -> None:
    sent = body(user("Go"), model(called("1"), called("2")), result("2"), *after)["contents"]
    answered = next(turn for turn in sent if "functionResponse" in turn["parts"][0])
    assert [part["functionResponse"] for part in answered["parts"]] == [
        {"id": "1", "name": "look", "response": {"error": "There is no result: the tool was not run."}},
        {"id": "2", "name": "look", "response": {"output": "ok"}},
    ]


def test_a_result_of_no_call_before_it_becomes_text() -> None:
    late = Message(Role.TOOL, (ToolResult(tool_call_id="1", name="look", parts=(PICTURE,), is_error=True),))
    assert turns(user("Go"), model(called("1")), result("1"), result("1", text="again"), late) == [
        ("user", ["Go"]),
        ("model", ["functionCall:1"]),
        ("user", ["functionResponse:1"]),
        ("user", ["The tool look answered: again", "The tool look failed: (nothing)", "inlineData:None"]),
    ]


def test_calls_of_one_id_are_answered_one_after_the_other() -> None:
    sent = body(
        user("Go"), model(called("1", "a")), result("1", "a", "one"), model(called("1", "b")), result("1", "b", "two")
    )["contents"]
    responses = [part["functionResponse"] for turn in sent for part in turn["parts"] if "functionResponse" in part]
    assert [(each["name"], each["response"]["output"]) for each in responses] == [("a", "one"), ("b", "two")]


def test_calls_of_one_id_in_one_turn_get_their_results_in_order() -> None:
    sent = body(user("Go"), model(called("1"), called("1")), result("1", text="one"), result("1", text="two"))
    responses = [part["functionResponse"]["response"] for part in sent["contents"][2]["parts"]]
    assert responses == [{"output": "one"}, {"output": "two"}]


def test_a_conversation_that_would_begin_with_a_call_begins_with_the_user() -> None:
    assert turns(model(Text("So:"), called("1")), result("1")) == [
        ("user", ["Begin."]),
        ("model", ["So:", "functionCall:1"]),
        ("user", ["functionResponse:1"]),
    ]
    assert turns(model(Text("So.")), user("What?"))[0] == ("model", ["So."])


@pytest.mark.parametrize(
    ("to", "goes_on"),
    [
        ("gemini-2.5-pro", True),
        ("gemini-3-flash-preview", True),
        ("gemini-3.1-flash-lite", True),
        ("gemini-pro-latest", True),
        ("my-own", True),
        ("gemini-3.5-flash-lite", False),
        ("gemini-3.6-flash", False),
        ("gemini-3.7-flash", False),
        ("gemini-flash-latest", False),
        ("gemini-4-argon", False),
    ],
)
def test_newer_models_are_told_to_go_on(to: str, goes_on: bool) -> None:
    sent = turns(user("Go"), model(Text("One, two,")), to=to)
    assert sent[2:] == ([] if goes_on else [("user", ["Continue."])])


def test_tools_that_would_have_the_same_name_on_the_wire_have_different_ones() -> None:
    names = ("1x", "tool_1x", "tool_tool_1x", "tool_x", "tool_")
    tools = tuple(Tool(name=name, description="", parameters_json="") for name in names)
    request = GEMINI.encode(
        Generation(messages=(user("Go"),), tools=tools),
        provider_model_id="gemini-2.5-pro",
        output_limit=1,
        stream=False,
    )
    sent = [each["name"] for each in orjson.loads(request.body)["tools"][0]["functionDeclarations"]]
    assert sent == ["tool_1x", "tool_tool_1x", "tool_tool_tool_1x", "tool_x", "tool_tool_"]
    for ours, theirs in zip(names, sent, strict=True):
        answer = {"candidates": [{"content": {"parts": [{"functionCall": {"name": theirs}}]}, "finishReason": "STOP"}]}
        (call,) = request.answers.decode(orjson.dumps(answer)).tool_calls
        assert call.name == ours


@pytest.mark.parametrize(
    ("to", "thinks", "penalties"),
    [
        ("gemini-2.0-flash", False, True),
        ("gemini-2.5-flash-image", False, True),
        ("gemini-2.5-flash", True, True),
        ("gemini-3-pro-preview", True, False),
        ("gemini-3.8-flash", True, False),
        ("tunedModels/mine", True, True),
    ],
)
def test_what_a_family_lacks_is_known_before_the_call(to: str, thinks: bool, penalties: bool) -> None:
    mask = GEMINI.features({}, to)
    assert (bool(mask & features.REASONING), bool(mask & features.PENALTIES)) == (thinks, penalties)


IDS = st.sampled_from(["1", "2", "call_0", ""])
TEXTS = st.sampled_from(["", " ", "Hi", "\n"])
NAMES = st.sampled_from(["look", "1st", "-a", "_b"])
SIGNATURES = st.none() | st.just(Signature(b"bWFyaw=="))
CALLS = st.builds(ToolCall, id=IDS, name=NAMES, arguments_json=st.just("{}"), signature=SIGNATURES)
RESULTS = st.builds(
    ToolResult,
    tool_call_id=IDS,
    name=NAMES,
    parts=st.lists(st.builds(Text, TEXTS) | st.just(PICTURE), max_size=2).map(tuple),
    is_error=st.booleans(),
)
MARKED = st.builds(Reasoning, TEXTS, st.sampled_from([Signature(b"bWFyaw=="), Signature(b"2:bWFyaw==")]))


def messages(role: Role, parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    return st.lists(parts, min_size=1, max_size=4).map(lambda made: Message(role, tuple(made)))


CONVERSATIONS = st.lists(
    messages(Role.SYSTEM, st.builds(Text, TEXTS))
    | messages(Role.USER, st.builds(Text, TEXTS) | st.just(PICTURE))
    | messages(Role.ASSISTANT, st.builds(Text, TEXTS) | CALLS | MARKED)
    | messages(Role.TOOL, RESULTS),
    min_size=1,
    max_size=8,
)


@given(conversation=CONVERSATIONS, to=st.sampled_from(MODELS))
def test_any_conversation_keeps_the_rules(conversation: list[Message], to: str) -> None:
    check_turns(body(*conversation, to=to)["contents"], newer=to == "gemini-3.7-flash", signs="-3" in to)


def check_turns(contents: list[Any], *, newer: bool, signs: bool) -> None:
    """The API's rules, apart from how the dialect keeps them."""
    assert contents
    waiting: list[Any] = []
    before = ""
    for turn in contents:
        parts = turn["parts"]
        assert parts
        assert turn["role"] in {"user", "model"}
        responses = [part["functionResponse"] for part in parts if "functionResponse" in part]
        assert len(responses) in {0, len(parts)}, "responses stand by themselves"
        assert [(each["id"], each["name"]) for each in responses] == waiting
        calls = [part for part in parts if "functionCall" in part]
        if turn["role"] == "model":
            assert before != "model"
            assert not responses
            assert not calls or before == "user", "a call comes after the user"
            if calls and signs:
                assert calls[0].get("thoughtSignature"), "the first call of a turn is signed"
        else:
            assert not calls
        for part in parts:
            name = part.get("functionCall", part.get("functionResponse", {})).get("name", "a")
            assert name[0].isalpha() or name[0] == "_"
        waiting = [(part["functionCall"]["id"], part["functionCall"]["name"]) for part in calls]
        before = turn["role"]
    assert not waiting
    assert not newer or before == "user"


def test_long_conversations_take_linear_time() -> None:
    def work(rounds: int) -> int:
        talk = [user("Go")]
        for _ in range(rounds):
            ids = [f"call_{place}" for place in range(50)]
            talk.append(model(*map(called, ids)))
            talk += [result(each) for each in reversed(ids)]
        return steps(lambda: body(*talk))

    assert work(40) < 7 * work(8)


FORM = JsonSchemaFormat(name="answer", description="", schema_json='{"type":"object"}', strict=False)
LOOK = Tool(name="look", description="", parameters_json="")


@pytest.mark.parametrize("choice", [None, ToolChoiceMode.AUTO, NamedTool("look")])
def test_older_models_are_told_an_answer_s_form_in_words_beside_tools(choice: Any) -> None:
    sent = body(user("Go"), response_format=FORM, tools=(LOOK,), tool_choice=choice)
    assert "generationConfig" not in sent
    assert sent["tools"]
    (said,) = sent["systemInstruction"]["parts"]
    assert '{"type":"object"}' in said["text"]


def test_older_models_are_not_offered_tools_that_are_not_to_be_called_beside_an_answer_s_form() -> None:
    sent = body(user("Go"), response_format=FORM, tools=(LOOK,), tool_choice=ToolChoiceMode.NONE)
    assert not sent.keys() & {"tools", "toolConfig", "systemInstruction"}
    assert sent["generationConfig"]["responseMimeType"] == "application/json"


def test_newer_models_take_both() -> None:
    sent = body(user("Go"), response_format=FORM, tools=(LOOK,), to="gemini-3-flash-preview")
    assert sent["tools"]
    assert sent["generationConfig"]["responseJsonSchema"] == {"type": "object"}


@pytest.mark.parametrize(
    ("length", "parts"),
    [
        (1, [{"text": "a"}, {"text": "b", "thoughtSignature": "c2ln"}]),
        (2, [{"text": "ab", "thoughtSignature": "c2ln"}]),
    ],
)
def test_a_marked_text_is_parted_from_what_stands_before_it(length: int, parts: list[Any]) -> None:
    marked = Reasoning("", Signature(b"%d:c2ln" % length))
    assert body(user("Go"), model(Text("ab"), marked), user("On"))["contents"][1]["parts"] == parts
