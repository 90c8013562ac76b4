"""Whether a text is a JSON Schema of Draft 2020-12, told in time that grows with its length and no faster.

A caller writes it, and the validators there are take minutes for a hostile one of the length that is allowed: they
compare every two entries of a list, and compile patterns. So what the metaschema says is written out here. Formats are
not looked at: patterns are ECMAScript's, which Python would judge wrongly, and what a URI leads to is never fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

import orjson

from libs.core.validation import FieldChecks

MAX_SCHEMA = 100_000
MAX_DEPTH = 64
"""How deep schemas lie in schemas; those who clean them for providers go down by calling themselves."""

# Longer ones are looked at anew each time, or what callers send would fill the memory.
_MOST_REMEMBERED = 4_096
_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_ANCHOR = re.compile(r"[A-Za-z_][-A-Za-z0-9._]*")

_Found = Iterator[tuple[str, object]]


def check_schema(check: FieldChecks, field: str, text: str, *, of_object: bool) -> None:
    """`text` is a JSON Schema, and that of an object where it has to be."""
    if len(text) > MAX_SCHEMA:
        check.fail(field, f"must have at most {MAX_SCHEMA} characters, has {len(text)}")
        return
    mistake = (_remembered_mistake if len(text) <= _MOST_REMEMBERED else _mistake)(text, of_object)
    check.that(mistake is None, field, mistake or "")


def _mistake(text: str, of_object: bool) -> str | None:
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"is not valid JSON: line {error.lineno}, column {error.colno}"
    if not isinstance(schema, dict):
        return "must be a JSON object"
    wrong = _wrong_place(schema)
    if wrong is not None:
        return wrong
    try:
        orjson.dumps(schema)
    except orjson.JSONEncodeError:
        # It reads deeper nesting than it writes: in a default, say.
        return _TOO_DEEP
    if of_object and schema.get("type", "object") != "object":
        return 'must describe an object ("type": "object")'
    return None


# The same tools come with every call of a backend.
_remembered_mistake = lru_cache(maxsize=1024)(_mistake)

_TOO_DEEP = "is nested too deeply"


def _wrong_place(whole: object) -> str | None:
    """What is wrong with a schema; None when it is one."""
    pending: list[tuple[str, object, int]] = [("$", whole, 0)]
    while pending:
        path, schema, depth = pending.pop()
        if isinstance(schema, bool):
            continue
        if not isinstance(schema, dict):
            return f"is not a valid JSON Schema at {path}"
        if depth > MAX_DEPTH:
            return _TOO_DEEP
        for keyword, value in schema.items():
            inside = _SCHEMAS_IN.get(keyword)
            if inside is not None:
                found = inside(value)
                if found is None:
                    return f"is not a valid JSON Schema at {path}.{keyword}"
                pending.extend((f"{path}.{keyword}{place}", each, depth + 1) for place, each in found)
            elif (holds := _VALUES.get(keyword)) is not None and not holds(value):
                return f"is not a valid JSON Schema at {path}.{keyword}"
    return None


def _one(value: object) -> _Found:
    return iter((("", value),))


def _named(value: object) -> _Found | None:
    return ((f"[{name!r}]", each) for name, each in value.items()) if isinstance(value, dict) else None


def _listed(value: object) -> _Found | None:
    return ((f"[{place}]", each) for place, each in enumerate(value)) if isinstance(value, list) and value else None


def _dependencies(value: object) -> _Found | None:
    """Schemas, or lists of names: the form of earlier drafts, which the metaschema still describes."""
    if not isinstance(value, dict):
        return None
    return ((f"[{name!r}]", each) for name, each in value.items() if not _names(each))


def _text(value: object) -> bool:
    return isinstance(value, str)


def _bool(value: object) -> bool:
    return isinstance(value, bool)


def _list(value: object) -> bool:
    return isinstance(value, list)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _count(value: object) -> bool:
    if isinstance(value, float):
        return value >= 0 and value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value) and len(set(value)) == len(value)


def _names_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(map(_names, value.values()))


def _type(value: object) -> bool:
    if isinstance(value, str):
        return value in _TYPES
    return _names(value) and isinstance(value, list) and bool(value) and _TYPES.issuperset(value)


def _id(value: object) -> bool:
    return isinstance(value, str) and "#" not in value[:-1]


def _anchor(value: object) -> bool:
    return isinstance(value, str) and _ANCHOR.fullmatch(value) is not None


def _vocabulary(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, bool) for each in value.values())


_SCHEMAS_IN: Mapping[str, Callable[[object], _Found | None]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("items", "contains", "additionalProperties", "propertyNames", "if", "then", "else", "not"), _one
        ),
        **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties", "contentSchema"), _one),
        **dict.fromkeys(("properties", "patternProperties", "dependentSchemas", "$defs", "definitions"), _named),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _listed),
        "dependencies": _dependencies,
    }
)
_VALUES: Mapping[str, Callable[[object], bool]] = MappingProxyType(
    {
        **dict.fromkeys(("title", "description", "format", "pattern", "$comment", "contentEncoding"), _text),
        **dict.fromkeys(("contentMediaType", "$schema", "$ref", "$dynamicRef", "$recursiveRef"), _text),
        **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), _bool),
        **dict.fromkeys(("enum", "examples"), _list),
        **dict.fromkeys(("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"), _number),
        "multipleOf": _positive,
        **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxContains", "minContains"), _count),
        **dict.fromkeys(("maxProperties", "minProperties"), _count),
        "required": _names,
        "dependentRequired": _names_by_name,
        "type": _type,
        "$id": _id,
        **dict.fromkeys(("$anchor", "$dynamicAnchor", "$recursiveAnchor"), _anchor),
        "$vocabulary": _vocabulary,
    }
)
