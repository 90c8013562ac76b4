"""What a dialect gathers while it reads the messages of a request: tokens, media, the last words said."""

from __future__ import annotations

from dataclasses import dataclass

from libs.sandbox.tokens import (
    TOKENS_PER_AUDIO,
    TOKENS_PER_DOCUMENT,
    TOKENS_PER_IMAGE,
    TOKENS_PER_MESSAGE,
    TOKENS_PER_PROMPT,
    count_tokens,
)


@dataclass(slots=True)
class Prompt:
    """`user_text` is the last that a user said, `tool_result` what a tool answered after it."""

    tokens: int = TOKENS_PER_PROMPT
    user_text: str = ""
    tool_result: str | None = None
    tool_failed: bool = False
    images: int = 0
    audio: int = 0
    documents: int = 0
    thoughts: int = 0

    def message(self) -> None:
        """One more message, of whatever role; a system text counts as one too."""
        self.tokens += TOKENS_PER_MESSAGE

    def text(self, text: str) -> None:
        """Text of any kind: content, a thought sent back, the name or arguments of a call, a tool's definition."""
        self.tokens += count_tokens(text)

    def image(self) -> None:
        """One more image."""
        self.images += 1
        self.tokens += TOKENS_PER_IMAGE

    def sound(self) -> None:
        """One more recording."""
        self.audio += 1
        self.tokens += TOKENS_PER_AUDIO

    def document(self) -> None:
        """One more document."""
        self.documents += 1
        self.tokens += TOKENS_PER_DOCUMENT

    def said(self, text: str) -> None:
        """A user's message is over; `text` is all it said."""
        self.user_text = text
        self.tool_result = None
        self.tool_failed = False

    def answered(self, text: str, *, failed: bool = False) -> None:
        """A tool has answered."""
        self.tool_result = text
        self.tool_failed = failed
