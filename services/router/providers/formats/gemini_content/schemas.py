"""JSON Schemas as far as Gemini takes them.

Of JSON Schema Gemini takes the keywords of `_TAKEN` and no others. What can be said with them is; other constraints are
said to the model in words, in the description, and annotations are left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

Json = dict[str, Any]

# As the reference of `responseJsonSchema` lists them.
_TAKEN = frozenset(
    {
        "$id", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems",
        "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required",
        "propertyOrdering",
    }
)  # fmt: skip
_IN_WORDS = (
    "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "minProperties",
    "maxProperties", "uniqueItems", "contains", "patternProperties", "propertyNames", "dependentRequired",
    "dependentSchemas", "if", "then", "else", "not", "default", "examples",
)  # fmt: skip
_BESIDE_REFERENCES = ("$ref", "$id", "$anchor")
_ANY_TYPE = ["string", "number", "integer", "boolean", "object", "array", "null"]
_MOST_WORDS = 1000
# Deeper ones are left open: no model needs them, and they must not exhaust the stack.
_DEEPEST = 100
_REMEMBERED = 512
_LONGEST_REMEMBERED = 20_000


def cleaned_parameters(schema_json: str) -> orjson.Fragment | None:
    """The parameters of a function; None where there are none, which Gemini wants left out."""
    return _parameters(schema_json) if len(schema_json) <= _LONGEST_REMEMBERED else _parameters.__wrapped__(schema_json)


def cleaned_answer_schema(schema_json: str, description: str) -> orjson.Fragment:
    """The schema of an answer; `description` says what it describes where the schema itself does not."""
    if len(schema_json) + len(description) <= _LONGEST_REMEMBERED:
        return _answer_schema(schema_json, description)
    return _answer_schema.__wrapped__(schema_json, description)


@lru_cache(maxsize=_REMEMBERED)
def _parameters(schema_json: str) -> orjson.Fragment | None:
    schema = clean_schema(orjson.loads(schema_json)) if schema_json else {}
    says_something = schema.get("properties") or "$ref" in schema or schema.get("anyOf") or schema.get("oneOf")
    if not says_something and not isinstance(schema.get("additionalProperties"), dict):
        return None
    return orjson.Fragment(orjson.dumps(schema))


@lru_cache(maxsize=_REMEMBERED)
def _answer_schema(schema_json: str, description: str) -> orjson.Fragment:
    schema = clean_schema(orjson.loads(schema_json))
    if description and "$ref" not in schema:
        schema.setdefault("description", description)
    return orjson.Fragment(orjson.dumps(schema))


def clean_schema(schema: object) -> Json:
    """A schema in Gemini's keywords; one that allows everything for what is no object."""
    return _Cleaner(schema).clean(schema, 0)


