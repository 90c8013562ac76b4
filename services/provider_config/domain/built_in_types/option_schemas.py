"""Schemas of options that several types have in their own ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def header_value(description: str) -> Mapping[str, Any]:
    """The schema of an id that is sent in a header."""
    return {"type": "string", "description": description, "pattern": "^[A-Za-z0-9_-]{1,128}$"}


def one_of(description: str, *values: str, default: str | None = None) -> Mapping[str, Any]:
    """The schema of a word among `values`."""
    schema: dict[str, Any] = {"type": "string", "description": description, "enum": list(values)}
    if default is not None:
        schema["default"] = default
    return schema


def switch(description: str) -> Mapping[str, Any]:
    """The schema of what is on or off."""
    return {"type": "boolean", "description": description, "examples": [True, False]}
