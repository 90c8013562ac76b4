"""Output schemas are cleaned the way Anthropic's SDK cleans them, wherever it can."""

from typing import Any

import orjson
from anthropic import transform_schema
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.providers.formats.anthropic_messages.schemas import output_schema

_WORDS = st.fixed_dictionaries(
    {},
    optional={
        "description": st.sampled_from(["", "About it"]),
        "title": st.just("T"),
        "default": st.sampled_from([None, 1, "x", [1, True]]),
        "minimum": st.integers(-3, 3),
        "pattern": st.just("^a"),
        "additionalProperties": st.booleans() | st.just({"type": "string"}),
        "format": st.sampled_from(["date", "color", ""]),
        "minItems": st.integers(0, 3),
        "examples": st.just([{"a": None}]),
    },
)
_LEAVES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "null"},
        {"type": "string", "enum": ["a", "b"]},
        {"const": 3},
        {"enum": [None, 1, "x"]},
        {"$ref": "#/$defs/a"},
    ]
)
SCHEMAS = st.recursive(
    st.builds(lambda words, leaf: {**words, **leaf}, _WORDS, _LEAVES),
    lambda inner: st.builds(
        lambda words, made: {**words, **made},
        _WORDS,
        st.one_of(
            st.builds(
                lambda properties: {"type": "object", "properties": properties, "required": list(properties)[:1]},
                st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            ),
            st.builds(lambda items: {"type": "array", "items": items}, inner),
            st.builds(
                lambda kind, variants: {kind: variants},
                st.sampled_from(["anyOf", "oneOf", "allOf"]),
                st.lists(inner, min_size=1, max_size=3),
            ),
            st.builds(lambda each, other: {"$defs": {"a": each}, **other}, inner, inner),
        ),
    ),
    max_leaves=8,
)


@given(SCHEMAS)
@settings(max_examples=150, deadline=None)
def test_a_schema_is_cleaned_as_the_sdk_cleans_it(schema: dict[str, Any]) -> None:
    ours = orjson.loads(orjson.dumps(output_schema(orjson.dumps(schema).decode())))
    assert ours == transform_schema(schema)
