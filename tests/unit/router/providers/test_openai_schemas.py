import enum
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel

from services.router.providers.formats.openai_schemas import strict_schema


def strict(schema: Any) -> Any:
    return orjson.loads(strict_schema(orjson.dumps(schema).decode()))


def objects(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    number: int
    maybe: float | None


class Outer(BaseModel):
    inner: Inner
    many: list[Inner]
    colour: Colour
    word: Literal["a", "b"]
    either: int | str
    nothing: Inner | None


class Tree(BaseModel):
    name: str
    branches: list["Tree"]


@pytest.mark.parametrize("model", [Inner, Outer, Tree])
def test_it_is_what_openai_s_own_client_makes_of_a_model(model: type[BaseModel]) -> None:
    assert to_strict_json_schema(model) == strict(model.model_json_schema())


def test_objects_are_closed_and_all_properties_required_at_every_depth() -> None:
    loose = {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
            "one": {"anyOf": [{"$ref": "#/$defs/thing"}, {"type": "string"}]},
        },
        "required": ["list", "one"],
        "$defs": {"thing": {"type": "object", "properties": {"y": {"type": "boolean"}}, "required": ["y"]}},
    }
    assert strict(loose) == {
        **objects(
            list={"type": "array", "items": objects(x={"type": ["integer", "null"]})},
            one={"anyOf": [{"$ref": "#/$defs/thing"}, {"type": "string"}]},
        ),
        "$defs": {"thing": objects(y={"type": "boolean"})},
    }


@pytest.mark.parametrize(
    ("optional", "nullable"),
    [
        ({"type": "string"}, {"type": ["string", "null"]}),
        ({"type": ["string", "integer"]}, {"type": ["string", "integer", "null"]}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"enum": ["a"], "type": "string"}, {"enum": ["a", None], "type": ["string", "null"]}),
        ({"enum": ["a"]}, {"anyOf": [{"enum": ["a"]}, {"type": "null"}]}),
        ({"const": 1}, {"anyOf": [{"const": 1}, {"type": "null"}]}),
        ({"const": "a", "type": "string"}, {"anyOf": [{"const": "a", "type": "string"}, {"type": "null"}]}),
        ({"$ref": "#/$defs/x"}, {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]}),
        ({"anyOf": [{"type": "string"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        # With a default it can always be given.
        ({"type": "integer", "default": 3}, {"type": "integer", "description": "(default: 3)"}),
    ],
)
def test_what_may_be_left_out_may_be_null(optional: Any, nullable: Any) -> None:
    assert strict({"type": "object", "properties": {"p": optional}}) == objects(p=nullable)


def test_keywords_that_openai_does_not_know_become_words() -> None:
    assert strict({"type": "string", "minLength": 2, "description": "A name."}) == {
        "type": "string",
        "description": "A name. (minLength: 2)",
    }
    assert strict({"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 1}) == {
        "type": "array",
        "items": {"type": "string"},
        "minItems": 1,
        "description": "(uniqueItems: true)",
    }
    assert strict({"type": "string", "format": "uri"}) == {"type": "string", "description": '(format: "uri")'}
    assert strict({"type": "string", "format": "email"}) == {"type": "string", "format": "email"}
    assert strict({"$schema": "x", "$id": "y", "$comment": "z", "type": "string", "default": None}) == {
        "type": "string"
    }


def test_one_of_is_any_of_and_parts_of_all_of_are_one() -> None:
    assert strict({"oneOf": [{"type": "string"}, {"type": "null"}]}) == {
        "anyOf": [{"type": "string"}, {"type": "null"}]
    }
    parts = [
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]},
    ]
    assert strict({"allOf": parts}) == objects(a={"type": "string"}, b={"type": "integer"})
    assert strict({"allOf": [{"$ref": "#/$defs/x"}]}) == {"$ref": "#/$defs/x"}


def test_a_root_that_means_itself_is_left_for_openai_to_refuse() -> None:
    circle = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    assert strict(circle)["$defs"] == circle["$defs"]


def test_what_cannot_be_said_is_left_for_openai_to_refuse() -> None:
    clashing = {"allOf": [{"type": "string", "pattern": "a"}, {"type": "string", "pattern": "b"}]}
    assert strict(clashing) == clashing
    a_map = {"type": "object", "additionalProperties": {"type": "integer"}}
    assert strict(a_map) == a_map


def test_a_reference_stands_alone_but_for_the_root_which_is_an_object_itself() -> None:
    described = {"$ref": "#/$defs/x", "description": "Which"}
    assert strict({"type": "object", "properties": {"p": described}, "required": ["p"]}) == objects(
        p={"anyOf": [{"$ref": "#/$defs/x"}], "description": "Which"}
    )
    thing = {"type": "object", "properties": {"self": {"$ref": "#/$defs/x"}}, "required": ["self"]}
    closed = objects(self={"$ref": "#/$defs/x"})
    assert strict({"$ref": "#/$defs/x", "$defs": {"x": thing}}) == {**closed, "$defs": {"x": closed}}
    assert strict({"$ref": "#/$defs/x", "$defs": {"x": {"$ref": "#"}}})["$defs"]


KEYWORDS = [
    *("type", "properties", "required", "items", "anyOf", "oneOf", "allOf", "$ref", "$defs", "enum", "const", "not"),
    *("default", "description", "format", "additionalProperties", "minLength", "if"),
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["object", "string", "null", "#/$defs/a", "#", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYWORDS, "a"]), inner, max_size=5),
    max_leaves=20,
)


@given(JSON)
def test_no_schema_raises_and_cleaning_twice_changes_nothing(schema: Any) -> None:
    once = strict(schema)
    if isinstance(schema, dict) and "description" not in str(once):
        assert strict(once) == once


@pytest.mark.parametrize("depth", [100, 300, 500])
@pytest.mark.parametrize(("begin", "end"), [('{"type":"array","items":', "}"), ('{"anyOf":[', "]}")])
def test_deep_schemas_raise_nothing(depth: int, begin: str, end: str) -> None:
    assert orjson.loads(strict_schema(begin * depth + "true" + end * depth))


@pytest.mark.parametrize("more", [True, False, {"type": "string"}])
def test_an_object_with_named_properties_has_no_others(more: Any) -> None:
    loose = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    assert strict({**loose, "additionalProperties": more}) == objects(a={"type": "string"})


VALUES = st.fixed_dictionaries({"city": st.text(max_size=5)}, optional={"days": st.integers(1, 9)})


@given(VALUES)
def test_what_fits_the_loose_schema_fits_the_strict_one_with_nulls(value: dict[str, Any]) -> None:
    loose = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city"],
    }
    Draft202012Validator(loose).validate(value)
    Draft202012Validator(strict(loose)).validate({"days": None, **value})
