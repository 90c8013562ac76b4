"""What a call needs of a target, what of it is harmless, and what a target is left out for."""

from __future__ import annotations

from typing import Any

import pytest

from services.router.domain import features as f
from services.router.domain.configuration import Capabilities
from services.router.domain.embedding import Embedding, EmbeddingPurpose
from services.router.domain.generation import (
    Audio,
    Document,
    Effort,
    Generation,
    Image,
    JsonFormat,
    JsonSchemaFormat,
    Message,
    NamedTool,
    Part,
    ReasoningRequest,
    Role,
    ServiceTier,
    Text,
    Tool,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from services.router.domain.needs import Needs, needs_of
from services.router.domain.routing.causes import Cause
from services.router.domain.routing.usability import ProviderTypes
from services.router.domain.tokens import measure
from tests.unit.router.fakes import World, ask, configuration, context, model, provider

TOOL = Tool(name="t", description="", parameters_json="")
SCHEMA = JsonSchemaFormat(name="s", description="", schema_json="{}", strict=True)
RESULT = ToolResult(tool_call_id="c", name="t", parts=(Image(url="https://x/y"),))
CALL = ToolCall(id="c", name="t", arguments_json="{}")


def needs(request: Generation | Embedding, *, streaming: bool = False) -> Needs:
    return needs_of(request, measure(request), streaming=streaming)


def said(role: Role, *parts: Part, **fields: Any) -> Generation:
    return Generation(messages=(Message(Role.USER, (Text("Hi"),)), Message(role, parts)), **fields)


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (ask(), 0),
        (said(Role.USER, Image(url="https://x/y")), f.IMAGES),
        (said(Role.USER, Audio(data=b"x", media_type="audio/wav")), f.AUDIO),
        (said(Role.USER, Document(data=b"x", media_type="application/pdf")), f.DOCUMENTS),
        (said(Role.ASSISTANT, CALL), f.TOOLS),
        (said(Role.TOOL, RESULT), f.TOOLS | f.IMAGES),
        (ask(tools=(TOOL,)), f.TOOLS),
        (ask(tools=(TOOL,), tool_choice=ToolChoiceMode.REQUIRED), f.TOOLS | f.TOOL_CHOICE),
        (ask(tools=(TOOL,), tool_choice=NamedTool("t")), f.TOOLS | f.TOOL_CHOICE),
        (ask(tools=(TOOL,), parallel_tool_calls=False), f.TOOLS | f.PARALLEL_TOOL_CALLS),
        (ask(response_format=JsonFormat()), f.JSON),
        (ask(response_format=SCHEMA), f.JSON_SCHEMA),
        (ask(temperature=0.0), f.SAMPLING),
        (ask(top_p=0.5), f.SAMPLING),
        (ask(top_k=1), f.SAMPLING | f.TOP_K),
        (ask(frequency_penalty=0.0), f.PENALTIES),
        (ask(presence_penalty=1.0), f.PENALTIES),
        (ask(stop=("x",)), f.STOP),
        (ask(seed=0), f.SEED),
        (ask(end_user="u"), f.END_USER),
        (ask(reasoning=ReasoningRequest(effort=Effort.LOW)), f.REASONING),
        (ask(reasoning=ReasoningRequest(budget_tokens=1)), f.REASONING),
        (ask(service_tier=ServiceTier.FLEX), f.SERVICE_TIER),
        (ask(service_tier=ServiceTier.PRIORITY), f.SERVICE_TIER),
        (ask(prompt_cache_key="only a hint"), 0),
        (Embedding(inputs=("a",)), f.EMBEDDINGS),
        (
            Embedding(inputs=("a",), dimensions=8, purpose=EmbeddingPurpose.QUERY, end_user="u"),
            f.EMBEDDINGS | f.DIMENSIONS | f.PURPOSE | f.END_USER,
        ),
    ],
)
def test_what_a_call_asks_for_is_needed(request_: Generation | Embedding, needed: int) -> None:
    assert needs(request_) == Needs(needed, needed, needed)
    assert needs(request_, streaming=True).needed == needed | f.STREAMING


