"""Token estimates, for reservations and for answers whose provider did not say what it used."""

from __future__ import annotations

from typing import NamedTuple

from services.router.domain.call_request import CallRequest
from services.router.domain.embedding import Embedding
from services.router.domain.generation import JsonSchemaFormat, Text
from services.router.domain.weighing import Weights

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
# With tools, or a schema that is sent as one, Anthropic tells its models how to call them: in 159 to 530 tokens.
_TOOLS_OVERHEAD = 600
# What stands around each tool, such as the schema of one without arguments.
_TOOL_OVERHEAD = 32


class RequestSize(NamedTuple):
    """What a request weighs: the bytes of all its texts, and how many images and messages it has.

    `together_bytes` are those of its texts that have to fit a context together, whatever is left out for a target.
    `most_media_tokens` and `usual_media_tokens` are those of all that is no text, what providers add to tools among the
    most; `kinds` are the features that its
    conversation makes use of, as bits of `features`. `traced`: it has reasoning or signatures, which go back only to
    where they came from. `by_url`: some of its media are named by URL.
    """

    text_bytes: int
    images: int
    messages: int
    together_bytes: int
    most_media_tokens: int = 0
    usual_media_tokens: int = 0
    kinds: int = 0
    traced: bool = False
    by_url: bool = False

    @property
    def most_input_tokens(self) -> int:
        """An upper bound of the input tokens, so that a budget holds whatever the tokenizer does."""
        return self.text_bytes * _MOST_TOKENS_PER_BYTE + self.most_media_tokens + self.messages * _MESSAGE_OVERHEAD

    @property
    def usual_input_tokens(self) -> int:
        """A likely number of input tokens."""
        return -(-self.text_bytes // _USUAL_BYTES_PER_TOKEN) + self.usual_media_tokens + self.messages * 4

    @property
    def least_input_tokens(self) -> int:
        """Fewer input tokens than this it cannot be: what exceeds a context by this number certainly does."""
        return self.together_bytes // _MOST_BYTES_PER_TOKEN


def measure(request: CallRequest) -> RequestSize:
    """What a request weighs. Reads all of it: done once for a call."""
    if isinstance(request, Embedding):
        # Each text is read by itself: only the longest has to fit.
        lengths = [_length(text) for text in request.inputs]
        return RequestSize(sum(lengths), 0, len(lengths), max(lengths, default=0))
    texts, weights = 0, None
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Text):
                text = part.text
                texts += len(text) if text.isascii() else len(text.encode())
            else:
                if weights is None:
                    weights = Weights()
                weights.add(part)
    whole, added = texts, 0
    for tool in request.tools:
        added += _TOOL_OVERHEAD
        whole += len(tool.name) + _length(tool.description) + _length(tool.parameters_json)
    if isinstance(request.response_format, JsonSchemaFormat):
        whole += _length(request.response_format.description) + _length(request.response_format.schema_json)
    if added or request.response_format is not None:
        added += _TOOLS_OVERHEAD
    # What may be left out for a target need not fit it.
    together = texts if request.drop_unsupported else whole
    if weights is None:
        return RequestSize(whole, 0, len(request.messages), together, added)
    whole += weights.text_bytes
    if not request.drop_unsupported:
        together += weights.kept_bytes
    return RequestSize(
        whole,
        weights.images,
        len(request.messages),
        together,
        weights.most_tokens + added,
        weights.usual_tokens,
        weights.kinds,
        weights.traced,
        weights.by_url,
    )


def usual_output_tokens(*, text_bytes: int, deltas: int) -> int:
    """A likely number of output tokens: providers send about one token per delta, and none more than they have."""
    return max(deltas, -(-text_bytes // _USUAL_BYTES_PER_TOKEN))


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
