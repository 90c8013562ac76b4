"""Requests to generateContent, beyond what Google's own client sends as well."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Document,
    Effort,
    Generation,
    Image,
    Message,
    NamedTool,
    Reasoning,
    ReasoningRequest,
    Role,
    Signature,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from services.router.providers.base import EncodedRequest
from services.router.providers.dialects.gemini import GEMINI
from services.router.providers.formats.gemini_content.thinking import family_of, thinking_config


def encoded(*messages: Message, model: str = "gemini-2.5-flash", **fields: Any) -> EncodedRequest:
    request = Generation(messages=messages, **fields)
    return GEMINI.encode(request, provider_model_id=model, output_limit=None, stream=False)


def body(*messages: Message, **fields: Any) -> Any:
    return orjson.loads(encoded(*messages, **fields).body)


def calls(*ids: str) -> Message:
    """A turn of the model that calls the tool `a`, then `b`, and so on."""
    names = "abcdefghi"
    return Message(
        Role.ASSISTANT,
        tuple(ToolCall(id=each, name=names[place], arguments_json="{}") for place, each in enumerate(ids)),
    )


HELLO = Message(Role.USER, (Text("Hello"),))


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("tunedModels/mine", "/tunedModels/mine"),
        ("publishers/google/models/gemini-2.5-pro", "/models/gemini-2.5-pro"),
        ("a/b?c#d e%é", "/models/a%2Fb%3Fc%23d%20e%25%C3%A9"),
        ("..", "/models/.."),
    ],
)
def test_a_model_s_name_is_encoded_into_the_path(model: str, path: str) -> None:
    assert encoded(HELLO, model=model).path == f"{path}:generateContent"
    stream = GEMINI.encode(Generation(messages=(HELLO,)), provider_model_id=model, output_limit=1, stream=True)
    assert stream.path == f"{path}:streamGenerateContent?alt=sse"


def test_instructions_alone_are_a_turn() -> None:
    sent = body(Message(Role.SYSTEM, (Text("Be brief."),)))
    assert sent == {"contents": [{"role": "user", "parts": [{"text": "Be brief."}]}]}


def test_a_turn_of_nothing_but_unsigned_thoughts_is_left_out() -> None:
    sent = body(HELLO, Message(Role.ASSISTANT, (Reasoning("Hm."),)), HELLO)
    assert sent["contents"] == [{"role": "user", "parts": [{"text": "Hello"}, {"text": "Hello"}]}]


def test_names_that_begin_with_a_digit_have_a_letter_before_them() -> None:
    call = ToolCall(id="1", name="3d", arguments_json="{}")
    result = ToolResult(tool_call_id="1", name="3d", parts=())
    request = encoded(
        HELLO,
        Message(Role.ASSISTANT, (call,)),
        Message(Role.TOOL, (result,)),
        tools=(
            Tool(name="3d", description="", parameters_json=""),
            Tool(name="_a", description="", parameters_json=""),
        ),
        tool_choice=NamedTool("3d"),
    )
    sent = orjson.loads(request.body)
    assert [each["name"] for each in sent["tools"][0]["functionDeclarations"]] == ["tool_3d", "_a"]
    assert sent["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == ["tool_3d"]
    assert sent["contents"][1]["parts"][0]["functionCall"]["name"] == "tool_3d"
    assert sent["contents"][2]["parts"][0]["functionResponse"]["name"] == "tool_3d"
    answer = {"candidates": [{"content": {"parts": [{"functionCall": {"name": "tool_3d"}}]}, "finishReason": "STOP"}]}
    assert [each.name for each in request.answers.decode(orjson.dumps(answer)).tool_calls] == ["3d"]


@pytest.mark.parametrize(
    ("text", "failed", "response"),
    [
        ('{"sky": "clear"}', False, {"sky": "clear"}),
        (' {"a":1}', False, {"a": 1}),
        ("[1,2]", False, {"output": "[1,2]"}),
        ("{not JSON", False, {"output": "{not JSON"}),
        ("", False, {"output": ""}),
        ('{"sky": "clear"}', True, {"error": '{"sky": "clear"}'}),
    ],
)
def test_results_are_objects(text: str, response: Any, *, failed: bool) -> None:
    result = ToolResult(tool_call_id="1", name="a", parts=(Text(text),) if text else (), is_error=failed)
    content = body(HELLO, calls("1"), Message(Role.TOOL, (result,)))["contents"][-1]
    assert content["parts"][0]["functionResponse"] == {"id": "1", "name": "a", "response": response}


def test_media_in_results_follow_all_results_of_the_turn() -> None:
    picture = Image(data=b"x", media_type="image/png")
    first = ToolResult(tool_call_id="1", name="a", parts=(Text("one"), picture))
    second = ToolResult(tool_call_id="2", name="b", parts=(Document(url="https://x/y", media_type="application/pdf"),))
    results = (Message(Role.TOOL, (first,)), Message(Role.TOOL, (second,)))
    *_, answered, followers = body(HELLO, calls("1", "2"), *results)["contents"]
    assert [next(iter(part)) for part in answered["parts"]] == ["functionResponse", "functionResponse"]
    assert [next(iter(part)) for part in followers["parts"]] == ["text", "inlineData", "text", "fileData"]
    assert followers["parts"][2]["text"] == "From the tool b (call 2):"


@pytest.mark.parametrize(("seed", "sent"), [(7, 7), (-7, -7), (2**31, -(2**31)), (2**63 - 1, -1), (-(2**63), 0)])
def test_seeds_fit_into_32_bits(seed: int, sent: int) -> None:
    assert body(HELLO, seed=seed)["generationConfig"]["seed"] == sent


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-2.5-pro", Effort.NONE, {"thinkingBudget": 128}),
        ("gemini-2.5-pro", Effort.MAX, {"thinkingBudget": 32_768, "includeThoughts": True}),
        ("gemini-2.5-flash", Effort.NONE, {"thinkingBudget": 0}),
        ("models/gemini-2.5-flash", Effort.MAX, {"thinkingBudget": 24_576, "includeThoughts": True}),
        ("gemini-2.5-flash-lite-preview", Effort.LOW, {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-3-pro-preview", Effort.NONE, {"thinkingLevel": "LOW"}),
        ("gemini-3-pro-preview", Effort.MEDIUM, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", Effort.MEDIUM, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        ("gemini-3-flash-preview", Effort.NONE, {"thinkingLevel": "MINIMAL"}),
        ("gemini-3.7-flash", Effort.NONE, {"thinkingLevel": "LOW"}),
        ("gemini-flash-latest", Effort.MAX, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-2.0-flash", Effort.HIGH, None),
        ("gemini-2.5-flash-image", Effort.HIGH, None),
        ("gemma-4-31b-it", Effort.LOW, {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("gemma-4-31b-it", Effort.MEDIUM, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("my-own", Effort.LOW, {"thinkingLevel": "LOW", "includeThoughts": True}),
    ],
)
def test_each_family_is_told_to_think_in_its_own_words(model: str, effort: Effort, config: Any) -> None:
    assert config == thinking_config(ReasoningRequest(effort=effort), family_of(model, {}), None)


def test_the_option_says_how_models_of_other_names_think() -> None:
    wanted = ReasoningRequest(effort=Effort.LOW, hide=True)
    assert thinking_config(wanted, family_of("my-own", {"thinking": "budget"}), None) == {"thinkingBudget": 1024}
    # A name that is known says it better.
    assert thinking_config(wanted, family_of("gemini-3-flash", {"thinking": "budget"}), None) == {
        "thinkingLevel": "LOW"
    }


@pytest.mark.parametrize(("tokens", "sent"), [(1, 512), (600, 600), (1_000_000, 24_576)])
def test_budgets_keep_to_what_a_model_takes(tokens: int, sent: int) -> None:
    wanted = ReasoningRequest(budget_tokens=tokens, hide=True)
    assert thinking_config(wanted, family_of("gemini-2.5-flash-lite", {}), 4096) == {"thinkingBudget": sent}


_parts = st.one_of(
    st.text(max_size=9).map(Text),
    st.builds(Reasoning, st.text(max_size=5), st.none() | st.binary(max_size=12).map(Signature)),
    st.builds(
        ToolCall,
        id=st.text(max_size=5),
        name=st.text("abc-_1", min_size=1, max_size=5),
        arguments_json=st.just('{"a":1}'),
        signature=st.none() | st.binary(max_size=9).map(Signature),
    ),
    st.builds(Image, url=st.text(max_size=20), media_type=st.just("")),
)
_messages = st.builds(
    Message,
    st.sampled_from([Role.SYSTEM, Role.USER, Role.ASSISTANT]),
    st.lists(_parts, min_size=1, max_size=5).map(tuple),
)


@given(st.lists(_messages, min_size=1, max_size=5), st.sampled_from(["gemini-3-pro", "gemini-2.5-pro", "x"]))
def test_any_conversation_is_encoded(messages: list[Message], model: str) -> None:
    for content in body(*messages, model=model)["contents"]:
        assert content["parts"]


def test_a_text_is_parted_where_its_signature_says() -> None:
    spoken = (
        Text("One. Two."),
        Reasoning("", Signature(b"4:QUJD")),
        Text("Three."),
        Reasoning("", Signature(b"99:RA")),
    )
    (content,) = body(Message(Role.ASSISTANT, spoken))["contents"]
    assert content["parts"] == [
        {"text": "One. "},
        {"text": "Two.", "thoughtSignature": "QUJD"},
        {"text": "Three.", "thoughtSignature": "RA"},
    ]


def test_keys_are_sent_in_a_header_and_those_of_service_accounts_exchanged() -> None:
    assert GEMINI.key_headers("AIza-key", {}) == {"x-goog-api-key": "AIza-key"}
    assert GEMINI.token_request("AIza-key", {}, now=0) is None
    assert GEMINI.token_request('{"type":"service_account"}', {}, now=0) is not None
    with pytest.raises(ProviderError) as error:
        GEMINI.token_request("AIza-key", {"auth": "service_account"}, now=0)
    assert error.value.reason is Reason.PROVIDER_KEY_REJECTED


@pytest.mark.parametrize("body_", [b"[]", b"7", b"{}", b'{"models":7}', b'{"models":[{"id":"x"}]}', b"{"])
def test_what_is_no_list_of_models_is_malformed(body_: bytes) -> None:
    with pytest.raises(ProviderError) as error:
        GEMINI.decode_models(body_)
    assert error.value.reason is Reason.PROVIDER_BAD_RESPONSE


def test_models_are_listed_without_the_name_of_their_collection() -> None:
    listed = orjson.dumps({"models": [{"name": "models/gemini-2.5-pro"}, {"name": "tunedModels/x"}]})
    assert GEMINI.decode_models(listed) == {"gemini-2.5-pro", "tunedModels/x"}
    assert GEMINI.decode_models(b'{"models":[]}') == frozenset()
    published = orjson.dumps({"publisherModels": [{"name": "publishers/google/models/gemini-2.5-pro"}]})
    assert GEMINI.decode_models(published) == {"gemini-2.5-pro"}


@pytest.mark.parametrize(("limit", "budget"), [(4000, 3000), (1, 1), (100_000, 24_576)])
def test_thoughts_of_an_effort_leave_a_quarter_for_the_answer(limit: int, budget: int) -> None:
    config = thinking_config(ReasoningRequest(effort=Effort.HIGH), family_of("gemini-2.5-flash", {}), limit)
    assert config == {"thinkingBudget": budget, "includeThoughts": True}