@pytest.mark.parametrize(
    ("request_", "used", "needed"),
    [
        (ask(tools=(TOOL,), tool_choice=ToolChoiceMode.AUTO), f.TOOLS | f.TOOL_CHOICE, f.TOOLS),
        (ask(tools=(TOOL,), tool_choice=ToolChoiceMode.NONE), f.TOOLS | f.TOOL_CHOICE, 0),
        (ask(tools=(TOOL,), parallel_tool_calls=True), f.TOOLS | f.PARALLEL_TOOL_CALLS, f.TOOLS),
        (ask(tool_choice=ToolChoiceMode.NONE), f.TOOL_CHOICE, 0),
        (ask(parallel_tool_calls=False), f.PARALLEL_TOOL_CALLS, 0),
        (ask(reasoning=ReasoningRequest(effort=Effort.NONE)), f.REASONING, 0),
        (ask(service_tier=ServiceTier.AUTO), f.SERVICE_TIER, 0),
        (ask(service_tier=ServiceTier.STANDARD), f.SERVICE_TIER, 0),
    ],
)
def test_what_a_target_does_by_itself_is_not_needed(request_: Generation, used: int, needed: int) -> None:
    assert needs(request_) == Needs(used, needed, needed)


def test_only_streaming_and_embeddings_cannot_be_left_out() -> None:
    request = ask(tools=(TOOL,), top_k=1, drop_unsupported=True)
    assert needs(request, streaming=True).required == f.STREAMING
    assert needs(request).required == 0
    assert needs(Embedding(inputs=("a",), dimensions=2, drop_unsupported=True)).required == f.EMBEDDINGS


async def left_out(
    request: Generation, capabilities: Capabilities, format_features: int, *, streaming: bool = False
) -> str:
    """Why the only provider is left out; empty when it is not."""
    world = World()
    world.config.configuration = configuration([provider(models=[model(capabilities=capabilities)])])
    planner = world.planner()
    planner.types = ProviderTypes(
        known=frozenset({"openai"}), keyless=frozenset(), features={"openai": lambda options, model_id: format_features}
    )
    plan = await planner.plan(request, context(), streaming=streaming)
    assert all(each.cause is Cause.CAPABILITY_MISSING for each in plan.rejected)
    return "; ".join(each.description for each in plan.rejected)


async def test_everything_a_model_lacks_is_named() -> None:
    request = ask(tools=(TOOL,), response_format=SCHEMA, top_k=3)
    lacking = Capabilities(tools=False, json_schema=False, fixed_sampling=True)
    assert await left_out(request, lacking, f.ALL) == (
        "its model 'small' cannot do tools, JSON Schema output, temperature, top_p or top_k"
    )


async def test_what_the_api_lacks_is_told_apart_from_what_the_model_lacks() -> None:
    request = ask(tools=(TOOL,), seed=1, top_k=3)
    assert await left_out(request, Capabilities(), f.ALL & ~f.SEED & ~f.TOP_K) == "its API does not carry a seed, top_k"
    assert await left_out(request, Capabilities(tools=False), f.ALL & ~f.SEED & ~f.TOOLS) == (
        "its model 'small' cannot do tools, and its API does not carry a seed"
    )


async def test_dropping_lets_a_target_in_that_lacks_everything_but_streaming() -> None:
    request = ask(tools=(TOOL,), seed=1, drop_unsupported=True)
    nothing = Capabilities(streaming=False, tools=False, json_schema=False, images=False)
    assert not await left_out(request, nothing, 0)
    assert await left_out(request, nothing, 0, streaming=True) == "its model 'small' cannot do streaming"


async def test_what_a_type_carries_is_asked_with_a_provider_s_options_and_model() -> None:
    asked: list[tuple[object, str]] = []

    def features(options: object, model_id: str) -> int:
        asked.append((options, model_id))
        return f.ALL

    types = ProviderTypes(known=frozenset({"openai"}), keyless=frozenset(), features={"openai": features})
    plain, special, also = provider(), provider("two", options={"a": 1}), provider("three", options={"a": 2})
    for _ in range(2):
        for each in (plain, special, also):
            assert types.features_of(each, model("m")) == f.ALL
    assert asked == [({}, "m"), ({"a": 1}, "m"), ({"a": 2}, "m")]
