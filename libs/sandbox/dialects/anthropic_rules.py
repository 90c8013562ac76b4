"""What Anthropic's API demands of the pieces of a request: fields, types, ranges, and its words when they are wrong.

Source: the types of the official `anthropic` package and the errors of the real API.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Collection, Mapping
from typing import Any

from libs.sandbox.dialect import Refusal

Json = dict[str, Any]

TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOLD = re.compile(r"\{[^{}]*\}$")
_BOUND = re.compile(r"\b(minimum|maximum|minLength|maxLength|minItems|maxItems): (-?\d+(?:\.\d+)?)")
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
COMBINATIONS = ("oneOf", "allOf", "anyOf")

# What constrained decoding knows, by type; all may have the others.
_SCHEMA_FIELDS: Mapping[object, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems"}),
    "string": frozenset({"format"}),
}
_ALL_SCHEMAS = frozenset(
    {"type", "description", "title", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "default"}
)


def wrong(where: str, problem: str) -> Refusal:
    """A refusal that names the field."""
    return Refusal(400, f"{where}: {problem}", param=where)


def json_object(value: object, where: str) -> Json:
    """`value`, which has to be an object."""
    if not isinstance(value, dict):
        raise wrong(where, "Input should be a valid dictionary")
    return value


def only(value: Json, where: str, allowed: Collection[str]) -> None:
    """No other fields than these."""
    for name in value:
        if name not in allowed:
            raise wrong(f"{where}.{name}" if where else name, "Extra inputs are not permitted")


def text_of(value: Json, name: str, where: str) -> str:
    """A field that has to be there and be text."""
    found = value.get(name)
    if found is None:
        raise wrong(f"{where}.{name}", "Field required")
    if not isinstance(found, str):
        raise wrong(f"{where}.{name}", "Input should be a valid string")
    return found


def number_of(value: Json, name: str, least: float, most: float) -> None:
    """A number in a range, if it is there."""
    found = value.get(name)
    if found is None:
        return
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise wrong(name, "Input should be a valid number")
    if not least <= found <= most:
        raise wrong(name, f"Input should be between {least:g} and {most:g}")


def whole_number(value: object, where: str, least: int) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(where, "Input should be a valid integer")
    if value < least:
        raise wrong(where, f"Input should be greater than or equal to {least}")
    return value


def flag(value: Json, name: str, where: str) -> bool:
    """A switch that is off when it is not there."""
    found = value.get(name, False)
    if not isinstance(found, bool):
        raise wrong(f"{where}.{name}" if where else name, "Input should be a valid boolean")
    return found


def base64_of(source: Json, where: str, media_types: Collection[str]) -> None:
    """A source with the thing itself."""
    only(source, where, {"type", "media_type", "data"})
    if text_of(source, "media_type", where) not in media_types:
        raise wrong(f"{where}.media_type", f"Input should be {' or '.join(repr(each) for each in sorted(media_types))}")
    try:
        data = binascii.a2b_base64(text_of(source, "data", where), strict_mode=True)
    except ValueError:
        raise wrong(f"{where}.data", "The data is not valid base64") from None
    if not data:
        raise wrong(f"{where}.data", "The data is empty")


def url_of(source: Json, where: str) -> None:
    """A source to be fetched."""
    only(source, where, {"type", "url"})
    if not text_of(source, "url", where).startswith(("https://", "http://")):
        raise wrong(f"{where}.url", "Only HTTP and HTTPS URLs are supported.")


def heeded(schema: object) -> object:
    """A schema with the bounds its descriptions tell in the words of Anthropic's SDK, as a good model heeds them."""
    if isinstance(schema, list):
        return [heeded(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found: Json = {name: heeded(inner) for name, inner in schema.items()}
    told = schema.get("description")
    words = _TOLD.search(told) if isinstance(told, str) else None
    for name, number in _BOUND.findall(words[0]) if words is not None else ():
        found.setdefault(name, float(number) if "." in number else int(number))
    return found


def check_output_schema(schema: object, where: str) -> None:
    """What `output_config.format` takes of JSON Schema."""
    found = json_object(schema, where)
    kind = found.get("type")
    if not found.keys() & {"type", "anyOf", "allOf", "$ref", "enum", "const"}:
        raise wrong(where, "Schema type is required")
    if kind is not None and not isinstance(kind, str):
        raise wrong(where, "Schema type must be a string")
    for name in found:
        if name not in _ALL_SCHEMAS and name not in _SCHEMA_FIELDS.get(kind, ()):
            raise wrong(where, f"For '{kind}' type, property '{name}' is not supported")
    if kind == "object" and found.get("additionalProperties") is not False:
        raise wrong(where, "For 'object' type, 'additionalProperties' must be explicitly set to false")
    if found.get("minItems", 0) not in (0, 1):
        raise wrong(where, "For 'array' type, 'minItems' values other than 0 or 1 are not supported")
    for name in ("properties", "$defs"):
        for key, inner in found.get(name, {}).items():
            check_output_schema(inner, f"{where}.{name}.{key}")
    for name in ("anyOf", "allOf"):
        for at, inner in enumerate(found.get(name, [])):
            check_output_schema(inner, f"{where}.{name}.{at}")
    if "items" in found:
        check_output_schema(found["items"], f"{where}.items")
