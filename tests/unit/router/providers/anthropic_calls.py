"""Random calls for Anthropic's dialect, and what its sandbox says to their bodies."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import strategies as st

from libs.sandbox.dialect import Call, Endpoint, Route
from libs.sandbox.dialects.anthropic_request import MessagesQuestion, read_question
from libs.sandbox.sealing import seal
from services.router.domain import features
from services.router.domain.generation import (
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
    ResultPart,
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

MODELS = (
    "sandbox-small",
    *(
        f"sandbox-claude-{name}"
        for name in (
            "opus-4-1", "sonnet-4-5-20250929", "haiku-4-5", "opus-4-6", "opus-4-7", "opus-4-8", "sonnet-5", "opus-5",
            "fable-5", "fable-5-1", "opus-5-5", "sonnet-5-5", "haiku-5-5",
        )
    ),
)  # fmt: skip
SCHEMAS = (
    '{"type":"object","properties":{"a":{"type":["string","null"],"minLength":2},"b":{}},"required":["a"]}',
    '{"type":"array","items":{"type":"integer","minimum":3},"minItems":2}',
    '{"anyOf":[{"type":"object"},{"const":1}],"$schema":"https://json-schema.org/draft/2020-12/schema"}',
    "{}",
)
TOOL_SCHEMAS = (
    "",
    "{}",
    '{"properties":{"a":{"type":"string"}}}',
    '{"type":"object","oneOf":[{"properties":{"a":{}}},{"properties":{"b":{}},"required":["b"]}]}',
    '{"allOf":[{"required":["b"],"properties":{"b":{}}},true]}',
)

_BLANK = st.sampled_from([" ", "\n\t", "\u2003"])
_SAID = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6) | _BLANK
TEXTS = st.builds(Text, _SAID | st.sampled_from(["Well. ", "yes\n"]))
_IMAGES = st.builds(Image, data=st.just(b"x"), media_type=st.just("image/png")) | st.just(
    Image(url="https://example.com/c.png")
)
_DOCUMENTS = st.builds(
    Document, data=st.sampled_from([b"x", b" ", b"\xff"]), media_type=st.just("text/plain"), name=_BLANK | st.just("a")
) | st.just(Document(data=b"%PDF", media_type="application/pdf"))
_THOUGHTS = st.one_of(
    st.builds(lambda text: Reasoning(text, Signature(b"t" + seal(text).encode())), st.text(max_size=4)),
    st.just(Reasoning("", Signature(b"r" + seal("x").encode()))),
    st.builds(
        Reasoning, st.text(max_size=3), st.sampled_from([None, Signature(b""), Signature(b"t"), Signature(b"\xff")])
    ),
)
_IDS = st.sampled_from(["a", "b", "a b", "a_b", "é", "call_0", ""])
_NAMES = st.sampled_from(["get", "put", "trip"])
_CALLS = st.builds(
    ToolCall, id=_IDS, name=_NAMES, arguments_json=st.sampled_from(["", "{}", '{"a": [1, "b"]}', ' {"é":{}} '])
)
_RESULT_PARTS: st.SearchStrategy[ResultPart] = TEXTS | _IMAGES | _DOCUMENTS
_RESULTS = st.builds(
    ToolResult,
    tool_call_id=_IDS,
    name=_NAMES,
    parts=st.lists(_RESULT_PARTS, max_size=2).map(tuple),
    is_error=st.booleans(),
)


def _message(role: Role, part: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    return st.builds(
        Message, st.just(role), st.lists(part, min_size=1, max_size=4).map(tuple), st.sampled_from([(), (0,), (1,)])
    )


_ASSISTANT: st.SearchStrategy[Part] = TEXTS | _THOUGHTS | _CALLS
MESSAGES = st.lists(
    _message(Role.SYSTEM, TEXTS)
    | _message(Role.USER, TEXTS | _IMAGES | _DOCUMENTS)
    | _message(Role.ASSISTANT, _ASSISTANT)
    | _message(Role.TOOL, _RESULTS),
    min_size=1,
    max_size=9,
).map(lambda messages: tuple(_unmarked(messages)))
"""Whatever order there is; not all of it makes sense."""


def _unmarked(messages: list[Message]) -> list[Message]:
    """With four breakpoints at most, as the API has it."""
    left = 4
    kept: list[Message] = []
    for message in messages:
        marks = message.breakpoints[:left]
        left -= len(marks)
        kept.append(Message(message.role, message.parts, marks))
    return kept


@st.composite
def generations(draw: st.DrawFn, model: str) -> Generation:
    """A call that asks for no more than the dialect carries to `model`."""
    able = ANTHROPIC.features({}, model)

    def maybe(feature: int, strategy: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | strategy) if able & feature else None

    tools = tuple(
        Tool(name=name, description=draw(st.sampled_from(["", "Does it"])), parameters_json=schema)
        for name, schema in draw(st.dictionaries(_NAMES, st.sampled_from(TOOL_SCHEMAS), max_size=2)).items()
    )
    choices: list[Any] = [ToolChoiceMode.AUTO, ToolChoiceMode.NONE]
    if tools and able & features.TOOL_CHOICE:
        choices += [ToolChoiceMode.REQUIRED, NamedTool(tools[0].name)]
    schemas = st.builds(
        JsonSchemaFormat,
        name=_NAMES,
        description=st.just(""),
        schema_json=st.sampled_from(SCHEMAS),
        strict=st.booleans(),
    )
    reasoning = st.builds(ReasoningRequest, effort=st.sampled_from(Effort), hide=st.booleans()) | st.builds(
        ReasoningRequest, budget_tokens=st.integers(1, 40_000), hide=st.booleans()
    )
    return Generation(
        messages=draw(MESSAGES),
        drop_unsupported=True,
        tools=tools,
        tool_choice=draw(st.none() | st.sampled_from(choices)),
        parallel_tool_calls=draw(st.none() | st.booleans()),
        response_format=maybe(features.JSON_SCHEMA, schemas),
        temperature=maybe(features.SAMPLING, st.floats(0, 1)),
        top_p=maybe(features.SAMPLING, st.floats(0.01, 1)),
        top_k=maybe(features.TOP_K, st.integers(1, 99)),
        stop=draw(st.sampled_from([(), ("END",), ("\n\n", "END"), (" ",)])),
        reasoning=maybe(features.REASONING, reasoning),
        service_tier=draw(st.none() | st.sampled_from(ServiceTier)),
        end_user=draw(st.sampled_from(["", "u-1"])),
    )


def body_of(request: Generation, model: str = "sandbox-small", *, limit: int | None = 4096, **options: object) -> Any:
    """The JSON of the body."""
    return orjson.loads(
        ANTHROPIC.encode(request, provider_model_id=model, output_limit=limit, stream=False, options=options).body
    )


def judged(body: object) -> MessagesQuestion:
    """What the sandbox reads in a body. Raises Refusal."""
    headers = {"anthropic-version": "2023-06-01"}
    return read_question(Call(route=Route(endpoint=Endpoint.CHAT), headers=headers, body=orjson.dumps(body)))
