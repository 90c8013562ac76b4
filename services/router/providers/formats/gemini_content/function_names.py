"""Names of functions: Gemini wants a letter or an underscore first, other providers do not."""

from __future__ import annotations

_PREFIX = "tool_"


def wire_name(name: str) -> str:
    """The name to send: different for different names."""
    stem = name
    while stem.startswith(_PREFIX):
        # Else a tool that has this very name would be taken for another one.
        stem = stem.removeprefix(_PREFIX)
    first = stem[:1]
    return name if first == "_" or (first.isascii() and first.isalpha()) else _PREFIX + name
