"""JSON Schemas as Anthropic's API takes them; that they are sent as its SDK sends them is tested with the SDK."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.sandbox.dialects.anthropic_rules import check_output_schema
from services.router.providers.formats.anthropic_messages.schemas import input_schema, output_schema

ANYTHING = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]}
_LEAVES: list[Any] = [
    True,
    {},
    {"type": "string", "pattern": "^a", "format": "email"},
    {"type": "string", "format": "color"},
    {"type": ["integer", "null"], "minimum": 1},
    {"enum": ["a", 1, None]},
    {"enum": [["a"], {}]},
    {"const": {"a": 1}},
    {"properties": {"a": {}}},
    {"items": {"type": "string"}, "minItems": 3},
    {"$ref": "#/$defs/a"},
    {"not": {"type": "null"}, "$comment": "no null"},
]
SCHEMAS = st.recursive(
    st.sampled_from(_LEAVES),
    lambda inner: st.one_of(
        st.builds(
            lambda properties: {"type": "object", "properties": properties, "required": list(properties)},
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        ),
        st.builds(lambda items: {"type": "array", "items": items, "uniqueItems": True}, inner),
        st.builds(
            lambda kind, variants: {kind: variants, "title": "T"},
            st.sampled_from(["anyOf", "oneOf", "allOf"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        st.builds(lambda each: {"$defs": {"a": each}, "type": "object", "additionalProperties": each}, inner),
    ),
    max_leaves=8,
)


def closed(schema: Any) -> Any:
    return orjson.loads(orjson.dumps(output_schema(orjson.dumps(schema).decode())))


def taken(schema: Any) -> Any:
    return orjson.loads(orjson.dumps(input_schema(orjson.dumps(schema).decode())))


@given(SCHEMAS)
@settings(max_examples=100, deadline=None)
def test_every_schema_is_one_that_the_api_takes(schema: Any) -> None:
    check_output_schema(closed(schema), "schema")


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, ANYTHING),
        (True, ANYTHING),
        ({"description": "x"}, {**ANYTHING, "description": "x"}),
        (
            {"properties": {"a": {"type": "null"}}},
            {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False},
        ),
        ({"items": {"type": "null"}}, {"type": "array", "items": {"type": "null"}}),
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"$schema": "x", "$id": "y", "type": "null"}, {"type": "null"}),
        (
            {"type": "integer", "minimum": 1, "description": "Days"},
            {"type": "integer", "description": "Days\n\n{minimum: 1}"},
        ),
        ({"const": 1, "type": "integer"}, {"const": 1}),
        ({"oneOf": [{"type": "null"}], "anyOf": None}, {"anyOf": [{"type": "null"}]}),
    ],
)
def test_what_the_sdk_takes_no_offence_at_or_does_not_know(schema: Any, expected: Any) -> None:
    assert closed(schema) == expected


def test_what_the_schema_describes_is_said_in_it() -> None:
    def described(schema: str) -> Any:
        return orjson.loads(orjson.dumps(output_schema(schema, "A trip"))).get("description")

    assert described('{"type":"null"}') == "A trip"
    assert described('{"type":"null","description":"Nothing"}') == "A trip\n\nNothing"
    assert described('{"$ref":"#/$defs/a","$defs":{"a":{"type":"null"}}}') is None


def test_a_schema_too_deep_to_be_read_goes_as_it_is() -> None:
    deep = '{"items":' * 400 + "{}" + "}" * 400
    assert orjson.dumps(output_schema(deep)).decode() == deep
    combined = deep.replace('{"items"', '{"anyOf":[],"items"', 1)
    assert orjson.dumps(input_schema(combined)).decode() == combined


def test_the_schema_of_a_tool_is_sent_as_it_is_but_for_its_top() -> None:
    plain = '{"type": "object", "properties": {"a": {"minimum": 1}}}'
    assert orjson.dumps(input_schema(plain)).decode() == plain
    assert taken({}) == {"type": "object"}
    assert taken({"properties": {"a": {}}}) == {"type": "object", "properties": {"a": {}}}
    variants = [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"properties": {"b": {}}}]
    assert taken({"type": "object", "properties": {"c": {}}, "oneOf": variants, "description": "Either"}) == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {}, "c": {}},
        "description": f"Either\n\n{orjson.dumps({'oneOf': variants}).decode()}",
    }
    assert taken({"allOf": [*variants, True]})["required"] == ["a"]
