"""What a call asks of Claude, by the family of the model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from libs.sandbox.dialect import Refusal
from services.router.domain import features
from services.router.domain.generation import (
    Document,
    Effort,
    Generation,
    Image,
    JsonSchemaFormat,
    Message,
    NamedTool,
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
from services.router.providers.dialects.anthropic import ANTHROPIC
from services.router.providers.formats.anthropic_messages.model_families import UNKNOWN, Thinking, family_of
from tests.unit.router.providers.anthropic_calls import body_of, judged

HELLO = Generation(messages=(Message(Role.USER, (Text("Hello"),)),))
OLD, BUDGET, EITHER, NEW = "claude-opus-4-1-20250805", "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-4-7"
GET = Tool(name="get", description="", parameters_json="")
OBJECT = '{"type":"object","properties":{"a":{"type":"string"}}}'


def shape(schema: str = OBJECT, name: str = "trip") -> JsonSchemaFormat:
    return JsonSchemaFormat(name=name, description="", schema_json=schema, strict=True)


def thinking(**how: Any) -> Generation:
    return replace(HELLO, reasoning=ReasoningRequest(**how))


@pytest.mark.parametrize(
    ("model", "thinks", "off", "system_turns", "sampling", "schemas", "forced"),
    [
        ("claude-3-5-haiku-20241022", Thinking.NONE, "disabled", False, True, False, True),
        ("claude-3-haiku-20240307", Thinking.NONE, "disabled", False, True, False, True),
        ("claude-2.1", Thinking.NONE, "disabled", False, True, False, True),
        ("claude-instant-1.2", Thinking.NONE, "disabled", False, True, False, True),
        ("claude-3-7-sonnet-20250219", Thinking.BUDGET, "disabled", False, True, False, True),
        ("claude-opus-4-20250514", Thinking.BUDGET, "disabled", False, True, False, True),
        ("claude-4-opus-20250514", Thinking.BUDGET, "disabled", False, True, False, True),
        ("claude-opus-4@20250514", Thinking.BUDGET, "disabled", False, True, False, True),
        ("anthropic.claude-opus-4-1-20250805-v1:0", Thinking.BUDGET, "disabled", False, True, False, True),
        ("claude-haiku-4-5-20251001", Thinking.BUDGET, "disabled", False, True, True, True),
        ("anthropic/claude-sonnet-4.5", Thinking.BUDGET, "disabled", False, True, True, True),
        ("us.anthropic.claude-opus-4-6-v1", Thinking.EITHER, "disabled", False, True, True, True),
        ("claude-sonnet-4-6", Thinking.EITHER, "disabled", False, True, True, True),
        ("claude-mythos-preview", Thinking.EITHER, "", False, True, True, True),
        ("claude-opus-4-7", Thinking.ADAPTIVE, "disabled", False, False, True, True),
        ("claude-opus-4-8", Thinking.ADAPTIVE, "disabled", True, False, True, True),
        ("claude-sonnet-5", Thinking.ADAPTIVE, "disabled", False, False, True, True),
        ("claude-opus-5", Thinking.ADAPTIVE, "disabled", True, False, True, True),
        ("claude-fable-5", Thinking.ADAPTIVE, "", True, False, True, True),
        ("claude-fable-5-2", Thinking.ADAPTIVE, "", True, False, True, False),
        ("claude-mythos-5-1", Thinking.ADAPTIVE, "", True, False, True, False),
        ("claude-opus-5-5", Thinking.ADAPTIVE, "", True, False, True, False),
        ("claude-sonnet-5-5", Thinking.ADAPTIVE, "between_tools", True, False, True, False),
        ("claude-haiku-5-5", Thinking.ADAPTIVE, "disabled", True, False, True, True),
        ("claude-opus-latest", Thinking.ADAPTIVE, "", True, False, True, False),
        ("claude-novel-7", Thinking.ADAPTIVE, "disabled", False, False, True, True),
    ],
)
def test_the_family_is_told_by_the_name(
    model: str, thinks: Thinking, off: str, system_turns: bool, sampling: bool, schemas: bool, forced: bool
) -> None:
    family = family_of(model)
    assert (family.thinking, family.thinking_off, family.system_turns) == (thinks, off, system_turns)
    assert (family.sampling, family.output_schemas, family.forced_tools) == (sampling, schemas, forced)
    mask = ANTHROPIC.features({}, model)
    assert bool(mask & features.REASONING) == (thinks is not Thinking.NONE)
    assert bool(mask & features.SAMPLING) == bool(mask & features.TOP_K) == sampling
    assert bool(mask & features.TOOL_CHOICE) == forced


def test_other_names_are_treated_like_the_newest_but_for_sampling() -> None:
    assert family_of("our-model") is UNKNOWN
    assert family_of("our-model", "budget").thinking is Thinking.BUDGET
    assert family_of(NEW, "budget").thinking is Thinking.BUDGET
    assert family_of(BUDGET, "adaptive").thinking is Thinking.ADAPTIVE
    assert family_of(NEW, "sometimes") == family_of(NEW, ["x"]) == family_of(NEW)
    body = body_of(thinking(effort=Effort.LOW), "our-model", thinking="budget")
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 1024, "display": "summarized"}


def test_what_the_format_never_carries() -> None:
    lacking = features.AUDIO | features.EMBEDDINGS | features.JSON | features.SEED | features.PENALTIES
    assert not ANTHROPIC.features({}, "our-model") & (lacking | features.DIMENSIONS | features.PURPOSE)


@pytest.mark.parametrize(
    ("wanted", "limit", "budget"),
    [
        (5000, 9000, 5000),
        (5000, 5000, 4999),
        (5000, 1025, 1024),
        (5000, 1024, None),
        (1, 9000, 1024),
        (1, 1000, None),
        (Effort.LOW, 9000, 1024),
        (Effort.LOW, 1500, 1024),
        (Effort.MEDIUM, 100_000, 8192),
        (Effort.HIGH, 100_000, 24_576),
        (Effort.HIGH, 9000, 4500),
        (Effort.MAX, 100_000, 32_768),
        (Effort.MAX, 1024, None),
    ],
)
def test_a_budget_fits_the_output_limit(wanted: int | Effort, limit: int, budget: int | None) -> None:
    how = {"effort": wanted} if isinstance(wanted, Effort) else {"budget_tokens": wanted}
    body = body_of(thinking(**how), BUDGET, limit=limit)
    assert body.get("thinking") == (None if budget is None else {"type": "enabled", "budget_tokens": budget})
    assert body["max_tokens"] == limit
    judged({**body, "model": "sandbox-small"})


@pytest.mark.parametrize(
    ("tokens", "effort"), [(1, "low"), (2048, "low"), (2049, "medium"), (16_384, "medium"), (16_385, "high")]
)
def test_a_budget_is_told_in_words_where_the_model_knows_words_only(tokens: int, effort: str) -> None:
    assert body_of(thinking(budget_tokens=tokens), NEW)["output_config"] == {"effort": effort}


def test_no_thinking_is_as_little_as_the_model_allows() -> None:
    nothing = thinking(effort=Effort.NONE)
    assert body_of(nothing, NEW)["thinking"] == {"type": "disabled"}
    assert body_of(nothing, "claude-sonnet-5-5")["thinking"] == {"type": "between_tools"}
    always = body_of(nothing, "claude-opus-5-5")
    assert (always["thinking"]["type"], always["output_config"]) == ("adaptive", {"effort": "low"})


def test_nothing_is_said_of_thinking_where_nothing_was_asked_or_can_be() -> None:
    for model in (OLD, BUDGET, NEW, "our-model"):
        assert "thinking" not in body_of(HELLO, model)
    for effort in (Effort.NONE, Effort.HIGH):
        assert "thinking" not in body_of(thinking(effort=effort), "claude-3-5-haiku-20241022")


def test_a_conversation_begun_without_thoughts_goes_on_without_a_budget_for_them() -> None:
    question, call = Message(Role.USER, (Text("Go"),)), ToolCall(id="a", name="get", arguments_json="{}")
    result = Message(Role.TOOL, (ToolResult(tool_call_id="a", name="get", parts=(Text("1"),)),))
    foreign = (question, Message(Role.ASSISTANT, (call,)), result)
    asked = Generation(messages=foreign, tools=(GET,), reasoning=ReasoningRequest(budget_tokens=2000))
    assert "thinking" not in body_of(asked, BUDGET)
    assert body_of(asked, NEW)["thinking"]["type"] == "adaptive"
    own = (question, Message(Role.ASSISTANT, (Reasoning("Hm", Signature(b"tmark")), call)), result)
    assert "thinking" in body_of(replace(asked, messages=own), BUDGET)
    # The thoughts stand before the first of several calls; a new question begins anew.
    again = ToolCall(id="b", name="get", arguments_json="{}")
    second = Message(Role.TOOL, (ToolResult(tool_call_id="b", name="get", parts=(Text("2"),)),))
    longer = (*own, Message(Role.ASSISTANT, (again,)), second)
    assert "thinking" in body_of(replace(asked, messages=longer), BUDGET)
    anew = (*foreign, Message(Role.ASSISTANT, (Text("One."),)), question)
    assert "thinking" in body_of(replace(asked, messages=anew), BUDGET)


def test_what_goes_with_no_budget_is_sent_all_the_same_by_a_strict_call() -> None:
    asked = replace(
        thinking(budget_tokens=2000), temperature=0.5, top_p=0.5, top_k=5, tools=(GET,), tool_choice=NamedTool("get")
    )
    body = body_of(asked, BUDGET)
    assert (body["temperature"], body["top_p"], body["top_k"]) == (0.5, 0.5, 5)
    assert body["tool_choice"] == {"type": "tool", "name": "get"}
    with pytest.raises(Refusal, match="temperature"):
        judged({**body, "model": "sandbox-small"})


def test_a_call_that_lets_things_be_left_out_loses_what_goes_with_no_budget() -> None:
    asked = replace(thinking(budget_tokens=2000), temperature=0.5, top_p=0.5, top_k=5, drop_unsupported=True)
    body = body_of(asked, BUDGET)
    assert "thinking" in body
    assert not {"temperature", "top_p", "top_k"} & body.keys()
    kept = body_of(replace(asked, temperature=1.0, top_p=0.97), "claude-3-7-sonnet")
    assert (kept["temperature"], kept["top_p"]) == (1.0, 0.97)
    forced = body_of(replace(asked, tools=(GET,), tool_choice=ToolChoiceMode.REQUIRED), BUDGET)
    assert "thinking" not in forced
    assert (forced["temperature"], forced["tool_choice"]) == (0.5, {"type": "any"})


def test_blank_stop_texts_are_left_out_where_that_is_allowed() -> None:
    asked = replace(HELLO, stop=("\n\n", "END"))
    assert body_of(asked)["stop_sequences"] == ["\n\n", "END"]
    assert body_of(replace(asked, drop_unsupported=True))["stop_sequences"] == ["END"]


@pytest.mark.parametrize(
    ("tier", "word"),
    [
        (ServiceTier.AUTO, "auto"),
        (ServiceTier.PRIORITY, "auto"),
        (ServiceTier.STANDARD, "standard_only"),
        (ServiceTier.FLEX, "standard_only"),
    ],
)
def test_there_are_two_tiers(tier: ServiceTier, word: str) -> None:
    assert body_of(replace(HELLO, service_tier=tier))["service_tier"] == word


def test_a_limit_is_always_sent() -> None:
    assert body_of(HELLO, limit=None)["max_tokens"] == 4096


def test_an_old_model_gives_its_answer_to_a_tool() -> None:
    asked = replace(HELLO, response_format=shape())
    body = body_of(asked, OLD)
    (tool,) = body["tools"]
    assert (tool["name"], tool["input_schema"]["type"]) == ("trip", "object")
    assert body["tool_choice"] == {"type": "tool", "name": "trip"}
    assert "output_config" not in body
    named_alike = replace(GET, name="trip")
    body = body_of(replace(asked, tools=(named_alike,)), OLD)
    assert [each["name"] for each in body["tools"]] == ["trip", "trip_2"]
    assert body["tool_choice"] == {"type": "any"}
    body = body_of(replace(asked, tools=(GET,), tool_choice=ToolChoiceMode.NONE), OLD)
    assert body["tool_choice"] == {"type": "tool", "name": "trip"}
    body = body_of(replace(asked, tools=(GET,), tool_choice=NamedTool("get")), OLD)
    assert [each["name"] for each in body["tools"]] == ["get"]


def test_an_old_model_that_thinks_is_told_to_in_words() -> None:
    body = body_of(replace(thinking(budget_tokens=2000), response_format=shape()), OLD)
    assert body["system"] == "Give the answer as input of the tool trip, without other text."
    assert "tool_choice" not in body
    judged({**body, "model": "sandbox-claude-opus-4-1"})


@pytest.mark.parametrize("schema", ['{"type":"array","items":{}}', "{}", '{"type":["object","null"]}'])
def test_what_no_tool_takes_is_told_an_old_model_in_words(schema: str) -> None:
    body = body_of(replace(HELLO, response_format=shape(schema)), OLD)
    assert body["system"].endswith(f":\n{schema}")
    assert "tools" not in body


def test_documents_go_by_url_as_long_as_all_of_them_are_pdfs() -> None:
    pdf = Document(url="https://example.com/a.pdf", media_type="application/pdf")
    text = Document(url="https://example.com/a.txt", media_type="text/plain")

    def taken(*media: Document) -> frozenset[type]:
        messages = (Message(Role.USER, (*media,)),)
        return frozenset(ANTHROPIC.takes_urls(Generation(messages=messages), {}, "m"))

    assert taken(pdf) == {Image, Document}
    assert taken(pdf, text) == {Image}
    result = ToolResult(tool_call_id="a", name="get", parts=(text,))
    assert ANTHROPIC.takes_urls(Generation(messages=(Message(Role.TOOL, (result,)),)), {}, "m") == {Image}


def test_headers() -> None:
    assert ANTHROPIC.key_headers("k", {}) == {"x-api-key": "k"}
    assert ANTHROPIC.option_headers({}) == {"anthropic-version": "2023-06-01"}
    assert ANTHROPIC.option_headers({"beta": "a,b"})["anthropic-beta"] == "a,b"
