"""Ids for what a file calls by any name."""

from __future__ import annotations

import re
from collections.abc import Iterable


def slug(name: str) -> str:
    """An id as near to `name` as ids allow: `OPENAI_API_KEY` -> `openai-api-key`, `Llama 3` -> `llama-3`."""
    text = re.sub(r"[^a-z0-9._-]+", "-", name.lower().replace("_", "-")).strip("-._")
    return text[:63].rstrip("-._") or "unnamed"


def free(wanted: str, taken: Iterable[str]) -> str:
    """`wanted`, or with the next number that makes it free: `openai-2`."""
    taken, number, candidate = set(taken), 1, wanted
    while candidate in taken:
        number += 1
        candidate = f"{wanted[:58]}-{number}"
    return candidate
