"""What the parts of a conversation weigh that are no text: upper bounds and usual sizes in tokens.

The upper bounds are what is reserved; a budget holds by them. Where nothing in the part itself bounds it, such as a
document by URL, the largest context of any supported provider does.
"""

from __future__ import annotations

from typing import assert_never

from services.router.domain import features
from services.router.domain.generation import (
    Audio,
    Document,
    Image,
    Part,
    Reasoning,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)

MOST_IMAGE_TOKENS = 48_169
"""The most that is known for one image: of gpt-4o-mini, 2,833 and 5,667 for each of 8 tiles. OpenAI's 32-pixel patches
make 15,000 of a photo of 12 megapixels at the original size; Anthropic counts 4,784 at most, Gemini 2,240."""
USUAL_IMAGE_TOKENS = 1_250

# What stands around a call of a tool or its result in the formats that models see: 10 to 20 tokens.
_MOST_AROUND_A_CALL = 24

# No supported provider takes more in one call: Anthropic, Gemini and OpenAI end at contexts of about a million tokens.
_LARGEST_CONTEXT = 1_050_000

# Gemini counts 32 tokens for a second of sound, OpenAI 10 to 20; no other provider takes sound.
_TOKENS_PER_SECOND = 32
# The fewest bytes that a second of sound takes. WAV: telephone ADPCM, 8 kHz at 4 bits. MP3: 8 kbit/s, the lowest step
# of MPEG-2 Layer III. The others: Opus at 6 kbit/s, its lowest (RFC 6716, 2.1.1).
_LEAST_BYTES_PER_SECOND = {"audio/wav": 4_000, "audio/mpeg": 1_000}
_LEAST_BYTES_PER_SECOND_ELSE = 750
# Speech as it is recorded: 16 kHz at 16 bits for WAV, 64 kbit/s for the others.
_USUAL_BYTES_PER_SECOND = {"audio/wav": 32_000}
_USUAL_BYTES_PER_SECOND_ELSE = 8_000
_USUAL_AUDIO_BY_URL = 60 * _TOKENS_PER_SECOND

# Anthropic and OpenAI read each page of a PDF as its text and as an image of it: 3,000 tokens of text on a dense page
# by Anthropic's documentation, and an image of at most 2,500 (a page is about 1,600 pixels high). Gemini counts 258 to
# 1,120 a page. A page takes at least about 2 KiB in a file, and a dense one more.
MOST_TOKENS_PER_PAGE = 5_500
_LEAST_BYTES_PER_PAGE = 2_048
# A page that is scanned or has pictures has 50 KB and more, one of text about 15 KB.
USUAL_TOKENS_PER_PAGE = 2_300
_USUAL_BYTES_PER_PAGE = 30_000
_USUAL_PAGES_BY_URL = 5


class Weights:
    """Adds up the parts that are no text.

    `by_url`: some media are named by URL. `text_bytes` are the texts inside them, `kept_bytes` those of them that every
    target is sent that can do what the call needs. `kinds` and `traced` are as in RequestSize.
    """

    __slots__ = ("by_url", "images", "kept_bytes", "kinds", "most_tokens", "text_bytes", "traced", "usual_tokens")

    def __init__(self) -> None:
        self.text_bytes = 0
        self.kept_bytes = 0
        self.images = 0
        self.most_tokens = 0
        self.usual_tokens = 0
        self.kinds = 0
        self.traced = False
        self.by_url = False

    def add(self, part: Part) -> None:  # noqa: PLR0912 - one case for each kind of part
        """Count a part."""
        match part:
            case ToolResult():
                self.kinds |= features.TOOLS
                self._tokens(_MOST_AROUND_A_CALL, 0)
                for each in part.parts:
                    if isinstance(each, Text):
                        self._keep(each.text)
                    else:
                        self.add(each)
            case ToolCall():
                self.kinds |= features.TOOLS
                self._tokens(_MOST_AROUND_A_CALL, 0)
                self._keep(part.name)
                self._keep(part.arguments_json)
                if part.signature is not None:
                    self._add_signature(part.signature)
            case Image():
                self.by_url |= part.url is not None
                self.kinds |= features.IMAGES
                self.images += 1
                self._tokens(MOST_IMAGE_TOKENS, USUAL_IMAGE_TOKENS)
            case Audio():
                self.by_url |= part.url is not None
                self.kinds |= features.AUDIO
                self._tokens(most_audio_tokens(part), _usual_audio_tokens(part))
            case Document():
                self.by_url |= part.url is not None
                self.kinds |= features.DOCUMENTS
                self._add_document(part)
            case Reasoning():
                # Where it came from it is read again, elsewhere it is left out.
                self.traced = True
                self.text_bytes += _length(part.text)
                if part.signature is not None:
                    self._add_signature(part.signature)
            case Text():
                self._keep(part.text)
            case _:
                assert_never(part)

    def _keep(self, text: str) -> None:
        size = _length(text)
        self.text_bytes += size
        self.kept_bytes += size

    def _tokens(self, most: int, usual: int) -> None:
        self.most_tokens += most
        self.usual_tokens += usual

    def _add_signature(self, signature: Signature) -> None:
        """It may hold thoughts that the caller never saw, in no fewer bytes than they have."""
        self.traced = True
        self._tokens(len(signature.data), len(signature.data) // 8)

    def _add_document(self, document: Document) -> None:
        if document.media_type == "text/plain" and document.data is not None:
            self.text_bytes += len(document.data)
        elif document.data is not None:
            pages = 1 + len(document.data) // _USUAL_BYTES_PER_PAGE
            self._tokens(most_document_tokens(document), pages * USUAL_TOKENS_PER_PAGE)
        else:
            self._tokens(most_document_tokens(document), _USUAL_PAGES_BY_URL * USUAL_TOKENS_PER_PAGE)
        self.text_bytes += _length(document.name)


def most_audio_tokens(audio: Audio) -> int:
    """An upper bound of the tokens of a sound."""
    if audio.data is None:
        return _LARGEST_CONTEXT
    per_second = _LEAST_BYTES_PER_SECOND.get(audio.media_type, _LEAST_BYTES_PER_SECOND_ELSE)
    return min(_LARGEST_CONTEXT, (1 + len(audio.data) // per_second) * _TOKENS_PER_SECOND)


def most_document_tokens(document: Document) -> int:
    """An upper bound of the tokens of a document."""
    if document.data is None:
        return _LARGEST_CONTEXT
    if document.media_type == "text/plain":
        return len(document.data)
    return min(_LARGEST_CONTEXT, (1 + len(document.data) // _LEAST_BYTES_PER_PAGE) * MOST_TOKENS_PER_PAGE)


def _usual_audio_tokens(audio: Audio) -> int:
    if audio.data is None:
        return _USUAL_AUDIO_BY_URL
    per_second = _USUAL_BYTES_PER_SECOND.get(audio.media_type, _USUAL_BYTES_PER_SECOND_ELSE)
    return (1 + len(audio.data) // per_second) * _TOKENS_PER_SECOND


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
