"""The options of a provider, held against the JSON Schema of its type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from google.protobuf.struct_pb2 import Struct, Value
from jsonschema import Draft202012Validator, ValidationError

from libs.core.errors import FieldViolation
from libs.core.provider_types import ProviderType
from libs.core.resource_names import is_id

# Some options are sent as headers, and `$` in a pattern lets a line end pass.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MOST_SHOWN = 63


def schema_json(provider_type: ProviderType) -> str:
    """The JSON Schema of the options of a type as text."""
    return orjson.dumps(provider_type.options_schema).decode()


def options_in(message: Struct) -> Mapping[str, Any]:
    """The options of a message: JSON values by name."""
    return {name: _json(value) for name, value in message.fields.items()}


def options_message(options: Mapping[str, Any]) -> Struct:
    """The other way round."""
    message = Struct()
    message.update(options)
    return message


def option_problems(provider_type: ProviderType, options: Mapping[str, Any]) -> Iterator[FieldViolation]:
    """What is wrong with `options`; fields are `.{option}`. No text holds a value."""
    known = provider_type.options
    for name in sorted(set(options) - set(known)):
        yield FieldViolation(
            field=_field(name), description=f"is not an option of {provider_type.id}, which has {', '.join(known)}"
        )
    validator = Draft202012Validator(provider_type.options_schema)
    for error in validator.iter_errors({name: options[name] for name in known if name in options}):
        yield FieldViolation(field=_field(str(error.absolute_path[0])), description=_description(error))
    for name, value in options.items():
        if name in known and isinstance(value, str) and _CONTROL.search(value):
            yield FieldViolation(field=_field(name), description="must not contain control characters")


def _json(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return options_in(value.struct_value)
        case "list_value":
            return [_json(each) for each in value.list_value.values]
        case None | "null_value":
            return None
        case kind:
            return getattr(value, kind)


def _field(name: str) -> str:
    return f".{name}" if is_id(name) else f"[{name[:_MOST_SHOWN]!r}]"


def _description(error: ValidationError) -> str:
    """What would be right; the library's own text quotes what was given."""
    rule = error.validator_value
    match error.validator:
        case "type":
            return f"must be {'an' if rule in {'integer', 'object', 'array'} else 'a'} {rule}"
        case "enum" if isinstance(rule, list):
            return f"must be one of {', '.join(map(str, rule))}"
        case "pattern":
            return f"must match {rule}"
        case _:
            return f"does not keep to {error.validator}: {orjson.dumps(rule).decode()}"
