"""JSON Schemas as the API takes them.

Output schemas go the way Anthropic's own SDK sends them (`transform_schema`): what constrained decoding does not know
is said in the description, objects are closed. Schemas of tools are free but for their top.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

Json = dict[str, Any]

NO_ARGUMENTS: Json = {"type": "object", "properties": {}}
ANY_ARGUMENTS: Json = {"type": "object"}

_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_COMBINATIONS = ("anyOf", "oneOf", "allOf")
_ANY = ("string", "number", "boolean", "null")
_SAYING_WHAT = frozenset({"type", "enum", "const", "$ref", "properties", "items", *_COMBINATIONS})
_NAMED_IN_VAIN = frozenset({"$schema", "$id"})


@lru_cache(maxsize=256)
def output_schema(schema_json: str, description: str = "") -> orjson.Fragment:
    """A schema for `output_config.format`, which has no other place for a description.

    What is nested too deeply to be read goes on as it is.
    """
    try:
        closed = _closed(orjson.loads(schema_json))
        if description and "$ref" not in closed:
            closed["description"] = _with_words(description, closed.get("description", ""))
        return orjson.Fragment(orjson.dumps(closed))
    except (RecursionError, orjson.JSONEncodeError):
        return orjson.Fragment(schema_json)


@lru_cache(maxsize=256)
def narrows(schema_json: str) -> bool:
    """Whether `output_schema` takes values away: those of objects that may have any names, and those of any kind.

    Objects of which the schema names properties, and does not say whether there are others, count as whole.
    """
    try:
        return _is_open(orjson.loads(schema_json))
    except RecursionError:
        return False


@lru_cache(maxsize=256)
def input_schema(schema_json: str) -> orjson.Fragment:
    """A schema for a tool. At its top the API insists on a type and takes no combinations of schemas.

    The properties of combined schemas are put together there, and the combination is said in the description.
    """
    schema: Json = orjson.loads(schema_json)
    combined = {key: schema[key] for key in _COMBINATIONS if key in schema}
    if "type" in schema and not combined:
        return orjson.Fragment(schema_json)
    merged: Json = {"type": "object", **{key: value for key, value in schema.items() if key not in combined}}
    for key, variants in combined.items():
        for variant in variants:
            _join(merged, variant, required=key == "allOf")
    try:
        if combined:
            merged["description"] = _with_words(merged.get("description"), orjson.dumps(combined).decode())
        return orjson.Fragment(orjson.dumps(merged))
    except orjson.JSONEncodeError:
        return orjson.Fragment(schema_json)


def is_object_schema(schema_json: str) -> bool:
    """Whether what it describes can be a tool's input."""
    schema: Json = orjson.loads(schema_json)
    return schema.get("type") == "object"


def _is_open(schema: object) -> bool:
    if not isinstance(schema, dict):
        return schema is True
    if not schema.keys() & _SAYING_WHAT:
        return True
    kind = schema.get("type")
    is_map = kind == "object" and not schema.keys() & {"properties", *_COMBINATIONS}
    others = schema.get("additionalProperties", is_map)
    if (others is not False and others is not None) or "patternProperties" in schema:
        return True
    combined = (each for key in _COMBINATIONS if isinstance(schema.get(key), list) for each in schema[key])
    named = (*_values(schema.get("properties")), *_values(schema.get("$defs")))
    items = (schema["items"],) if "items" in schema else ()
    return any(map(_is_open, (*combined, *named, *items)))


def _values(named: object) -> tuple[object, ...]:
    return tuple(named.values()) if isinstance(named, dict) else ()


def _join(merged: Json, variant: object, *, required: bool) -> None:
    if not isinstance(variant, dict):
        return
    merged["properties"] = {**variant.get("properties", {}), **merged.get("properties", {})}
    if required and variant.get("required"):
        merged["required"] = [*merged.get("required", ()), *variant["required"]]


def _closed(schema: object) -> Json:
    if not isinstance(schema, dict):
        # `true` and `false` are schemas too.
        return {"anyOf": [{"type": each} for each in _ANY]}
    left = {key: value for key, value in schema.items() if key not in _NAMED_IN_VAIN}
    closed: Json = {}
    if (definitions := left.pop("$defs", None)) is not None:
        closed["$defs"] = {name: _closed(each) for name, each in definitions.items()}
    if (reference := left.pop("$ref", None)) is not None:
        closed["$ref"] = reference
        return closed
    kind = left.pop("type", None)
    is_literal = _take_literals(closed, left)
    if is_literal:
        kind = None
    if not _take_combination(closed, left) and not is_literal:
        kind = _take_type(closed, left, kind)
    for key in ("description", "title"):
        if (value := left.pop(key, None)) is not None:
            closed[key] = value
    _take_details(closed, left, kind)
    if left:
        words = ", ".join(f"{key}: {value}" for key, value in left.items())
        closed["description"] = _with_words(closed.get("description"), f"{{{words}}}")
    return closed


def _take_literals(closed: Json, left: Json) -> bool:
    """Values the schema names, where they are plain."""
    choices = left.get("enum")
    if isinstance(choices, list) and choices and all(map(_is_plain, choices)):
        closed["enum"] = left.pop("enum")
    if "const" in left and _is_plain(left["const"]):
        closed["const"] = left.pop("const")
    return bool(closed.keys() & {"enum", "const"})


def _take_combination(closed: Json, left: Json) -> bool:
    """The schemas it combines; the API knows no `oneOf`."""
    combined = {key: left.pop(key, None) for key in _COMBINATIONS}
    for key, variants in combined.items():
        if isinstance(variants, list):
            closed["allOf" if key == "allOf" else "anyOf"] = [_closed(variant) for variant in variants]
            return True
    return False


def _take_type(closed: Json, left: Json, kind: object) -> object:
    """The type, which the API insists on; where there are several, a schema for each."""
    if isinstance(kind, list):
        closed["anyOf"] = [_closed({**left, "type": each}) for each in kind]
        left.clear()
        return None
    if kind is None:
        kind = "object" if "properties" in left else "array" if "items" in left else None
    if kind is None:
        closed["anyOf"] = [{"type": each} for each in _ANY]
    else:
        closed["type"] = kind
    return kind


def _take_details(closed: Json, left: Json, kind: object) -> None:
    match kind:
        case "object":
            closed["properties"] = {name: _closed(each) for name, each in left.pop("properties", {}).items()}
            left.pop("additionalProperties", None)
            closed["additionalProperties"] = False
            if (required := left.pop("required", None)) is not None:
                closed["required"] = required
        case "string":
            shape = left.pop("format", None)
            if shape in _FORMATS:
                closed["format"] = shape
            elif shape:
                left["format"] = shape
        case "array":
            if (items := left.pop("items", None)) is not None:
                closed["items"] = _closed(items)
            least = left.pop("minItems", None)
            if least in (0, 1):
                closed["minItems"] = least
            elif least is not None:
                left["minItems"] = least
        case _:
            pass


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _with_words(description: object, words: str) -> str:
    if description is None:
        return words
    return f"{description}\n\n{words}" if words else str(description)
