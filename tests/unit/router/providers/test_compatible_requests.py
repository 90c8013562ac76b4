"""What each server is asked, in its own words."""

from dataclasses import replace
from typing import Any

import pytest

from services.router.domain import features
from services.router.domain.generation import (
    Effort,
    Generation,
    Image,
    JsonFormat,
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
from services.router.providers.dialects.compatible_servers import SERVERS
from services.router.providers.dialects.openai_compatible import OPENAI_COMPATIBLE
from tests.unit.router.providers.compatible_wire import ALL, HELLO, sent

LOOK = Tool(name="look", description="", parameters_json="")
HEAR = Tool(name="hear", description="", parameters_json="")


def warnings(server: str, request: Generation, model: str = "m") -> tuple[str, ...]:
    encoded = OPENAI_COMPATIBLE.encode(
        request, provider_model_id=model, output_limit=7, stream=False, options={"server": server}
    )
    return encoded.warnings


def test_there_is_a_row_for_each_server_and_any_other_is_unknown() -> None:
    assert set(ALL) == set(SERVERS)
    for options in ({}, {"server": "unheard-of"}, {"server": 7}):
        assert OPENAI_COMPATIBLE.quirks_of(options) is SERVERS["other"]
        assert OPENAI_COMPATIBLE.features(options, "m") == OPENAI_COMPATIBLE.features({"server": "other"}, "m")


@pytest.mark.parametrize(
    ("server", "limit", "asks_for_usage"),
    [
        ("vllm", "max_completion_tokens", True),
        ("llama_cpp", "max_tokens", True),
        ("lm_studio", "max_tokens", True),
        ("groq", "max_completion_tokens", True),
        ("mistral", "max_tokens", False),
        ("deepseek", "max_tokens", True),
        ("xai", "max_completion_tokens", True),
        ("together", "max_tokens", True),
        ("openrouter", "max_tokens", True),
        ("other", "max_tokens", True),
    ],
)
def test_limits_and_the_wish_for_usage(server: str, limit: str, asks_for_usage: bool) -> None:
    body = sent(server, HELLO, stream=True)
    assert {name for name in body if name.startswith("max_")} == {limit}
    assert ("stream_options" in body) is asks_for_usage


MASKS = {
    "top_k": features.TOP_K,
    "penalties": features.PENALTIES,
    "stop": features.STOP,
    "seed": features.SEED,
    "images": features.IMAGES,
    "audio": features.AUDIO,
    "documents": features.DOCUMENTS,
    "json_schema": features.JSON_SCHEMA,
    "parallel_tool_calls": features.PARALLEL_TOOL_CALLS,
    "service_tier": features.SERVICE_TIER,
    "end_user": features.END_USER,
}
USUAL = {"penalties", "stop", "seed", "images", "json_schema", "parallel_tool_calls"}


@pytest.mark.parametrize(
    ("server", "can"),
    [
        ("vllm", USUAL | {"top_k", "audio", "end_user"}),
        ("llama_cpp", USUAL | {"top_k", "audio"}),
        ("lm_studio", (USUAL | {"top_k"}) - {"parallel_tool_calls"}),
        ("groq", USUAL | {"service_tier", "end_user"}),
        ("mistral", USUAL),
        ("deepseek", {"penalties", "stop"}),
        ("xai", (USUAL | {"end_user"}) - {"penalties", "stop"}),
        ("together", (USUAL | {"top_k"}) - {"parallel_tool_calls"}),
        ("openrouter", USUAL | {"top_k", "audio", "documents", "end_user"}),
        ("other", USUAL | {"audio", "end_user"}),
    ],
)
def test_what_each_can_be_asked_for(server: str, can: set[str]) -> None:
    mask = OPENAI_COMPATIBLE.features({"server": server}, "m")
    assert can == {name for name, bit in MASKS.items() if mask & bit}


@pytest.mark.parametrize("server", ["other", "vllm", "llama_cpp", "lm_studio"])
def test_servers_that_people_run_themselves_fetch_nothing_for_callers(server: str) -> None:
    # They live inside the network, and follow every redirect from a good place to one inside.
    image = Image(url="https://example.com/cat.png")
    request = Generation(messages=(Message(Role.USER, (image,)),))
    assert OPENAI_COMPATIBLE.takes_urls(request, {"server": server}, "m") == frozenset()
    assert OPENAI_COMPATIBLE.takes_urls(request, {"server": "groq"}, "m") == {Image}


def _efforts(none: Any, low: Any, medium: Any, high: Any, most: Any) -> dict[Effort, Any]:
    return dict(zip(Effort, (none, low, medium, high, most), strict=True))


def _words(*words: str) -> dict[Effort, Any]:
    return _efforts(*({"reasoning_effort": word} for word in words))


OFF, ON = {"enable_thinking": False, "thinking": False}, {"enable_thinking": True, "thinking": True}


@pytest.mark.parametrize(
    ("server", "model", "asked"),
    [
        ("other", "m", _words("none", "low", "medium", "high", "high")),
        (
            "vllm",
            "qwen3",
            _efforts(
                {"chat_template_kwargs": OFF},
                *({"chat_template_kwargs": ON, "reasoning_effort": word} for word in ("low", "medium", "high", "high")),
            ),
        ),
        (
            "llama_cpp",
            "gpt-oss",
            _efforts(
                {"chat_template_kwargs": {**OFF, "reasoning_effort": "low"}},
                *(
                    {"chat_template_kwargs": {**ON, "reasoning_effort": word}}
                    for word in ("low", "medium", "high", "high")
                ),
            ),
        ),
        ("lm_studio", "m", _words("low", "low", "medium", "high", "high")),
        ("groq", "openai/gpt-oss-120b", _words("low", "low", "medium", "high", "high")),
        (
            "groq",
            "qwen/qwen3-32b",
            _efforts(
                {"reasoning_effort": "none"}, *([{"reasoning_effort": "default", "reasoning_format": "parsed"}] * 4)
            ),
        ),
        ("mistral", "mistral-small-latest", _words("none", "high", "high", "high", "high")),
        ("mistral", "magistral-medium-latest", _efforts({}, {}, {}, {}, {})),
        (
            "deepseek",
            "deepseek-flash",
            _efforts(
                {"thinking": {"type": "disabled"}},
                *(
                    {"thinking": {"type": "enabled"}, "reasoning_effort": word}
                    for word in ("low", "high", "high", "max")
                ),
            ),
        ),
        ("xai", "grok-4.3", _words("none", "low", "medium", "high", "high")),
        ("xai", "grok-4.5", _words("low", "low", "medium", "high", "high")),
        ("xai", "grok-3-mini", _words("low", "low", "high", "high", "high")),
        *(
            ("xai", model, _efforts({}, {}, {}, {}, {}))
            for model in (
                *("grok-3", "grok-4", "grok-4-0709", "grok-4-fast-reasoning", "grok-4-1-fast", "grok-4.1-fast"),
                *("grok-4.20-reasoning", "grok-code-fast-1"),
            )
        ),
        ("together", "openai/gpt-oss-20b", _words("low", "low", "medium", "high", "high")),
        (
            "together",
            "zai-org/GLM-5",
            _efforts({"reasoning": {"enabled": False}}, *([{"reasoning": {"enabled": True}}] * 4)),
        ),
        (
            "openrouter",
            "m",
            _efforts(*({"reasoning": {"effort": word}} for word in ("none", "low", "medium", "high", "xhigh"))),
        ),
    ],
)
def test_each_is_asked_for_reasoning_in_its_own_way(server: str, model: str, asked: dict[Effort, Any]) -> None:
    plain = sent(server, HELLO, model=model)
    for effort in Effort:
        body = sent(server, replace(HELLO, reasoning=ReasoningRequest(effort=effort)), model=model)
        assert {name: value for name, value in body.items() if name not in plain} == asked[effort]


def test_openrouter_takes_a_budget_as_it_is_others_in_words() -> None:
    request = replace(HELLO, reasoning=ReasoningRequest(budget_tokens=5000))
    assert sent("openrouter", request)["reasoning"] == {"max_tokens": 5000}
    assert sent("other", request)["reasoning_effort"] == "medium"


def test_tools_are_chosen_in_each_server_s_words() -> None:
    required = replace(HELLO, tools=(LOOK, HEAR), tool_choice=ToolChoiceMode.REQUIRED)
    named = replace(required, tool_choice=NamedTool("hear"))
    for server in ALL:
        assert sent(server, required)["tool_choice"] == ("any" if server == "mistral" else "required")
        body = sent(server, named)
        names = [each["function"]["name"] for each in body["tools"]]
        if server in ("llama_cpp", "lm_studio"):
            assert (names, body["tool_choice"]) == (["hear"], "required")
        else:
            assert names == ["look", "hear"]
            assert body["tool_choice"] == {"type": "function", "function": {"name": "hear"}}


def test_seeds_tiers_and_json_go_under_each_server_s_names() -> None:
    assert sent("mistral", replace(HELLO, seed=3))["random_seed"] == 3
    assert sent("vllm", replace(HELLO, seed=3, top_k=4)) | {"messages": 0} == {
        "model": "m",
        "messages": 0,
        "max_completion_tokens": 7,
        "seed": 3,
        "top_k": 4,
    }
    tiers = [sent("groq", replace(HELLO, service_tier=tier))["service_tier"] for tier in ServiceTier]
    assert tiers == ["auto", "on_demand", "flex", "performance"]
    any_json = replace(HELLO, response_format=JsonFormat())
    assert sent("lm_studio", any_json)["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert sent("llama_cpp", any_json)["response_format"] == {"type": "json_object"}
    schema = JsonSchemaFormat(
        name="s", description="", schema_json='{"type":"object","properties":{"a":{"minLength":1}}}', strict=True
    )
    for server in ALL:
        made = sent(server, replace(HELLO, response_format=schema))["response_format"]["json_schema"]["schema"]
        assert ("minLength" not in str(made["properties"]["a"].keys())) is (server in ("groq", "openrouter"))


CONVERSATION = Generation(
    messages=(
        Message(Role.USER, (Text("Look "), Text("there"))),
        Message(
            Role.ASSISTANT,
            (
                Reasoning("", Signature(b"I should look.")),
                ToolCall(id="toolu_01A", name="look", arguments_json="{}"),
            ),
        ),
        Message(Role.TOOL, (ToolResult(tool_call_id="toolu_01A", name="look", parts=(Text("a cat"),)),)),
        Message(Role.USER, (Text("Well?"),)),
    ),
    tools=(LOOK,),
)


def test_mistral_takes_ids_of_nine_and_no_user_right_after_a_tool() -> None:
    messages = sent("mistral", CONVERSATION)["messages"]
    (call,) = messages[1]["tool_calls"]
    assert len(call["id"]) == 9
    assert call["id"].isalnum()
    assert messages[2]["tool_call_id"] == call["id"]
    assert [each["role"] for each in messages] == ["user", "assistant", "tool", "assistant", "user"]
    kept = replace(
        CONVERSATION, messages=(Message(Role.ASSISTANT, (ToolCall(id="D681PevKs", name="x", arguments_json="{}"),)),)
    )
    assert sent("mistral", kept)["messages"][0]["tool_calls"][0]["id"] == "D681PevKs"


def test_mistral_takes_system_messages_at_the_beginning_only() -> None:
    rule, other, late = (Message(Role.SYSTEM, (Text(text),)) for text in ("Be kind.", "Be brief.", "Now in verse."))
    call, results, question = CONVERSATION.messages[1:]
    said = Message(Role.ASSISTANT, (Text("A cat."),))
    turns = (rule, other, question, late, said, late, call, results, late)
    request = replace(CONVERSATION, messages=turns)
    messages = sent("mistral", request)["messages"]
    assert [each["role"] for each in messages] == [
        *("system", "system", "user", "user", "assistant", "user"),
        *("assistant", "tool", "assistant", "user"),
    ]
    assert messages[5]["content"] == messages[9]["content"] == "Now in verse."
    assert [each["role"] for each in sent("groq", request)["messages"]].count("system") == 5
    late_word = "instructions amid the conversation sent as the user's: the API takes no others there"
    assert late_word in warnings("mistral", request)
    assert late_word not in warnings("groq", request)
    assert warnings("mistral", replace(request, messages=turns[:3])) == ()


@pytest.mark.parametrize("choice", [ToolChoiceMode.REQUIRED, NamedTool("hear")])
@pytest.mark.parametrize("wanted", [None, ReasoningRequest(effort=Effort.HIGH), ReasoningRequest(effort=Effort.NONE)])
def test_deepseek_does_not_think_where_it_has_to_call_a_tool(
    choice: ToolChoiceMode | NamedTool, wanted: ReasoningRequest | None
) -> None:
    request = replace(HELLO, tools=(LOOK, HEAR), tool_choice=choice, reasoning=wanted)
    body = sent("deepseek", request)
    assert (body["thinking"], "reasoning_effort" in body) == ({"type": "disabled"}, False)
    given_up = wanted is not None and wanted.effort is Effort.HIGH
    assert warnings("deepseek", request) == (
        ("reasoning left out: the model 'm' cannot think while it is made to call a tool",) if given_up else ()
    )
    free = replace(request, tool_choice=ToolChoiceMode.AUTO)
    assert ("reasoning_effort" in sent("deepseek", free)) is given_up
    assert warnings("deepseek", free) == warnings("vllm", request) == ()


def test_a_model_that_cannot_be_asked_to_think_is_not_asked_in_silence() -> None:
    request = replace(HELLO, reasoning=ReasoningRequest(effort=Effort.LOW))
    assert warnings("xai", request, "grok-4-0709") == (
        "reasoning left out: the model 'grok-4-0709' cannot be told whether or how hard to think",
    )
    assert warnings("xai", request, "grok-4.3") == warnings("xai", HELLO, "grok-4-0709") == ()


def test_deepseek_gets_its_thoughts_back_with_every_call_and_texts_in_one() -> None:
    messages = sent("deepseek", CONVERSATION)["messages"]
    assert messages[0]["content"] == "Look there"
    assert messages[1]["reasoning_content"] == "I should look."
    bare = Message(Role.ASSISTANT, (ToolCall(id="a", name="look", arguments_json="{}"),))
    said = Message(Role.ASSISTANT, (Text("Yes."),))
    others = sent("deepseek", replace(CONVERSATION, messages=(bare, said)))["messages"]
    assert others[0]["reasoning_content"] == ""
    assert "reasoning_content" not in others[1]
