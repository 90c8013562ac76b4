"""Conversations on the wire: media, reasoning, results of tools, cache breakpoints; answers on the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gatehouse.router.v1 import generation_pb2 as pb
from gatehouse.router.v1 import message_pb2 as m
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.core.errors import InvalidArgument
from services.router.api.convert import generation
from services.router.domain.generation import (
    Audio,
    Document,
    Effort,
    Image,
    Message,
    Part,
    Reasoning,
    ReasoningRequest,
    ResultPart,
    Role,
    ServiceTier,
    Signature,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

USER = m.Message(role=m.ROLE_USER, parts=[m.Part(text="hello")])
SIGNATURE = m.Signature(data=b"s", provider="tenants/a/providers/p", key="tenants/a/keys/k")
CALL = m.Message(
    role=m.ROLE_ASSISTANT,
    parts=[m.Part(tool_call=m.ToolCall(id="c", name="look", arguments_json="{}", signature=SIGNATURE))],
)


def wrong_fields(*messages: m.Message, **fields: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as refused:
        generation(pb.Generation(messages=messages, **fields))
    return [each.field for each in refused.value.field_violations]


def said(role: m.Role.ValueType, *parts: m.Part) -> m.Message:
    return m.Message(role=role, parts=parts)


def last(*messages: m.Message) -> Message:
    return generation(pb.Generation(messages=messages)).messages[-1]


def test_media_convert_by_bytes_and_by_url() -> None:
    message = said(
        m.ROLE_USER,
        m.Part(image=m.Image(data=b"i", media_type="image/png")),
        m.Part(image=m.Image(url="https://x/i")),
        m.Part(audio=m.Audio(data=b"a", media_type="audio/wav")),
        m.Part(audio=m.Audio(url="https://x/a", media_type="audio/mpeg")),
        m.Part(document=m.Document(data=b"d", media_type="text/plain", name="notes")),
        m.Part(document=m.Document(url="https://x/d", media_type="application/pdf")),
    )
    assert last(message).parts == (
        Image(data=b"i", media_type="image/png"),
        Image(url="https://x/i"),
        Audio(data=b"a", media_type="audio/wav"),
        Audio(url="https://x/a", media_type="audio/mpeg"),
        Document(data=b"d", media_type="text/plain", name="notes"),
        Document(url="https://x/d", media_type="application/pdf"),
    )


def test_an_answer_converts_as_it_came() -> None:
    message = said(
        m.ROLE_ASSISTANT,
        m.Part(reasoning=m.Reasoning(text="Hm.", signature=SIGNATURE)),
        m.Part(reasoning=m.Reasoning(text="Unsigned.")),
        m.Part(text="Well."),
        CALL.parts[0],
    )
    origin = Signature(b"s", "tenants/a/providers/p", "tenants/a/keys/k")
    assert last(message).parts == (
        Reasoning("Hm.", origin),
        Reasoning("Unsigned."),
        Text("Well."),
        ToolCall(id="c", name="look", arguments_json="{}", signature=origin),
    )


def test_a_result_has_the_name_of_the_tool_that_was_called_last_by_its_id() -> None:
    again = m.Message(role=m.ROLE_ASSISTANT, parts=[m.Part(tool_call=m.ToolCall(id="c", name="listen"))])
    result = said(m.ROLE_TOOL, m.Part(tool_result=m.ToolResult(tool_call_id="c", content="42", is_error=True)))
    assert last(CALL, result).parts == (ToolResult(tool_call_id="c", name="look", parts=(Text("42"),), is_error=True),)
    (part,) = last(CALL, result, again, result).parts
    assert isinstance(part, ToolResult)
    assert part.name == "listen"


def test_a_result_in_pieces_keeps_their_order_and_no_empty_text() -> None:
    result = m.ToolResult(
        tool_call_id="c",
        parts=[
            m.ToolResultPart(text="See:"),
            m.ToolResultPart(text=""),
            m.ToolResultPart(image=m.Image(data=b"i", media_type="image/png")),
            m.ToolResultPart(audio=m.Audio(data=b"a", media_type="audio/ogg")),
            m.ToolResultPart(document=m.Document(data=b"d", media_type="application/pdf")),
        ],
    )
    (part,) = last(CALL, said(m.ROLE_TOOL, m.Part(tool_result=result))).parts
    assert isinstance(part, ToolResult)
    assert part.parts == (
        Text("See:"),
        Image(data=b"i", media_type="image/png"),
        Audio(data=b"a", media_type="audio/ogg"),
        Document(data=b"d", media_type="application/pdf"),
    )


def test_a_result_can_be_empty() -> None:
    (part,) = last(CALL, said(m.ROLE_TOOL, m.Part(tool_result=m.ToolResult(tool_call_id="c")))).parts
    assert part == ToolResult(tool_call_id="c", name="look", parts=())


def _user(part: m.Part) -> tuple[m.Message, ...]:
    return (said(m.ROLE_USER, part),)


def _assistant(part: m.Part) -> tuple[m.Message, ...]:
    return (said(m.ROLE_ASSISTANT, part),)


def _result(**fields: Any) -> tuple[m.Message, ...]:
    result = m.ToolResult(**{"tool_call_id": "c", **fields})
    return CALL, said(m.ROLE_TOOL, m.Part(tool_result=result))


def _signed(**fields: Any) -> tuple[m.Message, ...]:
    signature = m.Signature(**{"data": b"s", "provider": "tenants/a/providers/p", **fields})
    return _assistant(m.Part(reasoning=m.Reasoning(signature=signature)))


PLACE = "generation.messages[0].parts[0]"
RESULT = "generation.messages[1].parts[0].tool_result"
PNG = m.Image(data=b"x", media_type="image/png")


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        (_user(m.Part(image=m.Image(media_type="image/png"))), f"{PLACE}.image"),
        (_user(m.Part(image=m.Image(data=b"", media_type="image/png"))), f"{PLACE}.image.data"),
        (_user(m.Part(image=m.Image(data=b"x"))), f"{PLACE}.image.media_type"),
        (_user(m.Part(image=m.Image(url="https://x", media_type="image/tiff"))), f"{PLACE}.image.media_type"),
        (_user(m.Part(audio=m.Audio(media_type="audio/wav"))), f"{PLACE}.audio"),
        (_user(m.Part(audio=m.Audio(url="https://x"))), f"{PLACE}.audio.media_type"),
        (_user(m.Part(audio=m.Audio(url="ftp://x", media_type="audio/wav"))), f"{PLACE}.audio.url"),
        (_user(m.Part(document=m.Document(data=b"x"))), f"{PLACE}.document.media_type"),
        (
            _user(m.Part(document=m.Document(data=b"\xff", media_type="text/plain"))),
            f"{PLACE}.document.data",
        ),
        (
            _user(m.Part(document=m.Document(data=b"x", media_type="text/plain", name="n" * 257))),
            f"{PLACE}.document.name",
        ),
        (_user(m.Part(reasoning=m.Reasoning(text="Hm."))), f"{PLACE}.reasoning"),
        (_assistant(m.Part(image=PNG)), f"{PLACE}.image"),
        (_assistant(m.Part(reasoning=m.Reasoning(text="x" * 4_000_001))), f"{PLACE}.reasoning.text"),
        (_signed(data=b""), f"{PLACE}.reasoning.signature.data"),
        (_signed(data=b"x" * 4_000_001), f"{PLACE}.reasoning.signature.data"),
        (_signed(provider=""), f"{PLACE}.reasoning.signature.provider"),
        (_signed(provider="openai"), f"{PLACE}.reasoning.signature.provider"),
        (_signed(key="tenants/a/providers/p"), f"{PLACE}.reasoning.signature.key"),
        (_result(tool_call_id=""), f"{RESULT}.tool_call_id"),
        (_result(tool_call_id="other"), f"{RESULT}.tool_call_id"),
        (_result(tool_call_id="x" * 257), f"{RESULT}.tool_call_id"),
        (_result(content="x" * 4_000_001), f"{RESULT}.content"),
        (_result(content="x", parts=[m.ToolResultPart(text="y")]), f"{RESULT}.parts"),
        (_result(content="x", mcp_json='{"content":[]}'), f"{RESULT}.mcp_json"),
        (_result(parts=[m.ToolResultPart(text="y")] * 65), f"{RESULT}.parts"),
        (_result(parts=[m.ToolResultPart()]), f"{RESULT}.parts[0]"),
        (_result(parts=[m.ToolResultPart(image=m.Image(data=b"x"))]), f"{RESULT}.parts[0].image.media_type"),
        (_result(mcp_json="{"), f"{RESULT}.mcp_json"),
    ],
)
def test_a_wrong_part_is_named(messages: tuple[m.Message, ...], field: str) -> None:
    assert wrong_fields(*messages) == [field]


def test_a_result_before_its_call_is_refused() -> None:
    result = said(m.ROLE_TOOL, m.Part(tool_result=m.ToolResult(tool_call_id="c")))
    assert wrong_fields(result, CALL) == ["generation.messages[0].parts[0].tool_result.tool_call_id"]


def test_breakpoints_are_places_among_the_parts() -> None:
    marked = m.Part(text="b", cache_breakpoint=True)
    message = said(m.ROLE_USER, m.Part(text="a"), marked, m.Part(text="c"), marked)
    assert last(message).breakpoints == (1, 3)
    assert last(said(m.ROLE_SYSTEM, marked)).breakpoints == (0,)
    thought = m.Part(reasoning=m.Reasoning(text="Hm."), cache_breakpoint=True)
    assert last(said(m.ROLE_ASSISTANT, thought, marked)).breakpoints == (1,)


def test_more_than_four_breakpoints_are_refused_those_of_tools_included() -> None:
    marked = said(m.ROLE_USER, m.Part(text="b", cache_breakpoint=True))
    tool = m.Tool(name="t", cache_breakpoint=True)
    converted = generation(pb.Generation(messages=[marked] * 3, tools=[tool]))
    assert converted.tools == (Tool(name="t", description="", parameters_json="", cache_breakpoint=True),)
    assert wrong_fields(*[marked] * 5) == ["generation.messages[4].parts[0].cache_breakpoint"]
    assert wrong_fields(*[marked] * 4, tools=[tool]) == ["generation.messages[3].parts[0].cache_breakpoint"]
    tools = [m.Tool(name=f"t{n}", cache_breakpoint=True) for n in range(5)]
    assert wrong_fields(USER, tools=tools) == ["generation.tools"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"compatibility": 9}, "generation.compatibility"),
        ({"reasoning": pb.ReasoningRequest()}, "generation.reasoning"),
        ({"reasoning": pb.ReasoningRequest(effort=pb.REASONING_EFFORT_UNSPECIFIED)}, "generation.reasoning.effort"),
        ({"reasoning": pb.ReasoningRequest(budget_tokens=0)}, "generation.reasoning.budget_tokens"),
        ({"reasoning": pb.ReasoningRequest(budget_tokens=1_000_001)}, "generation.reasoning.budget_tokens"),
        (
            {"reasoning": pb.ReasoningRequest(budget_tokens=11), "max_output_tokens": 10},
            "generation.reasoning.budget_tokens",
        ),
        ({"top_k": 0}, "generation.top_k"),
        ({"frequency_penalty": 2.5}, "generation.frequency_penalty"),
        ({"presence_penalty": float("nan")}, "generation.presence_penalty"),
        ({"service_tier": 9}, "generation.service_tier"),
        ({"end_user": "u" * 65}, "generation.end_user"),
        ({"end_user": "a\nb"}, "generation.end_user"),
        ({"prompt_cache_key": "k" * 65}, "generation.prompt_cache_key"),
    ],
)
def test_a_wrong_setting_is_named(fields: dict[str, Any], field: str) -> None:
    assert wrong_fields(USER, **fields) == [field]


def test_settings_convert() -> None:
    converted = generation(
        pb.Generation(
            messages=[USER],
            compatibility=pb.COMPATIBILITY_DROP,
            reasoning=pb.ReasoningRequest(effort=pb.REASONING_EFFORT_MAX, hide=True),
            top_k=40,
            frequency_penalty=-2,
            presence_penalty=0,
            service_tier=pb.SERVICE_TIER_FLEX,
            end_user="u",
            prompt_cache_key="k",
        )
    )
    assert converted.drop_unsupported
    assert converted.reasoning == ReasoningRequest(effort=Effort.MAX, hide=True)
    assert (converted.top_k, converted.frequency_penalty, converted.presence_penalty) == (40, -2.0, 0.0)
    assert (converted.service_tier, converted.end_user, converted.prompt_cache_key) == (ServiceTier.FLEX, "u", "k")
    plain = generation(pb.Generation(messages=[USER]))
    assert (plain.drop_unsupported, plain.reasoning, plain.service_tier) == (False, None, None)
    assert (plain.top_k, plain.frequency_penalty, plain.presence_penalty) == (None, None, None)


# Any valid conversation -----------------------------------------------------------------------------------------------

_text = st.text(min_size=1, max_size=8)
_bytes = st.binary(min_size=1, max_size=8)
_types: dict[str, list[str]] = {
    "image": ["image/png", "image/jpeg", "image/gif", "image/webp"],
    "audio": ["audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", "audio/aac", "audio/mp4", "audio/webm"],
    "document": ["application/pdf"],
}
_pb_media: dict[str, Callable[..., m.Image | m.Audio | m.Document]] = {
    "image": m.Image,
    "audio": m.Audio,
    "document": m.Document,
}


@st.composite
def _media(draw: st.DrawFn, wrap: Callable[..., Any]) -> Any:
    kind = draw(st.sampled_from(list(_types)))
    media_type = draw(st.sampled_from(_types[kind]))
    source: dict[str, Any] = {"data": draw(_bytes)} if draw(st.booleans()) else {"url": "https://example.com/x"}
    return wrap(**{kind: _pb_media[kind](media_type=media_type, **source)})


_signatures = st.none() | st.builds(
    m.Signature,
    data=_bytes,
    provider=st.just("platform/providers/p"),
    key=st.sampled_from(["", "platform/keys/k"]),
)
_calls = st.builds(
    lambda call_id, signature: m.Part(
        tool_call=m.ToolCall(id=call_id, name="t", arguments_json='{"a": 1}', signature=signature)
    ),
    st.sampled_from("ab"),
    _signatures,
)
_thoughts = st.builds(
    lambda text, signature: m.Part(reasoning=m.Reasoning(text=text, signature=signature)), st.text(), _signatures
)
_parts: dict[int, st.SearchStrategy[m.Part]] = {
    m.ROLE_SYSTEM: st.builds(m.Part, text=_text),
    m.ROLE_USER: st.builds(m.Part, text=_text) | _media(m.Part),
    m.ROLE_ASSISTANT: st.builds(m.Part, text=_text) | _calls | _thoughts,
    m.ROLE_TOOL: st.builds(
        lambda call_id, parts, is_error: m.Part(
            tool_result=m.ToolResult(tool_call_id=call_id, parts=parts, is_error=is_error)
        ),
        st.sampled_from("ab"),
        st.lists(st.builds(m.ToolResultPart, text=_text) | _media(m.ToolResultPart), max_size=3),
        st.booleans(),
    ),
}


@st.composite
def _messages(draw: st.DrawFn) -> m.Message:
    role = draw(st.sampled_from(list(_parts)))
    return m.Message(role=role, parts=draw(st.lists(_parts[role], min_size=1, max_size=3)))  # type: ignore[arg-type]


_BOTH_CALLED = m.Message(
    role=m.ROLE_ASSISTANT,
    parts=[m.Part(tool_call=m.ToolCall(id=each, name="t", arguments_json="{}")) for each in "ab"],
)
_ROLES = {
    Role.SYSTEM: m.ROLE_SYSTEM,
    Role.USER: m.ROLE_USER,
    Role.ASSISTANT: m.ROLE_ASSISTANT,
    Role.TOOL: m.ROLE_TOOL,
}


def _back(part: Part | ResultPart, wrap: Callable[..., Any]) -> Any:
    match part:
        case Text(text):
            return wrap(text=text)
        case Reasoning(text, signature):
            return wrap(reasoning=m.Reasoning(text=text, signature=_signature_back(signature)))
        case ToolCall():
            signature_back = _signature_back(part.signature)
            call = m.ToolCall(id=part.id, name=part.name, arguments_json=part.arguments_json, signature=signature_back)
            return wrap(tool_call=call)
        case ToolResult():
            parts = [_back(each, m.ToolResultPart) for each in part.parts]
            return wrap(tool_result=m.ToolResult(tool_call_id=part.tool_call_id, parts=parts, is_error=part.is_error))
        case _:
            kind = type(part).__name__.lower()
            source: dict[str, Any] = {"data": part.data} if part.data is not None else {"url": part.url}
            return wrap(**{kind: _pb_media[kind](media_type=part.media_type, **source)})


def _signature_back(signature: Signature | None) -> m.Signature | None:
    if signature is None:
        return None
    return m.Signature(data=signature.data, provider=signature.provider, key=signature.key)


@settings(deadline=None)
@given(st.lists(_messages(), max_size=5))
def test_any_valid_conversation_converts_and_loses_nothing(given_messages: list[m.Message]) -> None:
    conversation = [_BOTH_CALLED, *given_messages]
    converted = generation(pb.Generation(messages=conversation)).messages
    back = [m.Message(role=_ROLES[each.role], parts=[_back(part, m.Part) for part in each.parts]) for each in converted]
    assert back == conversation


def test_the_parts_of_all_messages_are_bounded_together() -> None:
    full = said(m.ROLE_USER, *(m.Part(text="a") for _ in range(256)))
    assert len(generation(pb.Generation(messages=[full] * 64)).messages) == 64
    assert wrong_fields(*[full] * 64, said(m.ROLE_USER, m.Part(text="a"))) == ["generation.messages"]


@pytest.mark.parametrize(
    "url", ["https://", "https:///x", "https:x", "https://:443/x", "https://[::1/x", "//x", "ftp://x"]
)
def test_a_url_without_a_host_or_of_another_scheme_is_refused(url: str) -> None:
    image = m.Part(image=m.Image(url=url))
    assert wrong_fields(said(m.ROLE_USER, image)) == ["generation.messages[0].parts[0].image.url"]