class _Cleaner:
    def __init__(self, root: object) -> None:
        self._definitions: Json = {}
        for name in ("definitions", "$defs"):
            found = root.get(name) if isinstance(root, dict) else None
            self._definitions |= found if isinstance(found, dict) else {}

    def clean(self, schema: object, depth: int) -> Json:
        """`depth` is how many schemas it stands in."""
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return {}
        schema = self._rewritten(schema, depth)
        definitions = self._schemas(schema.get("$defs"), depth)
        if isinstance(schema.get("$ref"), str):
            cleaned: Json = {key: schema[key] for key in _BESIDE_REFERENCES if isinstance(schema.get(key), str)}
        else:
            cleaned = {}
            for key, value in schema.items():
                taken = self._taken(key, value, depth) if key in _TAKEN else None
                if taken is not None:
                    cleaned[key] = taken
            _say_in_words(schema, cleaned)
        if definitions:
            cleaned["$defs"] = definitions
        return cleaned

    def _taken(self, key: str, value: object, depth: int) -> object:
        match key:
            case "title" | "description" | "format" | "$id" | "$anchor":
                return value if isinstance(value, str) else None
            case "items":
                return self.clean(value, depth + 1)
            case "additionalProperties":
                return value if isinstance(value, bool) else self.clean(value, depth + 1)
            case "properties":
                return self._schemas(value, depth)
            case "prefixItems" | "anyOf" | "oneOf":
                return [self.clean(each, depth + 1) for each in _list(value)] or None
            case _:
                return value

    def _schemas(self, value: object, depth: int) -> Json | None:
        if not isinstance(value, dict):
            return None
        return {name: self.clean(each, depth + 1) for name, each in value.items()}

    def _rewritten(self, schema: Json, depth: int) -> Json:
        """With what has another name, or another way to be said, in Gemini's keywords."""
        schema = dict(schema)
        self._merge_all(schema, _list(schema.pop("allOf", None)), depth)
        if isinstance(schema.get("$ref"), str):
            schema["$ref"] = schema["$ref"].replace("#/definitions/", "#/$defs/", 1)
        definitions = schema.pop("definitions", None)
        if isinstance(definitions, dict) and "$defs" not in schema:
            schema["$defs"] = definitions
        if "const" in schema:
            schema["enum"] = [schema.pop("const")]
        if schema.pop("nullable", None) is True:
            schema["type"] = _with_null(schema.get("type"))
        _narrow_choices(schema)
        if schema.get("type") == "integer":
            # Among whole numbers the bound itself can be moved.
            for name, inclusive, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
                if type(schema.get(name)) is int and inclusive not in schema:
                    schema[inclusive] = schema.pop(name) + step
        return schema

    def _merge_all(self, schema: Json, parts: list[object], depth: int) -> None:
        """The schemas of `allOf` into the schema that has them, which wins where both speak."""
        only_one = len(parts) == 1 and not schema.keys() & {"properties", "type", "anyOf", "oneOf"}
        for part in parts:
            if not isinstance(part, dict) or depth > _DEEPEST:
                continue
            reference = part.get("$ref")
            if isinstance(reference, str) and not only_one:
                # Beside other schemas a reference cannot stand: what it refers to can.
                found = self._definitions.get(reference.rpartition("/")[2])
                part = {**found, **part} if isinstance(found, dict) else dict(part)  # noqa: PLW2901 - the same part
                del part["$ref"]
            part = dict(part)  # noqa: PLW2901
            self._merge_all(part, _list(part.pop("allOf", None)), depth + 1)
            _merge(schema, part)


def _merge(schema: Json, part: Json) -> None:
    for key, value in part.items():
        mine = schema.get(key)
        if isinstance(mine, dict) and isinstance(value, dict):
            schema[key] = {**value, **mine}
        elif key == "required" and isinstance(mine, list) and isinstance(value, list):
            schema[key] = [*mine, *(each for each in value if each not in mine)]
        else:
            schema.setdefault(key, value)


def _narrow_choices(schema: Json) -> None:
    """Only texts and numbers can be chosen from; null is said by the type, and other values in words."""
    choices = schema.pop("enum", None)
    if not isinstance(choices, list):
        return
    taken = [each for each in choices if isinstance(each, str | int | float) and not isinstance(each, bool)]
    others = [each for each in choices if isinstance(each, bool | dict | list)]
    if taken:
        schema["enum"] = taken
        if None in choices and "type" in schema:
            schema["type"] = _with_null(schema["type"])
    if others:
        schema["one of"] = others


def _with_null(kind: object) -> object:
    kinds = [kind] if isinstance(kind, str) else _list(kind)
    return [*kinds, *(() if "null" in kinds else ("null",))] if kinds else _ANY_TYPE


def _say_in_words(schema: Json, cleaned: Json) -> None:
    said = [f"{key}: {orjson.dumps(schema[key]).decode()}" for key in (*_IN_WORDS, "one of") if key in schema]
    if said:
        described = cleaned.get("description")
        text = f"({'; '.join(said)})"[:_MOST_WORDS]
        cleaned["description"] = f"{described} {text}" if described else text


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
