"""What a call may ask for and a target may not be able to do, as bits of a mask.

The first are the capabilities of a model, as in the API. The others depend on the provider's wire format only.
"""

from __future__ import annotations

CAPABILITY_NAMES = ("streaming", "tools", "json_schema", "images", "audio", "documents", "reasoning", "embeddings")
"""The names in the API; the place of each is its bit in a mask."""

FEATURE_NAMES = (
    *CAPABILITY_NAMES,
    # temperature, top_p, top_k: a model with `fixed_sampling` has none of them.
    "sampling",
    "json",
    "tool_choice",
    "parallel_tool_calls",
    "stop",
    "seed",
    "top_k",
    "penalties",
    "service_tier",
    "end_user",
    "dimensions",
    "purpose",
)
"""All features; the place of each is its bit in a mask."""

STREAMING, TOOLS, JSON_SCHEMA, IMAGES, AUDIO, DOCUMENTS, REASONING, EMBEDDINGS = (1 << bit for bit in range(8))
SAMPLING, JSON, TOOL_CHOICE, PARALLEL_TOOL_CALLS, STOP, SEED, TOP_K, PENALTIES = (1 << bit for bit in range(8, 16))
SERVICE_TIER, END_USER, DIMENSIONS, PURPOSE = (1 << bit for bit in range(16, 20))

ALL = (1 << len(FEATURE_NAMES)) - 1
OF_FORMAT = ALL & ~((1 << 9) - 1)
"""What no model's capabilities speak of."""


def names_of(mask: int) -> tuple[str, ...]:
    """The names of the bits of a mask."""
    return tuple(name for bit, name in enumerate(FEATURE_NAMES) if mask & (1 << bit))


_WORDS = (
    "streaming",
    "tools",
    "JSON Schema output",
    "images",
    "audio",
    "documents",
    "reasoning",
    "embeddings",
    "temperature, top_p or top_k",
    "JSON output",
    "a choice of tools",
    "turning parallel tool calls off",
    "stop texts",
    "a seed",
    "top_k",
    "frequency and presence penalties",
    "service tiers",
    "an end user",
    "dimensions",
    "a purpose",
)


def words_for(mask: int) -> tuple[str, ...]:
    """The features of a mask for people, as what a model or an API cannot do or takes no account of."""
    return tuple(word for bit, word in enumerate(_WORDS) if mask & (1 << bit))
