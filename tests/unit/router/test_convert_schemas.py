"""JSON Schemas of callers: judged as the metaschema does, and quickly whatever they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker, SchemaError

from libs.core.errors import InvalidArgument
from libs.core.validation import FieldChecks
from services.router.api.schemas import _SCHEMAS_IN, _VALUES, MAX_DEPTH, MAX_SCHEMA, check_schema
from tests.steps import steps

_KEYWORDS = tuple({**_SCHEMAS_IN, **_VALUES})


def problem(schema: object) -> str:
    """What is said about a schema; empty when it is one."""
    text = schema if isinstance(schema, str) else orjson.dumps(schema).decode()
    try:
        with FieldChecks() as check:
            check_schema(check, "schema", text, of_object=False)
    except InvalidArgument as refused:
        (violation,) = refused.field_violations
        return violation.description
    return ""


def _mostly_schemas(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.sampled_from(["a", "b", "string", "object", "#", "a#", "9"])
    values = st.one_of(
        inside,
        st.lists(inside, max_size=3),
        st.dictionaries(names, inside, max_size=2),
        st.lists(names, max_size=3),
        st.dictionaries(names, st.lists(names, max_size=2), max_size=2),
        st.sampled_from([-1, 0, 1, 1.0, 0.5, True, None, "", "array", "null", [], {}, {"a": True}]),
    )
    return st.dictionaries(st.sampled_from(_KEYWORDS), values, max_size=3)


@settings(max_examples=600, deadline=None)
@given(st.recursive(st.sampled_from([True, {}, {"type": "string"}, 1, "string"]), _mostly_schemas, max_leaves=6))
def test_the_metaschema_would_say_the_same(schema: object) -> None:
    if not isinstance(schema, dict):
        return
    try:
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(formats=()))
        right = True
    except SchemaError:
        right = False
    assert (problem(schema) == "") is right


def test_every_keyword_of_the_metaschema_is_known() -> None:
    registry = Draft202012Validator(True).VALIDATORS
    assert registry.keys() - set(_KEYWORDS) <= {"const", "$ref", "$dynamicRef"}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"type": "nope"}, "$.type"),
        ({"properties": {"a": {"anyOf": [{}, {"required": "b"}]}}}, "$.properties['a'].anyOf[1].required"),
        ({"items": []}, "$.items"),
        ({"$defs": {"a": 3}}, "$.$defs['a']"),
    ],
)
def test_the_place_is_named(schema: object, place: str) -> None:
    assert problem(schema) == f"is not a valid JSON Schema at {place}"


@pytest.mark.parametrize("pattern", [r"^\p{Lu}+$", "(?<year>[0-9]{4})", "a{99999999999999999999}", "["])
def test_patterns_are_left_to_the_provider(pattern: str) -> None:
    assert problem({"properties": {"a": {"pattern": pattern}}, "patternProperties": {pattern: {}}}) == ""


_HOSTILE: Mapping[str, str] = {
    "two of a kind": '{"type":["string",' + ",".join(f'{{"a":{i}}}' for i in range(9_000)) + "]}",
    "many names": '{"required":[' + ",".join(f'"{i}"' for i in range(13_000)) + "]}",
    "many schemas": '{"anyOf":[' + ",".join(["{}"] * 33_000) + "]}",
    "many properties": orjson.dumps({"properties": {f"p{i}": {"type": "string"} for i in range(3_000)}}).decode(),
    "a long pattern": orjson.dumps({"pattern": "(?i)" + "[Ā-\ufffe]" * 5_000}).decode(),
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_no_schema_takes_long(name: str) -> None:
    text = _HOSTILE[name]
    assert len(text) <= MAX_SCHEMA
    # A general validator compares every two entries of a list, and compiles patterns: millions of steps.
    assert steps(lambda: problem(text)) < 10 * MAX_SCHEMA


def test_nesting_is_bounded() -> None:
    def nested(levels: int) -> str:
        return '{"not":' * levels + "{}" + "}" * levels

    assert problem(nested(MAX_DEPTH)) == ""
    assert problem(nested(MAX_DEPTH + 1)) == "is nested too deeply"
    # Where nobody looks for schemas, what is deep can still not be written.
    assert problem('{"default":' + "[" * 900 + "]" * 900 + "}") == "is nested too deeply"
