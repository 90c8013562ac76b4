"""Token estimates, for reservations and for answers whose provider did not say what it used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from services.router.domain.generation import Generation, Image, JsonSchemaFormat, Message, Text, ToolCall, ToolResult

DEFAULT_OUTPUT_LIMIT = 4096
"""Reserved and sent as the limit when neither the call, the provider nor the model says one."""
LIKELY_OUTPUT_TOKENS = 500
"""What an answer is taken to have before it is known. Published traces of chat services have medians of 130 to 400
output tokens; long drafts have more."""

# Byte-level tokenizers, which all supported providers use, never make more tokens than bytes.
_MOST_TOKENS_PER_BYTE = 1
# Long English prose has 4 to 5 bytes a token; no text has more than about 8 over a whole conversation.
_USUAL_BYTES_PER_TOKEN = 4
_MOST_BYTES_PER_TOKEN = 8
# Role, separators and priming of each message in the chat formats: 3 to 7 tokens.
_MESSAGE_OVERHEAD = 8
# The most OpenAI and Anthropic count for one image (high detail, largest size); more for small models of OpenAI.
_IMAGE_TOKENS = 2_500


class RequestSize(NamedTuple):
    """What a request weighs: the bytes of all its texts, and how many images and messages it has."""

    text_bytes: int
    images: int
    messages: int

    @property
    def most_input_tokens(self) -> int:
        """An upper bound of the input tokens, so that a budget holds whatever the tokenizer does."""
        return self.text_bytes * _MOST_TOKENS_PER_BYTE + self.images * _IMAGE_TOKENS + self.messages * _MESSAGE_OVERHEAD

    @property
    def usual_input_tokens(self) -> int:
        """A likely number of input tokens."""
        return -(-self.text_bytes // _USUAL_BYTES_PER_TOKEN) + self.images * _IMAGE_TOKENS // 2 + self.messages * 4

    @property
    def least_input_tokens(self) -> int:
        """Fewer input tokens than this it cannot be: what exceeds a context by this number certainly does."""
        return self.text_bytes // _MOST_BYTES_PER_TOKEN


def measure(request: Generation) -> RequestSize:
    """What a request weighs. Reads all of it: done once for a call."""
    size, images = _content(request.messages)
    for tool in request.tools:
        size += len(tool.name) + _length(tool.description) + _length(tool.parameters_json)
    if isinstance(request.response_format, JsonSchemaFormat):
        size += _length(request.response_format.description) + _length(request.response_format.schema_json)
    return RequestSize(size, images, len(request.messages))


def usual_output_tokens(*, text_bytes: int, deltas: int) -> int:
    """A likely number of output tokens: providers send about one token per delta, and none more than they have."""
    return max(deltas, -(-text_bytes // _USUAL_BYTES_PER_TOKEN))


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
            elif isinstance(part, ToolResult):
                size += _length(part.text)
    return size, images


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
