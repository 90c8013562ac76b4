"""How demanding a call is: a score of what can be seen of it, from 0 to 100, the sum of five parts.

    part          points   for
    length        0 to 40  10 for each fourfold of 250 input tokens: 10 from 1,000 on, 20 from 4,000, 30 from 16,000,
                           40 from 64,000 (estimated, four bytes a token)
    tools         0 to 20  none without tools, else 5 and 1 more for each tool
    code          0 or 15  a code fence, or two lines that look like code, in its first 64 Ki characters
    images        0 or 15  at least one
    json_schema   0 or 10  the answer has to hold to one

The thresholds between tiers are the route's own. `route.proto` and ExplainRoute tell users the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from services.router.domain.call_request import CallRequest
from services.router.domain.embedding import Embedding
from services.router.domain.generation import Generation, JsonSchemaFormat, Text
from services.router.domain.route import Tier
from services.router.domain.tokens import RequestSize

_LENGTHS = (1_000, 4_000, 16_000, 64_000)
_POINTS_PER_LENGTH = 10
_TOOLS = 5
_MOST_TOOLS = 20
_CODE = 15
_IMAGES = 15
_JSON_SCHEMA = 10

_CODE_SEEN = 65_536
_CODE_LINES = 2
# The start of a statement in the languages people paste most; each is rare at the start of a line of prose.
_CODE_LINE = re.compile(
    r"^[ \t]*+(?=\S)(?:def \w+\(|class \w+[:({ ]*$|(?:import|from) [\w.]+(?: import .*)?;?$|#include\b"
    r"|(?:public|private|static) \w|(?:async )?function\b|func \w|fn \w|(?:const|let|var) \w+ ?[:=]"
    r"|package [\w.]+;?$|SELECT\b.+\bFROM\b|(?:if|for|while) ?\(.*\) ?\{|return\b.*;$|\}$|[\w.]+\(.*\);$)",
    re.MULTILINE,
)


class Complexity(NamedTuple):
    """The parts of a score, and the id of the tier it falls into."""

    length: int
    tools: int
    code: int
    images: int
    json_schema: int
    tier: str = ""

    @property
    def score(self) -> int:
        """The sum, 0 to 100."""
        return self.length + self.tools + self.code + self.images + self.json_schema


def complexity_of(request: CallRequest, size: RequestSize) -> Complexity:
    """The score of a request, without a tier. Texts to turn into vectors are demanding by their length only."""
    tokens = size.usual_input_tokens
    if isinstance(request, Embedding):
        return Complexity(length=_length_points(tokens), tools=0, code=0, images=0, json_schema=0)
    tools = len(request.tools)
    return Complexity(
        length=_length_points(tokens),
        tools=min(_TOOLS + tools, _MOST_TOOLS) if tools else 0,
        code=_CODE if _has_code(request) else 0,
        images=_IMAGES if size.images else 0,
        json_schema=_JSON_SCHEMA if isinstance(request.response_format, JsonSchemaFormat) else 0,
    )


def _length_points(tokens: int) -> int:
    return _POINTS_PER_LENGTH * sum(tokens >= each for each in _LENGTHS)


def order(tiers: Sequence[Tier], score: int) -> list[Tier]:
    """The tier that takes `score`, the more demanding ones, then the less demanding ones, nearest first."""
    chosen = next((index for index, tier in enumerate(tiers) if score <= tier.most_score), len(tiers) - 1)
    return [*tiers[chosen:], *reversed(tiers[:chosen])]


def _has_code(request: Generation) -> bool:
    left, lines = _CODE_SEEN, 0
    for message in request.messages:
        for part in message.parts:
            if not isinstance(part, Text):
                continue
            text = part.text[:left]
            if "```" in text:
                return True
            for _ in _CODE_LINE.finditer(text):
                lines += 1
                if lines >= _CODE_LINES:
                    return True
            left -= len(text)
            if left <= 0:
                return False
    return False
