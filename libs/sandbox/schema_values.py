"""A value for a JSON Schema: small, the same every time, and checked against the schema before it is used."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import orjson

# Deeper than this only what is required is filled in; much deeper means a schema that can never end.
_OPTIONAL_DEPTH = 4
_MAX_DEPTH = 40

_FORMATS: Mapping[str, str] = {
    "date": "2026-01-{day:02d}",
    "date-time": "2026-01-{day:02d}T12:00:00Z",
    "time": "12:00:{day:02d}Z",
    "duration": "P{day}D",
    "email": "sandbox{day}@example.com",
    "hostname": "sandbox{day}.example.com",
    "ipv4": "192.0.2.{day}",
    "ipv6": "2001:db8::{day}",
    "uuid": "00000000-0000-4000-8000-0000000000{day:02d}",
    "uri": "https://example.com/{day}",
}

# Tried in turn for a `pattern`: a schema that none of them satisfies is refused, not answered wrongly.
_PATTERN_CANDIDATES = (
    *_FORMATS.values(),
    "a", "abc", "abcdefgh", "sandbox", "Sandbox", "sandbox-{day}", "sandbox_{day}",
    "A", "AB", "ABC", "ABCD", "SANDBOX", "A1", "AB12", "ABC123", "ABC-123", "ab12",
    "1", "12", "123", "1234", "12345", "123456", "12345678", "1234567890",
    "1.0", "1.2.3", "v1.2.3", "0", "-1", "12:30", "+15550100", "555-0100", "#a1b2c3", "a1b2c3d4", "EUR",
)  # fmt: skip


class NoValue(Exception):
    """The schema is malformed, contradicts itself or asks for more than this module can make up."""


@lru_cache(maxsize=512)
def value_for(schema: bytes, variant: int) -> bytes:
    """JSON text that `schema` (JSON text, draft 2020-12) accepts; another `variant` (from 0) differs if it can.

    Raises NoValue with a text for people.
    """
    # It takes a tenth of a second to load and most calls have no schema.
    from jsonschema import Draft202012Validator, SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    document = orjson.loads(schema)
    try:
        Draft202012Validator.check_schema(document)
    except SchemaError as error:
        raise NoValue(f"{error.message} at {error.json_path}") from None
    value = _Maker(document, variant).make(document, "value", 0)
    try:
        # A registry of our own: the usual one would fetch what a $ref names.
        accepted = Draft202012Validator(document, registry=Registry()).is_valid(value)
    except (Unresolvable, re.error, RecursionError):
        raise NoValue("a $ref or a pattern in it cannot be resolved") from None
    if not accepted:
        raise NoValue("the sandbox cannot make up a value that it accepts")
    return orjson.dumps(value)


class _Maker:
    def __init__(self, root: object, variant: int) -> None:
        self._root = root
        self._variant = variant

    def make(self, schema: object, name: str, depth: int) -> object:
        if depth > _MAX_DEPTH:
            raise NoValue("it nests without end")
        if not isinstance(schema, dict):
            return f"{name} {self._variant + 1}"
        schema = self._flatten(schema, depth)
        options = schema.get("anyOf", schema.get("oneOf"))
        choices = schema.get("enum")
        if "const" in schema:
            return schema["const"]
        if isinstance(choices, list):
            return choices[self._variant % len(choices)] if choices else None
        if isinstance(options, list):
            return self._first_possible(schema, options, name, depth)
        return self._of_type(schema, name, depth)

    def _of_type(self, schema: dict[str, object], name: str, depth: int) -> object:
        kind = self._type(schema)
        if kind in {"integer", "number"}:
            number = self._number(schema, whole=kind == "integer")
            return int(number) if number == int(number) else number
        if kind in {"boolean", "null"}:
            return None if kind == "null" else self._variant % 2 == 0
        if kind == "object":
            return self._object(schema, depth)
        return self._array(schema, name, depth) if kind == "array" else self._string(schema, name)

    def _flatten(self, schema: dict[str, object], depth: int) -> dict[str, object]:
        """`schema` with its `$ref` followed and its `allOf` laid over each other."""
        while isinstance(reference := schema.get("$ref"), str):
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = _overlay(self._resolve(reference), rest)
            depth += 1
            if depth > _MAX_DEPTH:
                raise NoValue("its references go in a circle")
        parts = schema.get("allOf")
        if isinstance(parts, list):
            schema = {key: value for key, value in schema.items() if key != "allOf"}
            for part in parts:
                if isinstance(part, dict):
                    schema = _overlay(schema, self._flatten(part, depth + 1))
        return schema

    def _resolve(self, reference: str) -> dict[str, object]:
        target = self._root
        if not reference.startswith("#"):
            raise NoValue("only references inside the schema (#/...) are followed")
        for step in reference[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise NoValue(f"the reference {reference[:100]!r} leads nowhere")
        return target

    def _first_possible(self, schema: dict[str, object], options: list[object], name: str, depth: int) -> object:
        rest = {key: value for key, value in schema.items() if key not in {"anyOf", "oneOf"}}
        problem = NoValue("it offers no option")
        for option in options:
            try:
                return self.make(_overlay(rest, option) if isinstance(option, dict) else rest, name, depth + 1)
            except NoValue as error:
                problem = error
        raise problem

    def _type(self, schema: dict[str, object]) -> object:
        kind = schema.get("type")
        if isinstance(kind, list):
            return next((entry for entry in kind if entry != "null"), "null")
        if kind is None:
            if "properties" in schema or "required" in schema:
                return "object"
            if "items" in schema or "prefixItems" in schema:
                return "array"
            if "minimum" in schema or "maximum" in schema:
                return "number"
        return kind

    def _object(self, schema: dict[str, object], depth: int) -> dict[str, object]:
        properties, required = schema.get("properties"), schema.get("required")
        declared = properties if isinstance(properties, dict) else {}
        needed = [str(entry) for entry in required] if isinstance(required, list) else []
        made: dict[str, object] = {}
        for name, inner in declared.items():
            if name in needed or depth < _OPTIONAL_DEPTH:
                try:
                    made[name] = self.make(inner, name, depth + 1)
                except NoValue:
                    if name in needed:
                        raise
        extra = schema.get("additionalProperties")
        for name in needed:
            if name not in made:
                made[name] = self.make(extra if isinstance(extra, dict) else {}, name, depth + 1)
        return made

    def _array(self, schema: dict[str, object], name: str, depth: int) -> list[object]:
        prefix = schema.get("prefixItems")
        made = [self.make(entry, name, depth + 1) for entry in prefix] if isinstance(prefix, list) else []
        least, most = _integer(schema, "minItems", 0), _integer(schema, "maxItems", 1_000)
        wanted = max(least, min(1 if depth < _OPTIONAL_DEPTH else 0, most))
        while len(made) < min(wanted, 1_000):
            # With uniqueItems, values that follow one another must differ.
            maker = _Maker(self._root, self._variant + len(made))
            made.append(maker.make(schema.get("items", {}), name, depth + 1))
        return made[:most]

    def _number(self, schema: dict[str, object], *, whole: bool) -> float:
        step = _number(schema, "multipleOf") or 1
        lower, above = _number(schema, "minimum"), _number(schema, "exclusiveMinimum")
        upper, below = _number(schema, "maximum"), _number(schema, "exclusiveMaximum")
        start = max((bound for bound in (lower, above) if bound is not None), default=None)
        if start is None:
            end = min((bound for bound in (upper, below) if bound is not None), default=None)
            start = 0 if end is None or end > 0 else end - 1 - step * 3
        number = math.ceil(start / step) * step
        if above is not None and number <= above:
            number += step
        for _ in range(self._variant % 7):
            further = number + step
            if (upper is not None and further > upper) or (below is not None and further >= below):
                break
            number = further
        if not whole and ((upper is not None and number > upper) or (below is not None and number >= below)):
            ends = [bound for bound in (upper, below) if bound is not None]
            number = (start + min(ends)) / 2
        return number

    def _string(self, schema: dict[str, object], name: str) -> str:
        day = self._variant % 28 + 1
        least, most = _integer(schema, "minLength", 0), _integer(schema, "maxLength", 10_000)
        pattern, style = schema.get("pattern"), schema.get("format")
        if isinstance(pattern, str):
            for candidate in _PATTERN_CANDIDATES:
                text = candidate.format(day=day)
                if least <= len(text) <= most and _matches(pattern, text):
                    return text
            raise NoValue(f"the sandbox cannot make up a text for the pattern {pattern[:100]!r}")
        if isinstance(style, str) and style in _FORMATS:
            return _FORMATS[style].format(day=day)
        return f"{name.replace('_', ' ')} {self._variant + 1}".ljust(min(least, 10_000), ".")[:most]


def _overlay(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        before = merged.get(key)
        if key == "properties" and isinstance(before, dict) and isinstance(value, dict):
            merged[key] = {**before, **value}
        elif key == "required" and isinstance(before, Sequence) and isinstance(value, Sequence):
            merged[key] = [*before, *(entry for entry in value if entry not in before)]
        else:
            merged[key] = value
    return merged


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        raise NoValue(f"the pattern {pattern[:100]!r} cannot be read") from None


def _integer(schema: Mapping[str, object], key: str, default: int) -> int:
    value = schema.get(key)
    return int(value) if isinstance(value, int | float) else default


def _number(schema: Mapping[str, object], key: str) -> float | None:
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
