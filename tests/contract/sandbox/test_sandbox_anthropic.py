"""The sandbox refuses what Anthropic's API refuses, in its words."""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson
import pytest

from libs.sandbox import Sandbox
from libs.sandbox.dialect import Call, Endpoint, Refusal, Route
from libs.sandbox.dialects.anthropic_request import read_question
from libs.sandbox.sealing import seal
from tests.contract.sandbox.conftest import KEY

HELLO = {"role": "user", "content": "Hello"}
GET = {"name": "get", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "a", "name": "get", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "1"}
THOUGHT = {"type": "thinking", "thinking": "Hm", "signature": seal("Hm")}
THINK = {"type": "enabled", "budget_tokens": 1024}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}}


def read(version: str = "2023-06-01", **fields: Any) -> Any:
    body = {"model": "sandbox-small", "max_tokens": 2048, "messages": [HELLO], **fields}
    kept = {name: value for name, value in body.items() if value is not ...}
    headers = {"anthropic-version": version} if version else {}
    return read_question(Call(route=Route(endpoint=Endpoint.CHAT), headers=headers, body=orjson.dumps(kept)))


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **fields}


def shaped(schema: Any) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


CACHED = {"cache_control": {"type": "ephemeral"}}
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"max_tokens": ...}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
        ({"model": ...}, "model: Field required"),
        ({"messages": ...}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"seed": 1}, "seed: Extra inputs are not permitted"),
        ({"stream_options": {}}, "stream_options: Extra inputs are not permitted"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "Input should be 'user', 'assistant' or 'system'"),
        ({"messages": [{**HELLO, "name": "x"}]}, "messages.0.name: Extra inputs are not permitted"),
        ({"messages": [assistant(text("Hi"))]}, 'first message must use the "user" role'),
        ({"messages": [user()]}, "all messages must have non-empty content"),
        ({"messages": [user(text(""))]}, "text content blocks must be non-empty"),
        ({"messages": [user(text(" \n"))]}, "text content blocks must contain non-whitespace text"),
        ({"messages": [HELLO, assistant(text("Hi "))]}, "cannot end with trailing whitespace"),
        ({"messages": [user({"type": "audio"})]}, "messages.0.content.0: Input tag 'audio'"),
        ({"messages": [user({**IMAGE, "source": {**IMAGE["source"], "data": "?"}})]}, "not valid base64"),  # type: ignore[dict-item]
        ({"messages": [user({**IMAGE, "source": {**IMAGE["source"], "media_type": "image/tiff"}})]}, "media_type"),  # type: ignore[dict-item]
        ({"messages": [user({"type": "image", "source": {"type": "url", "url": "file:x"}})]}, "Only HTTP and HTTPS"),
        ({"messages": [HELLO, assistant(USE)], "tools": [GET]}, "without `tool_result` blocks immediately after: a"),
        ({"messages": [HELLO, assistant(USE), user(text("x"), RESULT)], "tools": [GET]}, "immediately after: a"),
        ({"messages": [user(RESULT)], "tools": [GET]}, "unexpected `tool_use_id` found in `tool_result` blocks: a"),
        ({"messages": [HELLO, assistant(USE), user(RESULT, RESULT)], "tools": [GET]}, "a single result"),
        ({"messages": [HELLO, assistant(USE, USE), user(RESULT)], "tools": [GET]}, "ids must be unique"),
        ({"messages": [HELLO, assistant({**USE, "id": "a b"})], "tools": [GET]}, "should match pattern"),
        (
            {"messages": [HELLO, assistant({**USE, "input": "{}"})], "tools": [GET]},
            "input: Input should be a valid dict",
        ),
        ({"messages": [HELLO, assistant(USE), user(RESULT)]}, "must define tools"),
        ({"messages": [HELLO, assistant(THOUGHT)]}, "cannot be `thinking`"),
        ({"messages": [HELLO, assistant({**THOUGHT, "thinking": "Hm!"}, text("x"))]}, "Invalid `signature`"),
        ({"messages": [HELLO, assistant({**THOUGHT, "signature": "x"}, text("x"))]}, "Invalid `signature`"),
        ({"messages": [HELLO, assistant({"type": "redacted_thinking", "data": "x"}, text("x"))]}, "Invalid `data`"),
        ({"messages": [HELLO, assistant({**THOUGHT, **CACHED}, text("x"))]}, "cache_control: Extra inputs"),
        ({"messages": [SYSTEM, HELLO]}, "messages"),
        ({"messages": [HELLO, assistant(text("x")), SYSTEM, HELLO]}, "role 'system' must follow"),
        ({"messages": [HELLO, SYSTEM, HELLO]}, "role 'system' must precede"),
        ({"messages": [HELLO, SYSTEM], "model": "sandbox-claude-opus-4-6"}, "not supported on this model"),
        ({"messages": [user(*[text("x", **CACHED)] * 5)]}, "A maximum of 4 blocks with cache_control"),
        ({"messages": [user(text("x", cache_control={"type": "forever"}))]}, "cache_control"),
        ({"system": [text(" ")]}, "non-whitespace"),
        ({"tools": [{"name": "get"}]}, "input_schema"),
        ({"tools": [{**GET, "input_schema": {}}]}, "input_schema.type: Input should be 'object'"),
        (
            {"tools": [{**GET, "input_schema": {"type": "object", "anyOf": []}}]},
            "does not support oneOf, allOf, or anyOf",
        ),
        ({"tools": [{**GET, "name": "a b"}]}, "String should match pattern"),
        ({"tools": [{**GET, "parameters": {}}]}, "Extra inputs are not permitted"),
        ({"tools": [GET, GET]}, "Tool names must be unique"),
        ({"tool_choice": {"type": "auto"}}, "tool_choice may only be specified while providing tools"),
        ({"tools": [GET], "tool_choice": "auto"}, "tool_choice: Input should be a valid dictionary"),
        ({"tools": [GET], "tool_choice": {"type": "tool", "name": "put"}}, "Tool 'put' not found"),
        ({"tools": [GET], "tool_choice": {"type": "none", "disable_parallel_tool_use": True}}, "Extra inputs"),
        (
            {"tools": [GET], "tool_choice": {"type": "any"}, "model": "sandbox-claude-opus-5-5"},
            "not supported for this model",
        ),
        ({"thinking": {"type": "on"}}, "thinking: Input tag should be"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, "`max_tokens` must be greater than"),
        ({"thinking": {"type": "adaptive", "budget_tokens": 1024}}, "Extra inputs are not permitted"),
        ({"thinking": {"type": "adaptive", "display": "all"}}, "display"),
        ({"thinking": {"type": "adaptive"}, "model": "sandbox-claude-sonnet-4-5"}, '"thinking.type.adaptive" is not'),
        ({"thinking": THINK, "model": "sandbox-claude-opus-4-7"}, '"thinking.type.enabled" is not supported'),
        ({"thinking": {"type": "disabled"}, "model": "sandbox-claude-opus-5-5"}, '"thinking.type.disabled" is not'),
        ({"thinking": THINK, "temperature": 0.5}, "`temperature` may only be set to 1"),
        ({"thinking": THINK, "top_k": 5}, "`top_k` must be unset"),
        ({"thinking": THINK, "top_p": 0.5}, "`top_p` must be greater"),
        ({"thinking": THINK, "tools": [GET], "tool_choice": {"type": "any"}}, "when tool_choice forces tool use"),
        (
            {"thinking": THINK, "tools": [GET], "messages": [HELLO, assistant(USE), user(RESULT)]},
            "must start with a thinking block",
        ),
        ({"temperature": 1.5}, "temperature: Input should be between 0 and 1"),
        ({"temperature": 1, "model": "sandbox-claude-opus-4-7"}, "`temperature` is deprecated for this model"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"stop_sequences": ["\n"]}, "each stop sequence must contain non-whitespace"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"metadata": {"user": "x"}}, "metadata.user: Extra inputs are not permitted"),
        ({"output_config": {"effort": "extreme"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json"}}}, "output_config.format.type"),
        (shaped({"type": "object"}), "'additionalProperties' must be explicitly set to false"),
        (shaped({"type": "integer", "minimum": 1}), "For 'integer' type, property 'minimum' is not supported"),
        (shaped({"type": "array", "items": {"oneOf": []}}), "Schema type is required"),
        (shaped({"type": ["string"]}), "Schema type must be a string"),
        ({**shaped({"type": "null"}), "model": "sandbox-claude-opus-4-1"}, "does not support output_config.format"),
    ],
)
def test_what_is_wrong_is_refused_by_name(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(**fields)
    assert caught.value.status == 400
    assert problem in caught.value.message


def test_the_version_decides_on_sampling() -> None:
    assert read(temperature=0.5, top_p=0.5, top_k=5).model == "sandbox-small"
    for version, problem in (
        ("", "header is required"),
        ("2020-01-01", "not a valid version"),
        ("2026-10-21", "top_k"),
    ):
        with pytest.raises(Refusal, match=problem):
            read(version, top_k=5)


def test_neighbours_of_one_role_are_one_turn_and_thoughts_are_counted() -> None:
    question = read(
        messages=[HELLO, assistant(THOUGHT, USE), user(RESULT), user(IMAGE, text("Well?"))],
        tools=[GET],
        thinking=THINK,
    )
    assert (question.thoughts, question.images, question.user_text) == (1, 1, "Well?")


async def test_what_stands_before_a_breakpoint_is_written_to_the_cache(sandbox: Sandbox) -> None:
    body = {
        "model": "sandbox-small",
        "max_tokens": 20,
        "system": [text("A long story.", **CACHED)],
        "messages": [{**HELLO, "content": "Hello [[sandbox cached=2]]"}],
    }
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{sandbox.url}/anthropic/v1/messages", json=body, headers=headers) as response,
    ):
        usage = (await response.json())["usage"]
    # Three for the prompt, three for the system's text, four for what it says.
    assert (usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"]) == (8, 2)
    await sandbox.bill.wait_finished(1)
    (record,) = (each for each in sandbox.bill.records() if each.event == "finished")
    assert usage["input_tokens"] + 8 + 2 == record.prompt_tokens
