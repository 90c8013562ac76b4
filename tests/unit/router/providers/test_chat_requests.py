"""What Chat Completions requests say where OpenAI's client leaves it to its caller."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Audio,
    Document,
    Effort,
    Generation,
    Image,
    Message,
    Part,
    Reasoning,
    ReasoningRequest,
    ResultPart,
    Role,
    Signature,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from services.router.providers.base import Options
from services.router.providers.dialects.azure_openai import AZURE_OPENAI
from services.router.providers.dialects.compatible_servers import SERVERS
from services.router.providers.dialects.openai_compatible import OPENAI_COMPATIBLE
from services.router.providers.formats.chat_completions.dialect import ChatCompletionsDialect
from services.router.providers.formats.chat_completions.quirks import OPENAI_QUIRKS

OPENAI = ChatCompletionsDialect(id="openai", requires_key=True, quirks=OPENAI_QUIRKS)
LOOK = Tool(name="look", description="", parameters_json="")


def body(
    request: Generation, options: Options | None = None, *, dialect: ChatCompletionsDialect = OPENAI, model: str = "m"
) -> dict[str, Any]:
    encoded = dialect.encode(request, provider_model_id=model, output_limit=9, stream=False, options=options or {})
    parsed: dict[str, Any] = orjson.loads(encoded.body)
    return parsed


def at(server: str, request: Generation, *, model: str = "m") -> dict[str, Any]:
    return body(request, {"server": server}, dialect=OPENAI_COMPATIBLE, model=model)


def saying(*parts: Part, role: Role = Role.USER) -> Generation:
    return Generation(messages=(Message(role, parts),))


def called(*results: ResultPart, call_id: str = "call_1") -> tuple[Message, Message]:
    call = ToolCall(id=call_id, name="look", arguments_json="{}")
    return (
        Message(Role.ASSISTANT, (call,)),
        Message(Role.TOOL, (ToolResult(tool_call_id=call_id, name="look", parts=results),)),
    )


@pytest.mark.parametrize("media_type", ["audio/ogg", "audio/flac", "audio/webm", "", "video/mp4"])
def test_sound_of_a_kind_that_is_not_taken_is_refused_before_anything_is_sent(media_type: str) -> None:
    with pytest.raises(ProviderError) as caught:
        body(saying(Audio(data=b"x", media_type=media_type)))
    assert (caught.value.reason, caught.value.sent, caught.value.reached_provider) == (
        Reason.PROVIDER_INVALID_REQUEST,
        False,
        False,
    )
    assert caught.value.message == f"{media_type} is not taken, only audio/wav, audio/mpeg"


def test_openrouter_takes_more_kinds_of_sound() -> None:
    request = saying(Audio(data=b"x", media_type="audio/ogg"), Audio(data=b"x", media_type="audio/mp4"))
    formats = [part["input_audio"]["format"] for part in at("openrouter", request)["messages"][0]["content"]]
    assert formats == ["ogg", "m4a"]


def test_media_of_several_results_follow_the_last_of_them_even_over_several_turns() -> None:
    image = Image(data=b"x", media_type="image/png")
    calls = Message(
        Role.ASSISTANT,
        (ToolCall(id="a", name="look", arguments_json="{}"), ToolCall(id="b", name="hear", arguments_json="{}")),
    )
    first = Message(Role.TOOL, (ToolResult(tool_call_id="a", name="look", parts=(image,), is_error=True),))
    second = Message(
        Role.TOOL,
        (ToolResult(tool_call_id="b", name="hear", parts=(Text("x"), Audio(data=b"y", media_type="audio/wav"))),),
    )
    after = Message(Role.USER, (Text("And?"),))
    messages = body(Generation(messages=(calls, first, second, after)))["messages"]
    assert [each["role"] for each in messages] == ["assistant", "tool", "tool", "user", "user"]
    assert [each["content"] for each in messages[1:3]] == ["Error: ", "x"]
    assert [part["type"] for part in messages[3]["content"]] == ["text", "image_url", "text", "input_audio"]
    assert messages[3]["content"][2]["text"] == "Audio from the result of tool hear (call b):"
    # Nothing follows: the media come all the same.
    assert body(Generation(messages=(calls, first, second)))["messages"] == messages[:-1]


def test_long_ids_of_calls_are_shortened_the_same_way_in_call_and_result() -> None:
    sent = body(Generation(messages=called(Text("x"), call_id="toolu_" + "x" * 100)))["messages"]
    (call,) = sent[0]["tool_calls"]
    assert call["id"] == sent[1]["tool_call_id"]
    assert len(call["id"]) <= 40
    other = body(Generation(messages=called(Text("x"), call_id="toolu_" + "x" * 101)))["messages"]
    assert other[0]["tool_calls"][0]["id"] != call["id"]
    kept = body(Generation(messages=called(Text("x"), call_id="x" * 40)))["messages"]
    assert kept[1]["tool_call_id"] == "x" * 40


def test_what_an_assistant_said_around_a_call_is_one_text_as_it_was() -> None:
    call = ToolCall(id="a", name="look", arguments_json="{}")
    (message,) = body(saying(Text("Let me "), call, Text("look."), role=Role.ASSISTANT))["messages"]
    assert (message["content"], len(message["tool_calls"])) == ("Let me look.", 1)


def test_a_name_that_says_its_kind_in_capitals_is_left_as_it_is() -> None:
    document = Document(data=b"%PDF", media_type="application/pdf", name="REPORT.PDF")
    (message,) = body(saying(document))["messages"]
    assert message["content"][0]["file"]["filename"] == "REPORT.PDF"


@pytest.mark.parametrize(
    ("options", "limit", "asks"),
    [
        ({"server": "vllm", "stream_usage": False, "output_limit_field": "max_tokens"}, "max_tokens", False),
        ({"server": "mistral", "stream_usage": True}, "max_tokens", True),
        ({"server": "vllm", "stream_usage": "no", "output_limit_field": 7}, "max_completion_tokens", True),
    ],
)
def test_options_overrule_what_is_known_of_a_server(options: Options, limit: str, asks: bool) -> None:
    encoded = OPENAI_COMPATIBLE.encode(
        saying(Text("Hi")), provider_model_id="m", output_limit=9, stream=True, options=options
    )
    sent = orjson.loads(encoded.body)
    assert (sent[limit], "stream_options" in sent) == (9, asks)


def test_an_assistant_who_says_nothing_says_it_in_an_empty_text() -> None:
    thinking = Reasoning("Hm.", Signature(b"mark"))
    assert body(saying(thinking, role=Role.ASSISTANT))["messages"] == [{"role": "assistant", "content": ""}]


def test_reasoning_is_not_sent_to_servers_that_do_not_want_it() -> None:
    parts = (Reasoning("Hm.", Signature(b"mark")), Text("Yes."))
    for server in SERVERS.keys() - {"deepseek", "openrouter"}:
        assert at(server, saying(*parts, role=Role.ASSISTANT))["messages"] == [{"role": "assistant", "content": "Yes."}]


@pytest.mark.parametrize(
    ("model", "effort", "word"),
    [
        ("gpt-5", Effort.NONE, "minimal"),
        ("gpt-5.1", Effort.NONE, "none"),
        ("o3", Effort.NONE, "low"),
        ("o3", Effort.MAX, "high"),
        ("gpt-5.2", Effort.MAX, "xhigh"),
        ("gpt-5.6-terra", Effort.MAX, "max"),
    ],
)
def test_efforts_are_said_in_the_nearest_word_of_the_model(model: str, effort: Effort, word: str) -> None:
    request = replace(saying(Text("Hi")), reasoning=ReasoningRequest(effort=effort))
    assert body(request, model=model)["reasoning_effort"] == word


def test_models_that_never_reason_are_not_asked_to() -> None:
    request = replace(saying(Text("Hi")), reasoning=ReasoningRequest(effort=Effort.NONE))
    assert "reasoning_effort" not in body(request, model="gpt-4o")


def test_what_has_no_field_is_not_sent() -> None:
    request = replace(saying(Text("Hi")), end_user="u", prompt_cache_key="k")
    assert {"user", "safety_identifier", "prompt_cache_key"}.isdisjoint(at("mistral", request))
    dated = body(request, dialect=AZURE_OPENAI)
    assert (dated["user"], "prompt_cache_key" in dated) == ("u", False)


TEXTS = st.text(max_size=20)
MEDIA: st.SearchStrategy[Image | Document | Audio] = st.one_of(
    st.builds(lambda data: Image(data=data, media_type="image/png"), st.binary(max_size=9)),
    st.just(Image(url="https://example.com/a.png")),
    st.builds(
        lambda data, name, kind: Document(data=data, name=name, media_type=kind),
        st.binary(max_size=9),
        TEXTS,
        st.sampled_from(["text/plain", "application/pdf"]),
    ),
    st.builds(lambda data: Audio(data=data, media_type="audio/wav"), st.binary(max_size=9)),
)
MARKS = st.builds(Signature, st.binary(max_size=9) | st.just(b'[{"type":"reasoning.text"}]'))
SPOKEN: Mapping[Role, st.SearchStrategy[Part]] = {
    Role.SYSTEM: st.builds(Text, TEXTS),
    Role.USER: st.one_of(st.builds(Text, TEXTS), MEDIA),
    Role.ASSISTANT: st.one_of(
        st.builds(Text, TEXTS),
        st.builds(Reasoning, TEXTS, st.none() | MARKS),
        st.builds(
            lambda call_id, mark: ToolCall(id=call_id, name="look", arguments_json="{}", signature=mark),
            st.text(min_size=1, max_size=60),
            st.none() | MARKS,
        ),
    ),
    Role.TOOL: st.builds(
        lambda call_id, parts, failed: ToolResult(
            tool_call_id=call_id, name="look", parts=tuple(parts), is_error=failed
        ),
        st.text(min_size=1, max_size=60),
        st.lists(st.one_of(st.builds(Text, TEXTS), MEDIA), max_size=3),
        st.booleans(),
    ),
}
MESSAGES = st.sampled_from(list(Role)).flatmap(
    lambda role: st.builds(lambda parts: Message(role, tuple(parts)), st.lists(SPOKEN[role], min_size=1, max_size=4))
)
OPTIONS = st.sampled_from([*({"server": name} for name in SERVERS), {}, {"server": 7}, {"server": "unknown"}])


@given(st.lists(MESSAGES, min_size=1, max_size=5), OPTIONS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_conversation_is_written_for_every_server(
    messages: list[Message], options: Mapping[str, object], stream: bool
) -> None:
    request = Generation(messages=tuple(messages), tools=(LOOK,))
    for dialect in (OPENAI, OPENAI_COMPATIBLE, AZURE_OPENAI):
        encoded = dialect.encode(request, provider_model_id="m", output_limit=1, stream=stream, options=options)
        sent = orjson.loads(encoded.body)["messages"]
        assert sum(each["role"] == "tool" for each in sent) == sum(
            len(each.parts) for each in messages if each.role is Role.TOOL
        )
