"""What a target cannot do: refused by name, or left out with a warning; tools of MCP servers; thoughts sent back."""

from __future__ import annotations

import base64

import pytest
from gatehouse import AsyncClient, FailedPrecondition, image, json_schema, mcp_tool_result, mcp_tools, user
from gatehouse.answers import Answer
from gatehouse.errors import InvalidArgument
from gatehouse.messages import tool
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities
from gatehouse.router.v1.message_pb2 import Message

from tests.local_stack import LocalStack

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WEATHER = tool("get_weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}})
EVERYTHING = Capabilities(
    streaming=True, tools=True, json_schema=True, images=True, audio=True, documents=True, reasoning=True
)
PATHS = {"openai_compatible": "/v1", "anthropic": "/anthropic", "gemini": "/gemini/v1beta", "ollama": "/ollama"}


async def give(stack: LocalStack, admin: AsyncClient, tenant: str, provider_type: str, can: Capabilities) -> int:
    """A provider of a type, named by it, at the sandbox, with a model that can do `can`; the revision."""
    owner, name = f"tenants/{tenant}", provider_type.replace("_", "-")
    key = f"{owner}/keys/{name}"
    await admin.keys.create(
        key, provider_type=provider_type, origin=stack.sandbox_url, api_key=f"sk-sandbox-{tenant}-{name}"
    )
    await admin.providers.create(
        f"{owner}/providers/{name}",
        type=provider_type,
        base_url=stack.sandbox_url + PATHS[provider_type],
        key=key,
        default_model="sandbox-small",
    )
    model = await admin.models.create(f"{owner}/providers/{name}/models/sandbox-small", capabilities=can)
    return model.revision


async def test_what_a_model_cannot_do_is_refused_by_name_or_left_out_with_a_warning(stack: LocalStack) -> None:
    tenant = "compatible"
    async with stack.client(tenant=tenant) as admin:
        plain = Capabilities(streaming=True)
        revision = await give(stack, admin, tenant, "openai_compatible", plain)
        prompt = [user("What is this?", image(PNG))]
        wanted = json_schema("s", {"type": "object"})
        with pytest.raises(FailedPrecondition) as refused:
            await admin.generate(messages=prompt, tools=[WEATHER], response_format=wanted, revision=revision)
        violation = refused.value.precondition_violations[0]
        assert violation.type == "CAPABILITY_MISSING"
        assert violation.description == "its model 'sandbox-small' cannot do tools, JSON Schema output, images"
        explained = await admin.explain(messages=prompt)
        assert explained.trace.rejected[0].cause == "CAPABILITY_MISSING"

        answer = await admin.generate(
            messages=prompt, tools=[WEATHER], response_format=wanted, compatibility="drop", revision=revision
        )
        left_out = [each.partition(" left out: ")[0] for each in answer.outcome.warnings]
        assert left_out == ["tools", "JSON Schema output", "images"]
        assert "[An image was left out here, which this model cannot take.]" in answer.text

        streamed = [event async for event in admin.stream(messages=prompt, tools=[WEATHER], compatibility="drop")]
        outcome = streamed[-1].outcome
        assert outcome is not None
        assert len(outcome.warnings) == 2


async def test_what_an_api_cannot_do_is_known_before_the_call(stack: LocalStack) -> None:
    tenant = "compatible-api"
    async with stack.client(tenant=tenant) as admin:
        revision = await give(stack, admin, tenant, "ollama", EVERYTHING)
        with pytest.raises(FailedPrecondition, match="its API does not carry a choice of tools"):
            await admin.generate("Weather?", tools=[WEATHER], tool_choice="required", revision=revision)
        answer = await admin.generate("Weather?", tools=[WEATHER], tool_choice="required", compatibility="drop")
        assert [each.partition(" left out: ")[0] for each in answer.outcome.warnings] == ["a choice of tools"]
        # What it does by itself needs no word.
        answer = await admin.generate("Weather?", tools=[WEATHER], tool_choice="none")
        assert (list(answer.outcome.warnings), answer.tool_calls) == ([], ())


@pytest.mark.parametrize("provider_type", list(PATHS))
async def test_tools_of_an_mcp_server_are_taken_as_they_are_and_its_results_too(
    stack: LocalStack, provider_type: str
) -> None:
    tenant = f"mcp-{provider_type.replace('_', '-')}"
    listed = {
        "tools": [
            {
                "name": "get_weather",
                "title": "Weather",
                "description": "Tells the weather.",
                "inputSchema": {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                },
                "outputSchema": {"type": "object"},
                "annotations": {"readOnlyHint": True},
            }
        ]
    }
    result = {
        "content": [
            {"type": "text", "text": "Sunny."},
            {"type": "image", "data": base64.b64encode(PNG).decode(), "mimeType": "image/png"},
            {"type": "resource_link", "uri": "file:///forecast.txt", "name": "forecast"},
        ],
        "isError": False,
    }
    async with stack.client(tenant=tenant) as admin:
        revision = await give(stack, admin, tenant, provider_type, EVERYTHING)
        tools = mcp_tools(listed)
        asked = user("[[sandbox tools=1]] Weather?")
        answer = await admin.generate(messages=[asked], tools=tools, revision=revision)
        (call,) = answer.tool_calls
        assert call.name == "get_weather"
        turn = [asked, answer.message, mcp_tool_result(call, result), user("And now?")]
        assert (await admin.generate(messages=turn, tools=tools)).text
        turn[2] = mcp_tool_result(call, {"content": [], "structuredContent": {"degrees": 21}})
        assert (await admin.generate(messages=turn, tools=tools)).text
        turn[2] = mcp_tool_result(call, {"content": [{"type": "image", "data": "?", "mimeType": "image/png"}]})
        with pytest.raises(InvalidArgument) as refused:
            await admin.generate(messages=turn, tools=tools)
        (violation,) = refused.value.field_violations
        assert violation.field == "generation.messages[2].parts[0].tool_result.mcp_json"
        assert violation.description == "content[0].data is not valid base64"


async def test_thoughts_go_back_to_where_they_come_from_and_nowhere_else(stack: LocalStack) -> None:
    tenant = "thoughts"
    async with stack.client(tenant=tenant) as admin:
        await give(stack, admin, tenant, "gemini", EVERYTHING)
        revision = await give(stack, admin, tenant, "anthropic", EVERYTHING)
        asked = user("[[sandbox tools=1 reasoning=20]] Weather?")

        async def ask(provider: str, *more: Message) -> Answer:
            return await admin.generate(
                messages=[asked, *more],
                tools=[WEATHER],
                reasoning="medium",
                max_output_tokens=20_000,
                provider=provider,
                revision=revision,
            )

        answer = await ask("anthropic")
        thought = answer.message.parts[0].reasoning
        assert thought.text
        assert thought.signature.provider == f"tenants/{tenant}/providers/anthropic"
        assert thought.signature.key == f"tenants/{tenant}/keys/anthropic"
        (call,) = answer.tool_calls
        back = answer.message, mcp_tool_result(call, {"content": [{"type": "text", "text": "Sunny."}]})
        # The sandbox refuses thoughts whose signature is not its own.
        again = await ask("anthropic", *back)
        assert list(again.outcome.warnings) == []
        elsewhere = await ask("gemini", *back)
        (warning,) = elsewhere.outcome.warnings
        assert warning.startswith("reasoning left out: ")


async def test_what_a_call_gives_up_because_of_the_rest_of_it_is_told_whole_and_streamed(stack: LocalStack) -> None:
    tenant = "given-up"
    async with stack.client(tenant=tenant) as admin:
        revision = await give(stack, admin, tenant, "anthropic", EVERYTHING)
        # Claude takes schemas, but of objects with named properties only.
        anything = json_schema("s", {"type": "object"})
        told = "open parts of the JSON Schema left out: the model 'sandbox-small' takes objects with named properties"
        answer = await admin.generate("Anything?", response_format=anything, revision=revision)
        (warning,) = answer.outcome.warnings
        assert warning.startswith(told)
        streamed = [event async for event in admin.stream("Anything?", response_format=anything)]
        outcome = streamed[-1].outcome
        assert outcome is not None
        assert list(outcome.warnings) == [warning]
        whole = json_schema("s", {"type": "object", "properties": {"a": {"type": "string"}}})
        assert not (await admin.generate("Anything?", response_format=whole)).outcome.warnings


async def test_media_that_cannot_be_fetched_are_the_caller_s_to_mend(stack: LocalStack) -> None:
    tenant = "unfetched"
    async with stack.client(tenant=tenant) as admin:
        revision = await give(stack, admin, tenant, "ollama", EVERYTHING)
        shown = user("What is this?", image("https://127.0.0.1/secret.png"))
        with pytest.raises(InvalidArgument, match=r"cannot be fetched for .*The image by URL .*leads to") as refused:
            await admin.generate(messages=[shown], revision=revision)
        assert refused.value.reason == "MEDIA_NOT_FETCHED"
        assert "secret" not in str(refused.value)
