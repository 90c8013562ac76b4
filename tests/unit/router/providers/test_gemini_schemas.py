"""JSON Schemas in the keywords that Gemini takes."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.sandbox.dialects.gemini_rules import check_schema
from services.router.providers.formats.gemini_content.schemas import (
    clean_schema,
    cleaned_answer_schema,
    cleaned_parameters,
)

TEXT = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "cleaned"),
    [
        ({"$schema": "x", "type": "object", "properties": {"a": TEXT}}, {"type": "object", "properties": {"a": TEXT}}),
        ({"const": "a"}, {"enum": ["a"]}),
        ({"const": True}, {"description": "(one of: [true])"}),
        ({"type": "string", "enum": ["a", None]}, {"type": ["string", "null"], "enum": ["a"]}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
        ({"type": "integer", "exclusiveMaximum": 9}, {"type": "integer", "maximum": 8}),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "description": "(exclusiveMinimum: 0)"}),
        (
            {"type": "string", "pattern": "^a", "minLength": 2, "description": "A word."},
            {"type": "string", "description": 'A word. (minLength: 2; pattern: "^a")'},
        ),
        (
            {"definitions": {"A": {"const": 1}}, "properties": {"a": {"$ref": "#/definitions/A", "title": "no"}}},
            {"$defs": {"A": {"enum": [1]}}, "properties": {"a": {"$ref": "#/$defs/A"}}},
        ),
        ({"allOf": [{"$ref": "#/$defs/A"}], "description": "gone"}, {"$ref": "#/$defs/A"}),
        (
            {
                "type": "object",
                "properties": {"b": TEXT},
                "required": ["b"],
                "allOf": [{"$ref": "#/$defs/A"}],
                "$defs": {"A": {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}},
            },
            {
                "type": "object",
                "properties": {"a": TEXT, "b": TEXT},
                "required": ["b", "a"],
                "$defs": {"A": {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}},
            },
        ),
        ({"items": True, "anyOf": []}, {"items": {}}),
        ({"additionalProperties": {"const": 1}}, {"additionalProperties": {"enum": [1]}}),
        ({"properties": {"const": TEXT, "pattern": TEXT}}, {"properties": {"const": TEXT, "pattern": TEXT}}),
    ],
)
def test_what_can_be_said_otherwise_is(schema: Any, cleaned: Any) -> None:
    assert cleaned == clean_schema(schema)
    check_schema(clean_schema(schema), "")


@pytest.mark.parametrize("schema", ["", '{"type":"object"}', '{"type":"object","properties":{}}'])
def test_a_function_without_parameters_has_none(schema: str) -> None:
    assert cleaned_parameters(schema) is None


def test_the_description_of_an_answer_stands_in_its_schema() -> None:
    assert _loaded(cleaned_answer_schema('{"type":"string"}', "A word")) == {**TEXT, "description": "A word"}
    described = '{"type":"string","description":"Mine"}'
    assert _loaded(cleaned_answer_schema(described, "Other")) == {**TEXT, "description": "Mine"}


def test_the_deepest_schemas_are_left_open() -> None:
    text = '{"items":' * 900 + "{}" + "}" * 900
    assert _loaded(cleaned_answer_schema(text, ""))["items"]["items"]


KEYWORDS = [
    "type", "properties", "items", "allOf", "anyOf", "oneOf", "$ref", "$defs", "definitions", "enum", "const",
    "nullable", "exclusiveMinimum", "pattern", "required", "additionalProperties", "prefixItems", "title",
    "description", "not", "default", "minimum", "format", "a",
]  # fmt: skip
_schemas: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.none() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYWORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from(["properties", "allOf", "$defs", "enum", "type", "items", "$ref"]), _schemas))
def test_any_schema_is_cleaned_twice_to_the_same(schema: Any) -> None:
    cleaned = clean_schema(schema)
    orjson.dumps(cleaned)
    assert clean_schema(cleaned) == cleaned


def _loaded(fragment: orjson.Fragment) -> Any:
    return orjson.loads(orjson.dumps(fragment))
