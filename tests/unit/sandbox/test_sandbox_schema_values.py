from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from libs.sandbox.schema_values import NoValue, value_for

SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "string", "minLength": 5, "maxLength": 5},
    {"type": "string", "pattern": "^[A-Z]{3}$"},
    {"type": "string", "format": "date-time"},
    {"type": ["null", "integer"], "minimum": 7, "maximum": 7},
    {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5},
    {"type": "integer", "maximum": -4},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.25},
    {"enum": ["a", {"b": 1}]},
    {"const": [1]},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}], "items": False},
    {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer", "minimum": 2}}}]},
    {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "days": {"type": "array", "items": {"$ref": "#/$defs/day"}},
        },
        "required": ["city", "unit", "days"],
        "additionalProperties": False,
        "$defs": {"day": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}},
    },
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["name", "next"],
        "additionalProperties": False,
    },
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
@pytest.mark.parametrize("variant", [0, 1, 30])
def test_the_value_is_valid_and_the_same_every_time(schema: dict[str, Any], variant: int) -> None:
    text = orjson.dumps(schema)
    value = value_for(text, variant)
    Draft202012Validator(schema).validate(orjson.loads(value))
    value_for.cache_clear()
    assert value == value_for(text, variant)


def test_variants_differ_so_that_parallel_calls_can_be_told_apart() -> None:
    schema = b'{"type":"object","properties":{"city":{"type":"string"}}}'
    assert value_for(schema, 0) != value_for(schema, 1)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"type": "string", "pattern": "^(?=zzz)qqq$"},
        {"type": "string", "pattern": "("},
        {"$ref": "#/$defs/missing"},
        {"$ref": "http://127.0.0.1:9/other.json"},
        {"oneOf": [{"type": "string"}, {"$ref": "http://127.0.0.1:9/other.json"}]},
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"not": {}},
        {"anyOf": [{"$ref": "#/$defs/loop"}, {"type": "null"}], "$defs": {"loop": {"$ref": "#/$defs/loop"}}},
    ],
    ids=str,
)
def test_what_cannot_be_made_is_refused_rather_than_answered_wrongly(schema: object) -> None:
    with pytest.raises(NoValue):
        value_for(orjson.dumps(schema), 0)


def test_a_reference_to_elsewhere_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[object] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda request, *_, **__: fetched.append(request))
    with pytest.raises(NoValue):
        value_for(b'{"oneOf":[{"type":"string"},{"$ref":"http://127.0.0.1:9/once.json"}]}', 0)
    assert fetched == []
