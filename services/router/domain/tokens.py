"""Token estimates, for reservations and for answers whose provider did not say what it used."""

from __future__ import annotations

from collections.abc import Iterable

from services.router.domain.generation import Generation, Image, JsonSchemaFormat, Message, Text, ToolCall

DEFAULT_OUTPUT_LIMIT = 4096
"""Reserved and sent as the limit when neither the call nor the model says one."""

# Byte-level tokenizers, which all supported providers use, never make more tokens than bytes.
_MOST_TOKENS_PER_BYTE = 1
# Long English prose has 4 to 5 bytes a token; no text has more than about 8 over a whole conversation.
_USUAL_BYTES_PER_TOKEN = 4
_MOST_BYTES_PER_TOKEN = 8
# Role, separators and priming of each message in the chat formats: 3 to 7 tokens.
_MESSAGE_OVERHEAD = 8
# The most OpenAI and Anthropic count for one image (high detail, largest size); more for small models of OpenAI.
_IMAGE_TOKENS = 2_500


def most_input_tokens(request: Generation) -> int:
    """An upper bound of the input tokens, so that a budget holds whatever the tokenizer does."""
    size, images = _measure(request)
    return size * _MOST_TOKENS_PER_BYTE + images * _IMAGE_TOKENS + len(request.messages) * _MESSAGE_OVERHEAD


def usual_input_tokens(request: Generation) -> int:
    """A likely number of input tokens."""
    size, images = _measure(request)
    return -(-size // _USUAL_BYTES_PER_TOKEN) + images * _IMAGE_TOKENS // 2 + len(request.messages) * 4


def least_input_tokens(request: Generation) -> int:
    """Fewer input tokens than this it cannot be: what exceeds a context by this number certainly does."""
    return _measure(request)[0] // _MOST_BYTES_PER_TOKEN


def usual_output_tokens(*, text_bytes: int, deltas: int) -> int:
    """A likely number of output tokens: providers send about one token per delta, and none more than they have."""
    return max(deltas, -(-text_bytes // _USUAL_BYTES_PER_TOKEN))


def _measure(request: Generation) -> tuple[int, int]:
    size, images = _content(request.messages)
    for tool in request.tools:
        size += len(tool.name) + _length(tool.description) + _length(tool.parameters_json)
    if isinstance(request.response_format, JsonSchemaFormat):
        size += _length(request.response_format.description) + _length(request.response_format.schema_json)
    return size, images


def _content(messages: Iterable[Message]) -> tuple[int, int]:
    size = images = 0
    for message in messages:
        for part in message.parts:
            if isinstance(part, Text):
                size += _length(part.text)
            elif isinstance(part, Image):
                images += 1
            elif isinstance(part, ToolCall):
                size += len(part.name) + _length(part.arguments_json)
            else:
                size += _length(part.content)
    return size, images


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
