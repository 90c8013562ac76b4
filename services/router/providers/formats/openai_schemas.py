"""JSON Schemas for OpenAI's strict mode, which takes a part of JSON Schema only.

The part is that of OpenAI's guide "Structured outputs", section "Supported schemas": every object closed, every
property required, a fixed set of keywords. What can be said in it is rewritten; other constraints become words in the
description; what would change its meaning is left as it is, and OpenAI refuses it by name. Chat Completions and
Responses share it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import orjson

_Schema = dict[str, Any]
# Warnings, each once, in order.
_Changes = dict[str, None]

# As many schemas as a busy router sees at a time; each may have 100,000 characters.
_KEPT = 128
# OpenAI takes 10 levels of objects; what lies deeper than this is left for it to refuse.
_DEEPEST = 64

_KEPT_KEYWORDS = frozenset(
    {
        *("type", "properties", "required", "additionalProperties", "items", "anyOf", "enum", "const"),
        *("$ref", "$defs", "definitions", "description", "title", "pattern", "format", "minItems", "maxItems"),
        *("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
    }
)
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})
# They say nothing about a value.
_SILENT = frozenset({"$schema", "$id", "$anchor", "$comment", "$vocabulary", "examples", "deprecated", "readOnly"})
_NULL: _Schema = {"type": "null"}
_NULL_FOR_ABSENT = (
    "optional properties of the JSON Schema left out: OpenAI's strict mode requires all, these come with null instead"
)
_CLOSED = "open objects of the JSON Schema left out: OpenAI's strict mode takes named properties only"


def strict_schema(schema_json: str) -> bytes:
    """The schema as OpenAI's strict mode takes it, as JSON; never raises for JSON. Costs nothing for one seen lately.

    A property that may be left out becomes required: as it is where it has a default, else with null as a value.
    """
    return _strict(schema_json)[0]


def strict_warnings(schema_json: str) -> tuple[str, ...]:
    """What a caller should know of that schema: where answers to it need not fit the one that was asked for."""
    return _strict(schema_json)[1]


@lru_cache(maxsize=_KEPT)
def _strict(schema_json: str) -> tuple[bytes, tuple[str, ...]]:
    schema = orjson.loads(schema_json)
    if not isinstance(schema, dict):
        return schema_json.encode(), ()
    changes: _Changes = {}
    try:
        cleaned = orjson.dumps(_cleaned(_with_root_resolved(schema), 0, changes))
    except orjson.JSONEncodeError:
        # Deeper than the encoder goes.
        return schema_json.encode(), ()
    return cleaned, tuple(changes)


def _cleaned(schema: object, depth: int, changes: _Changes) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return schema
    schema = _with_all_of_merged(schema)
    if "oneOf" in schema and "anyOf" not in schema:
        schema["anyOf"] = schema.pop("oneOf")
    kept = _with_the_rest_in_words(schema)
    for keyword in ("$defs", "definitions"):
        if isinstance(kept.get(keyword), dict):
            kept[keyword] = {name: _cleaned(each, depth + 1, changes) for name, each in kept[keyword].items()}
    for keyword in ("anyOf", "allOf"):
        if keyword in kept:
            kept[keyword] = _each(kept[keyword], depth, changes)
    if "items" in kept:
        kept["items"] = _cleaned(kept["items"], depth + 1, changes)
    _close(kept, schema, depth, changes)
    if "$ref" in kept and len(kept) > 1 and depth:
        # A reference takes nothing beside it.
        kept = {"anyOf": [{"$ref": kept.pop("$ref")}], **kept} if "anyOf" not in kept else kept
    return kept


def _with_the_rest_in_words(schema: _Schema) -> _Schema:
    """The keywords that OpenAI knows, and `allOf`, which cannot be told in words; the others in the description."""
    kept: _Schema = {}
    words: list[str] = []
    for keyword, value in schema.items():
        known = value in _FORMATS if keyword == "format" and isinstance(value, str) else keyword in _KEPT_KEYWORDS
        if known or keyword == "allOf":
            kept[keyword] = value
        elif keyword not in _SILENT and not (keyword == "default" and value is None):
            words.append(f"{keyword}: {orjson.dumps(value).decode()}")
    if words:
        said = kept.get("description")
        kept["description"] = " ".join([*([said] if isinstance(said, str) and said else ()), f"({'; '.join(words)})"])
    return kept


def _each(schemas: object, depth: int, changes: _Changes) -> object:
    return [_cleaned(each, depth + 1, changes) for each in schemas] if isinstance(schemas, list) else schemas


def _close(kept: _Schema, schema: _Schema, depth: int, changes: _Changes) -> None:
    """No property beyond those named, and all of them required. A map of any names cannot be said: it stays one."""
    properties = kept.get("properties")
    if isinstance(properties, dict):
        required = schema.get("required")
        always = frozenset(name for name in _listed(required) if isinstance(name, str))
        kept["properties"] = {
            name: _property(each, depth, changes, required=name in always) for name, each in properties.items()
        }
        kept["required"] = list(properties)
        if properties or kept.get("additionalProperties") is True:
            kept["additionalProperties"] = False
    if _is_object(kept):
        kept.setdefault("additionalProperties", False)
    if kept.get("additionalProperties") is False and _was_open(schema):
        changes[_CLOSED] = None


def _was_open(schema: _Schema) -> bool:
    """Whether other names were meant: one that merely does not say that there are none was not."""
    if "patternProperties" in schema:
        return True
    return schema.get("additionalProperties", not schema.keys() & {"properties", "anyOf", "allOf"}) is not False


def _property(schema: object, depth: int, changes: _Changes, *, required: bool) -> object:
    cleaned = _cleaned(schema, depth + 1, changes)
    if required or not isinstance(schema, dict) or "default" in schema or _takes_null(cleaned):
        return cleaned
    changes[_NULL_FOR_ABSENT] = None
    return _nullable(cleaned)


def _nullable(schema: _Schema) -> _Schema:
    if isinstance(schema.get("anyOf"), list):
        return {**schema, "anyOf": [*schema["anyOf"], _NULL]}
    kind = schema.get("type")
    if kind is None or "const" in schema:
        description = {"description": schema["description"]} if "description" in schema else {}
        return {"anyOf": [{key: value for key, value in schema.items() if key != "description"}, _NULL], **description}
    nullable = {**schema, "type": [*_listed(kind), "null"]}
    if isinstance(schema.get("enum"), list):
        nullable["enum"] = [*schema["enum"], None]
    return nullable


def _takes_null(schema: _Schema) -> bool:
    any_of = schema.get("anyOf")
    return "null" in _listed(schema.get("type")) or (
        isinstance(any_of, list) and any(isinstance(each, dict) and _takes_null(each) for each in any_of)
    )


def _is_object(schema: _Schema) -> bool:
    return "object" in _listed(schema.get("type"))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _with_all_of_merged(schema: _Schema) -> _Schema:
    """A copy with the parts of `allOf` as one, where they do not get in each other's way."""
    parts = schema.get("allOf")
    whole = dict(schema)
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return whole
    del whole["allOf"]
    return dict(schema) if (merged := _merged([whole, *parts])) is None else merged


def _merged(parts: Iterable[_Schema]) -> _Schema | None:
    merged: _Schema = {}
    for part in parts:
        for keyword, value in part.items():
            before = merged.get(keyword)
            if keyword not in merged or before == value:
                merged[keyword] = value
            elif keyword == "properties" and isinstance(before, dict) and isinstance(value, dict):
                if any(before[name] != value[name] for name in before.keys() & value.keys()):
                    return None
                merged[keyword] = {**before, **value}
            elif keyword == "required" and isinstance(before, list) and isinstance(value, list):
                merged[keyword] = [*before, *value]
            elif keyword not in ("description", "title"):
                return None
    return merged


def _with_root_resolved(root: _Schema) -> _Schema:
    """The root has to be an object itself: a reference there is replaced by what it means."""
    seen: set[str] = set()
    while isinstance(ref := root.get("$ref"), str) and ref.startswith("#/") and ref not in seen:
        seen.add(ref)
        found: Any = root
        for step in ref[2:].split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            break
        root = {**found, **{key: value for key, value in root.items() if key != "$ref"}}
    return root
