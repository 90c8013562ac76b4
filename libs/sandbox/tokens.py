"""Counting tokens: a rule simple enough to redo by hand, so that a checker can know the figure beforehand.

A token is a run of up to eight letters, digits or underscores, or one other visible character, each with the
white space before it; white space at the very end is one token. So `Hello, world!` has four tokens and
`internationalisation` has three. Joining the pieces of a text gives the text back.
"""

from __future__ import annotations

import re

TOKENS_PER_MESSAGE = 3
"""Added for every message of a prompt, for its role and its ends."""

TOKENS_PER_PROMPT = 3
"""Added once per prompt, for the opening of the answer."""

TOKENS_PER_IMAGE = 85
"""Counted for every image, whatever its size."""

TOKENS_PER_AUDIO = 64
"""Counted for every recording, whatever its length."""

TOKENS_PER_DOCUMENT = 128
"""Counted for every document, whatever its length."""

_PIECE = re.compile(r"\s*(?:\w{1,8}|[^\w\s])|\s+")


def split_tokens(text: str) -> list[str]:
    """`text` in pieces of one token each; joined they are `text` again."""
    return _PIECE.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens `text` has."""
    return len(_PIECE.findall(text))
