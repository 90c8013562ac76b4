"""How much a request weighs: never less than it is billed for, and never more than surely does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.router.domain import features
from services.router.domain.generation import (
    Audio,
    Document,
    Generation,
    Image,
    JsonSchemaFormat,
    Message,
    Part,
    Reasoning,
    Role,
    Signature,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from services.router.domain.tokens import RequestSize, measure
from services.router.domain.weighing import MOST_IMAGE_TOKENS

MIB = 1024 * 1024
EMPTY = measure(Generation(messages=(Message(Role.USER, ()),)))


def size(*parts: Part, **fields: bool) -> RequestSize:
    return measure(Generation(messages=(Message(Role.USER, parts),), **fields))  # type: ignore[arg-type]


def most(*parts: Part) -> int:
    """The upper bound of the tokens of `parts` alone."""
    return size(*parts).most_input_tokens - EMPTY.most_input_tokens


@pytest.mark.parametrize(
    ("part", "billed"),
    [
        # 768 by 2,048 pixels in 8 tiles, as OpenAI counts them for gpt-4o-mini.
        (Image(data=b"x", media_type="image/jpeg"), 2_833 + 8 * 5_667),
        # Ten minutes of telephone sound at 8 kHz and 8 bits: 32 tokens a second by Gemini.
        (Audio(data=bytes(10 * 60 * 8_000), media_type="audio/wav"), 10 * 60 * 32),
        # An hour of speech at 16 kbit/s.
        (Audio(data=bytes(3_600 * 2_000), media_type="audio/mpeg"), 3_600 * 32),
        (Audio(data=bytes(3_600 * 2_000), media_type="audio/ogg"), 3_600 * 32),
        # A hundred dense pages of 30 KB: text and image of each by Anthropic.
        (Document(data=bytes(100 * 30_000), media_type="application/pdf"), 100 * 4_600),
        (Document(data=b"word " * 1_000, media_type="text/plain", name="a.txt"), 5_000),
        # What the caller sees may be a summary: the whole is in the signature.
        (Reasoning("Hm.", Signature(b"x" * 4_000)), 3_000),
        (ToolCall(id="c", name="t", arguments_json='{"a": 1}', signature=Signature(b"x" * 400)), 300),
        (ToolResult(tool_call_id="c", name="t", parts=(Text("42" * 50), Image(url="https://x/y"))), 14_400),
    ],
)
def test_the_upper_bound_covers_what_is_billed(part: Part, billed: int) -> None:
    assert billed <= most(part) <= 20 * billed


@pytest.mark.parametrize(
    "part",
    [
        Audio(url="https://x/y", media_type="audio/wav"),
        Document(url="https://x/y", media_type="application/pdf"),
        Document(url="https://x/y", media_type="text/plain"),
        Document(data=bytes(20 * MIB), media_type="application/pdf"),
    ],
)
def test_what_has_no_bound_of_its_own_is_bounded_by_the_largest_context(part: Part) -> None:
    assert 1_000_000 <= most(part) <= 1_100_000


@pytest.mark.parametrize(
    ("part", "kinds"),
    [
        (Text("x"), 0),
        (Image(url="https://x"), features.IMAGES),
        (Audio(url="https://x"), features.AUDIO),
        (Document(url="https://x"), features.DOCUMENTS),
        (Reasoning("x"), 0),
        (ToolCall(id="c", name="t", arguments_json="{}"), features.TOOLS),
        (
            ToolResult(tool_call_id="c", name="t", parts=(Image(url="https://x"), Audio(url="https://x"))),
            features.TOOLS | features.IMAGES | features.AUDIO,
        ),
    ],
)
def test_the_kinds_of_content_are_known(part: Part, kinds: int) -> None:
    assert size(part).kinds == kinds


def test_what_may_have_to_be_left_out_is_known() -> None:
    signed = ToolCall(id="c", name="t", arguments_json="{}", signature=Signature(b"s"))
    assert [size(each).traced for each in (Text("x"), Reasoning("x"), signed, Image(url="https://x"))] == [
        False, True, True, False,
    ]  # fmt: skip


def test_images_are_counted_wherever_they_are() -> None:
    image = Image(url="https://x")
    both = size(image, ToolResult(tool_call_id="c", name="t", parts=(image, image)))
    assert both.images == 3
    assert 3 * MOST_IMAGE_TOKENS <= both.most_media_tokens < 3 * MOST_IMAGE_TOKENS + 100


def test_what_may_be_left_out_for_a_target_does_not_count_against_its_context() -> None:
    parts = Text("x" * 800), ToolCall(id="c", name="t", arguments_json="y" * 799), Reasoning("z" * 800)
    tool = Tool(name="t", description="d" * 799, parameters_json="")
    request = Generation(messages=(Message(Role.USER, parts),), tools=(tool,))
    assert measure(request).least_input_tokens == 300
    dropping = Generation(messages=request.messages, tools=(tool,), drop_unsupported=True)
    assert measure(dropping).least_input_tokens == 100


TOOL = Tool(name="t", description="", parameters_json="")
SHAPE = JsonSchemaFormat(name="s", description="", schema_json="{}", strict=True)


def test_what_a_provider_tells_its_model_of_tools_is_covered() -> None:
    hello = (Message(Role.USER, (Text("Hi"),)),)

    def more(**fields: Any) -> int:
        bare = measure(Generation(messages=hello))
        return measure(Generation(messages=hello, **fields)).most_input_tokens - bare.most_input_tokens

    # Claude 3 Opus: 530 tokens, and each tool as JSON in tags.
    assert 530 + 40 <= more(tools=(TOOL,)) <= 1_000
    assert more(tools=(TOOL,) * 128) >= 530 + 128 * 30
    # Older models get the schema of the answer as a tool.
    assert 530 <= more(response_format=SHAPE) <= 1_000
    image = Generation(messages=(Message(Role.USER, (Image(url="https://x"),)),))
    with_tool = replace(image, tools=(TOOL,))
    assert measure(with_tool).most_input_tokens - measure(image).most_input_tokens >= 530 + 30
    # What is likely and what has to fit stay as they are.
    assert measure(replace(image, response_format=SHAPE)).usual_media_tokens == measure(image).usual_media_tokens
