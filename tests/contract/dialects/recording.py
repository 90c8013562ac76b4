"""What the sandbox answers in a provider's format, as bytes."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from libs.sandbox import Sandbox
from services.router.domain.generation import Generation, Message, Role, Text, Tool
from services.router.providers.base import AnswerFormat, EncodedRequest
from tests.contract.dialects.variants import Variant
from tests.integration.router_providers.wire import CANARY

OUTPUT_LIMIT = 4_096
_TOOL = Tool(
    name="get_weather",
    description="The weather of a city",
    parameters_json='{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A response, and who reads it."""

    status: int
    content_type: str
    body: bytes
    answers: AnswerFormat


def asking(variant: Variant, words: str) -> Generation:
    """A call with directives of the sandbox, and a tool where there can be one."""
    tools = (_TOOL,) if variant.can("tools") else ()
    return Generation(messages=(Message(Role.USER, (Text(f"Hi [[sandbox {words}]]"),)),), tools=tools)


def encoded(variant: Variant, request: Generation, *, stream: bool) -> EncodedRequest:
    """The request in the variant's words."""
    return variant.dialect.encode(
        request, provider_model_id=variant.model, output_limit=OUTPUT_LIMIT, stream=stream, options=variant.options
    )


async def recorded(variant: Variant, request: Generation, *, stream: bool) -> Recorded:
    """What the sandbox answers to `request`."""
    sent = encoded(variant, request, stream=stream)
    headers = {
        "Content-Type": "application/json",
        **variant.dialect.option_headers(variant.options),
        **sent.headers,
        **variant.dialect.key_headers(CANARY, variant.options),
    }
    async with Sandbox() as sandbox, aiohttp.ClientSession() as http:
        url = sandbox.url + variant.path + sent.path
        async with http.post(url, data=sent.body, headers=headers) as response:
            body = await response.read()
            return Recorded(response.status, response.headers.get("Content-Type", ""), body, sent.answers)
