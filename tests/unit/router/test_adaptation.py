"""A request as one target can take it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain import features as f
from services.router.domain.adaptation import Adapter
from services.router.domain.configuration import Capabilities, Provider
from services.router.domain.embedding import Embedding
from services.router.domain.generation import (
    Audio,
    Document,
    Effort,
    Generation,
    Image,
    JsonSchemaFormat,
    Message,
    NamedTool,
    Part,
    Reasoning,
    ReasoningRequest,
    Role,
    ServiceTier,
    Signature,
    Text,
    Tool,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from services.router.domain.needs import needs_of
from services.router.domain.routing.causes import Rule
from services.router.domain.routing.route_plan import Target
from services.router.domain.routing.usability import ProviderTypes
from services.router.domain.tokens import measure
from tests.unit.router.fakes import ask, model, provider

ONE = "tenants/acme/providers/one"
TOOL = Tool(name="t", description="", parameters_json="")
OWN = Signature(b"own", ONE, "tenants/acme/keys/one")
IMAGE = Image(data=b"x", media_type="image/png")
AUDIO = Audio(data=b"x", media_type="audio/wav")
PDF = Document(data=b"x", media_type="application/pdf", name="report.pdf")
CALL = ToolCall(id="c", name="t", arguments_json='{"a":1}')
ANY_MASK = st.integers(0, f.ALL)


def to(request: Any, can: int = f.ALL, **fields: Any) -> tuple[Any, tuple[str, ...]]:
    """`request` for a model that can do everything behind an API that can do `can`."""
    everything = Capabilities(audio=True, documents=True, reasoning=True, embeddings=True)
    return to_model(request, everything, can, **fields)


def to_model(request: Any, capabilities: Capabilities, can: int, **fields: Any) -> tuple[Any, tuple[str, ...]]:
    types = ProviderTypes(known=frozenset({"openai"}), keyless=frozenset(), features={"openai": lambda *_: can})
    target = _target(provider(**fields), capabilities)
    return Adapter(request, measure(request), types, streaming=False).to(target)


def _target(of: Provider, capabilities: Capabilities) -> Target:
    return Target(of, model(capabilities=capabilities), Rule.REQUEST, "", ("", "", ""))


def conversation(*messages: Message, **fields: Any) -> Generation:
    return Generation(messages=messages, drop_unsupported=True, **fields)


def only(role: Role, *parts: Part) -> Generation:
    return conversation(Message(Role.USER, (Text("Hi"),)), Message(role, parts))


def last(request: Generation) -> Message:
    return request.messages[-1]


def test_a_request_that_asks_for_nothing_special_is_passed_on_itself() -> None:
    request = ask()
    assert to(request, 0) == (request, ())
    assert to(request, 0)[0] is request


def test_a_provider_s_temperature_is_added_where_the_call_says_none_and_the_model_takes_one() -> None:
    assert to(ask(), default_temperature=0.2)[0].temperature == 0.2
    assert to(ask(temperature=1.0), default_temperature=0.2)[0].temperature == 1.0
    assert to(ask(top_p=0.5), default_temperature=0.2)[0].temperature is None
    thinking = ask(reasoning=ReasoningRequest(effort=Effort.LOW))
    assert to(thinking, default_temperature=0.2)[0].temperature is None
    unthinking = ask(reasoning=ReasoningRequest(effort=Effort.NONE))
    assert to(unthinking, default_temperature=0.2)[0].temperature == 0.2
    assert to(ask(), f.ALL & ~f.SAMPLING, default_temperature=0.2)[0].temperature is None
    fixed = Capabilities(fixed_sampling=True)
    assert to_model(ask(), fixed, f.ALL, default_temperature=0.2)[0].temperature is None


@pytest.mark.parametrize(
    ("request_", "can_not", "changed", "word"),
    [
        (ask(top_k=3), f.TOP_K, {"top_k": None}, "top_k"),
        (
            ask(temperature=1.0, top_p=0.5, top_k=3),
            f.SAMPLING,
            {"temperature": None, "top_p": None, "top_k": None},
            "temperature, top_p or top_k",
        ),
        (ask(seed=1), f.SEED, {"seed": None}, "a seed"),
        (ask(stop=("x",)), f.STOP, {"stop": ()}, "stop texts"),
        (
            ask(frequency_penalty=1.0, presence_penalty=1.0),
            f.PENALTIES,
            {"frequency_penalty": None, "presence_penalty": None},
            "frequency and presence penalties",
        ),
        (ask(end_user="u"), f.END_USER, {"end_user": ""}, "an end user"),
        (ask(service_tier=ServiceTier.FLEX), f.SERVICE_TIER, {"service_tier": None}, "service tiers"),
        (
            ask(response_format=JsonSchemaFormat(name="s", description="", schema_json="{}", strict=True)),
            f.JSON_SCHEMA,
            {"response_format": None},
            "JSON Schema output",
        ),
        (ask(reasoning=ReasoningRequest(effort=Effort.HIGH)), f.REASONING, {"reasoning": None}, "reasoning"),
        (
            ask(tools=(TOOL,), tool_choice=NamedTool("t")),
            f.TOOL_CHOICE,
            {"tool_choice": None},
            "a choice of tools",
        ),
        (
            ask(tools=(TOOL,), parallel_tool_calls=False),
            f.PARALLEL_TOOL_CALLS,
            {"parallel_tool_calls": None},
            "turning parallel tool calls off",
        ),
        (
            ask(tools=(TOOL,), tool_choice=ToolChoiceMode.REQUIRED, parallel_tool_calls=True),
            f.TOOLS,
            {"tools": (), "tool_choice": None, "parallel_tool_calls": None},
            "tools",
        ),
    ],
)
def test_what_a_target_cannot_do_is_left_out_with_a_warning(
    request_: Generation, can_not: int, changed: dict[str, Any], word: str
) -> None:
    warning = f"{word} left out: the API of the model 'small' of {ONE} cannot do this"
    assert to(request_, f.ALL & ~can_not) == (replace(request_, **changed), (warning,))


def test_what_is_left_out_for_the_model_s_sake_says_so() -> None:
    _, warnings = to_model(ask(tools=(TOOL,)), Capabilities(tools=False), f.ALL)
    assert warnings == (f"tools left out: the model 'small' of {ONE} cannot do this",)


@pytest.mark.parametrize(
    ("request_", "can_not", "changed"),
    [
        (ask(tools=(TOOL,), tool_choice=ToolChoiceMode.AUTO), f.TOOL_CHOICE, {"tool_choice": None}),
        (ask(tools=(TOOL,), tool_choice=ToolChoiceMode.NONE), f.TOOL_CHOICE, {"tool_choice": None, "tools": ()}),
        (ask(tools=(TOOL,), parallel_tool_calls=True), f.PARALLEL_TOOL_CALLS, {"parallel_tool_calls": None}),
        (ask(reasoning=ReasoningRequest(effort=Effort.NONE)), f.REASONING, {"reasoning": None}),
        (ask(service_tier=ServiceTier.STANDARD), f.SERVICE_TIER, {"service_tier": None}),
    ],
)
def test_what_a_target_does_by_itself_is_left_out_unsaid(
    request_: Generation, can_not: int, changed: dict[str, Any]
) -> None:
    assert to(request_, f.ALL & ~can_not) == (replace(request_, **changed), ())


def test_media_become_notes_to_the_model() -> None:
    adapted, warnings = to(only(Role.USER, IMAGE, AUDIO, PDF), f.ALL & ~f.IMAGES & ~f.AUDIO & ~f.DOCUMENTS)
    assert last(adapted).parts == (
        Text("[An image was left out here, which this model cannot take.]"),
        Text("[A sound was left out here, which this model cannot take.]"),
        Text("[A document, 'report.pdf', was left out here, which this model cannot take.]"),
    )
    assert [each.partition(" ")[0] for each in warnings] == ["images", "audio", "documents"]


def test_only_the_kind_of_media_that_is_missing_is_left_out() -> None:
    adapted, _ = to(only(Role.USER, IMAGE, PDF), f.ALL & ~f.DOCUMENTS)
    assert last(adapted).parts[0] is IMAGE


def test_media_in_results_of_tools_become_notes_inside_them() -> None:
    result = ToolResult(tool_call_id="c", name="t", parts=(Text("See:"), IMAGE), is_error=True)
    adapted, _ = to(only(Role.TOOL, result), f.ALL & ~f.IMAGES)
    note = Text("[An image was left out here, which this model cannot take.]")
    assert last(adapted) == Message(Role.TOOL, (replace(result, parts=(Text("See:"), note)),))


def test_calls_and_results_become_text_where_there_are_no_tools() -> None:
    request = conversation(
        Message(Role.USER, (Text("Hi"),)),
        Message(Role.ASSISTANT, (Text("Let me see."), CALL)),
        Message(
            Role.TOOL,
            (
                ToolResult(tool_call_id="c", name="t", parts=(Text("42"), IMAGE)),
                ToolResult(tool_call_id="c", name="t", parts=(), is_error=True),
            ),
        ),
    )
    adapted, warnings = to(request, f.ALL & ~f.TOOLS)
    assert adapted.messages[1:] == (
        Message(Role.ASSISTANT, (Text("Let me see."), Text('[The tool t was called with {"a":1}]'))),
        Message(
            Role.USER,
            (Text("[The tool t answered:]"), Text("42"), IMAGE, Text("[The tool t failed:]"), Text("[nothing]")),
        ),
    )
    assert len(warnings) == 1


def test_what_comes_from_the_same_provider_and_key_stays() -> None:
    request = only(Role.ASSISTANT, Reasoning("Hm.", OWN), replace(CALL, signature=OWN))
    adapted, warnings = to(request)
    assert (adapted.messages, warnings) == (request.messages, ())


@pytest.mark.parametrize(
    "origin",
    [
        Signature(b"x", "tenants/acme/providers/two", OWN.key),
        Signature(b"x", ONE, "tenants/acme/keys/two"),
        Signature(b"x", ONE, ""),
    ],
)
def test_reasoning_and_signatures_from_elsewhere_are_left_out_with_one_warning(origin: Signature) -> None:
    thought = Reasoning("Hm.", origin)
    request = only(Role.ASSISTANT, thought, Text("Well."), replace(CALL, signature=origin), thought)
    adapted, warnings = to(request)
    assert last(adapted).parts == (Text("Well."), CALL)
    assert warnings == (f"reasoning left out: that of earlier answers comes from elsewhere than {ONE}",)


def test_what_comes_from_elsewhere_is_told_of_whatever_comes_after_it() -> None:
    foreign = Reasoning("Hm.", Signature(b"x", ONE, "tenants/acme/keys/two"))
    _, warnings = to(only(Role.ASSISTANT, foreign, Reasoning("So.", OWN), Text("Well.")))
    assert len(warnings) == 1


def test_reasoning_without_a_signature_is_left_out_unsaid() -> None:
    adapted, warnings = to(only(Role.ASSISTANT, Reasoning("Hm."), Text("Well.")))
    assert (last(adapted).parts, warnings) == ((Text("Well."),), ())


def test_a_message_of_which_nothing_is_left_is_left_out_but_never_all_of_them() -> None:
    assert to(only(Role.ASSISTANT, Reasoning("Hm.")))[0].messages == (Message(Role.USER, (Text("Hi"),)),)
    (remaining,) = to(conversation(Message(Role.ASSISTANT, (Reasoning("Hm."),))))[0].messages
    assert remaining.role is Role.USER
    assert remaining.parts


def test_breakpoints_stay_with_what_they_follow() -> None:
    message = Message(Role.ASSISTANT, (Reasoning("Hm."), Text("a"), Reasoning("Hm."), Text("b")), (1, 3))
    adapted, _ = to(conversation(message))
    assert last(adapted) == Message(Role.ASSISTANT, (Text("a"), Text("b")), (0, 1))
    first = Message(Role.ASSISTANT, (Reasoning("Hm."), Text("a")), (0,))
    assert last(to(conversation(first))[0]) == Message(Role.ASSISTANT, (Text("a"),))
    split = Message(Role.TOOL, (ToolResult(tool_call_id="c", name="t", parts=(Text("1"), Text("2"))),), (0,))
    assert last(to(conversation(split), f.ALL & ~f.TOOLS)[0]).breakpoints == (2,)


def test_the_cost_of_a_tier_that_is_not_the_standard_one_is_said_not_to_be_known() -> None:
    for tier in (ServiceTier.FLEX, ServiceTier.PRIORITY):
        _, (warning,) = to(ask(service_tier=tier))
        assert tier.value in warning
    assert to(ask(service_tier=ServiceTier.STANDARD))[1] == ()


def test_an_embedding_loses_what_its_target_lacks() -> None:
    request = Embedding(inputs=("a",), dimensions=8, drop_unsupported=True)
    adapted, (warning,) = to(request, f.ALL & ~f.DIMENSIONS)
    assert adapted == replace(request, dimensions=None)
    assert warning.startswith("dimensions left out: ")


MEDIA = st.sampled_from([IMAGE, AUDIO, PDF])
SIGNATURES = st.sampled_from([None, OWN, Signature(b"x", "tenants/acme/providers/two", "")])
RESULTS = st.builds(
    ToolResult,
    tool_call_id=st.just("c"),
    name=st.just("t"),
    parts=st.lists(MEDIA | st.just(Text("x")), max_size=3).map(tuple),
    is_error=st.booleans(),
)
CALLS = st.builds(ToolCall, id=st.just("c"), name=st.just("t"), arguments_json=st.just("{}"), signature=SIGNATURES)
PARTS: dict[Role, st.SearchStrategy[Any]] = {
    Role.SYSTEM: st.just(Text("s")),
    Role.USER: st.just(Text("u")) | MEDIA,
    Role.ASSISTANT: st.just(Text("a")) | CALLS | st.builds(Reasoning, st.just("r"), SIGNATURES),
    Role.TOOL: RESULTS,
}


@st.composite
def any_message(draw: st.DrawFn) -> Message:
    role = draw(st.sampled_from(list(Role)))
    parts = tuple(draw(st.lists(PARTS[role], min_size=1, max_size=4)))
    return Message(role, parts, tuple(draw(st.sets(st.integers(0, len(parts) - 1), max_size=2))))


ANY_REQUEST = st.builds(
    Generation,
    messages=st.lists(any_message(), max_size=4).map(tuple),
    tools=st.sampled_from([(), (TOOL,)]),
    tool_choice=st.sampled_from([None, *ToolChoiceMode, NamedTool("t")]),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    response_format=st.sampled_from([None, JsonSchemaFormat(name="s", description="", schema_json="{}", strict=False)]),
    temperature=st.sampled_from([None, 0.0]),
    top_p=st.sampled_from([None, 0.5]),
    top_k=st.sampled_from([None, 3]),
    frequency_penalty=st.sampled_from([None, 0.0]),
    presence_penalty=st.sampled_from([None, 0.0]),
    stop=st.sampled_from([(), ("x",)]),
    seed=st.sampled_from([None, 0]),
    end_user=st.sampled_from(["", "u"]),
    reasoning=st.sampled_from([None, ReasoningRequest(effort=Effort.NONE), ReasoningRequest(budget_tokens=5)]),
    service_tier=st.sampled_from([None, *ServiceTier]),
    drop_unsupported=st.just(True),
)


@settings(deadline=None)
@given(ANY_REQUEST, ANY_MASK, st.sampled_from([None, 0.5]))
def test_nothing_is_left_that_the_target_lacks(request: Generation, can: int, temperature: float | None) -> None:
    adapted, warnings = to(request, can, default_temperature=temperature)
    assert needs_of(adapted, measure(adapted), streaming=False).used & ~can == 0
    assert all(message.parts for message in adapted.messages)
    assert bool(adapted.messages) == bool(request.messages)
    for message in adapted.messages:
        assert all(0 <= place < len(message.parts) for place in message.breakpoints)
        for part in message.parts:
            if isinstance(part, Reasoning):
                assert part.signature == OWN
            elif isinstance(part, ToolCall):
                assert part.signature in (None, OWN)
    needed = needs_of(request, measure(request), streaming=False).needed
    left_out = [each for each in warnings if each.endswith("cannot do this")]
    assert len(left_out) == (needed & ~can).bit_count()
    assert adapted.temperature is None or can & f.SAMPLING


@settings(deadline=None)
@given(ANY_REQUEST, ANY_MASK)
def test_adapting_twice_is_adapting_once(request: Generation, can: int) -> None:
    adapted, _ = to(request, can)
    assert to(adapted, can)[0] == adapted
