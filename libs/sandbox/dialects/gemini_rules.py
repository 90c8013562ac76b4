"""What Gemini's request bodies are checked by: fields, numbers, schemas, and the words it refuses them in."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from libs.sandbox.dialect import Refusal

Json = dict[str, Any]

ANY_JSON = b'{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}'
"""What an answer is made of that may be any JSON."""

_KEYWORDS = frozenset(
    {"$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems"}
    | {"minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties"}
    | {"required", "propertyOrdering"}
)


# What in a request is the caller's own JSON, and no message of the API.
_FREE = frozenset({"args", "response", "parametersJsonSchema", "responseJsonSchema"})


def camel_cased(value: Any) -> Any:
    """With all names of fields as in JSON: those of the .proto files are taken too, and the SDKs mix them."""
    if isinstance(value, list):
        return [camel_cased(each) for each in value]
    if not isinstance(value, dict):
        return value
    read: Json = {}
    for name, each in value.items():
        camel = _camel(name)
        if camel == "data" and isinstance(each, str):
            # Either alphabet of base64 is taken.
            read[camel] = each.replace("-", "+").replace("_", "/")
        else:
            read[camel] = each if camel in _FREE else camel_cased(each)
    return read


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail) if head else name


def wrong(message: str) -> Refusal:
    """400 `INVALID_ARGUMENT`."""
    return Refusal(400, message)


def checked(value: object, where: str, known: Collection[str]) -> Json:
    """An object with known fields only. Raises Refusal."""
    if not isinstance(value, dict):
        raise wrong(f"Invalid value at '{where}': an object is expected.")
    unknown = sorted(value.keys() - set(known))
    if unknown:
        raise wrong(
            f"Invalid JSON payload received. Unknown name \"{unknown[0][:80]}\" at '{where}': Cannot find field."
        )
    return value


def listed(fields: Json, name: str, where: str) -> list[Any]:
    """A list; an empty one where the field is missing. Raises Refusal."""
    value = fields.get(name, [])
    if not isinstance(value, list):
        raise wrong(f"Invalid value at '{where}.{name}': a list is expected.")
    return value


def text(fields: Json, name: str, where: str, *, required: bool = True) -> str:
    """A text, which must not be empty where it is required. Raises Refusal."""
    value = fields.get(name, "")
    if not isinstance(value, str) or (required and not value):
        raise wrong(f"Invalid value at '{where}.{name}': a text is expected.")
    return value


def number(fields: Json, name: str, least: float, most: float, *, whole: bool) -> float | None:
    """A number within its bounds; None where the field is missing. Raises Refusal."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise wrong(f"Invalid value at 'generation_config.{name}' ({'TYPE_INT32' if whole else 'TYPE_FLOAT'}).")
    if not least <= value <= most:
        raise wrong(f"Unable to submit request because {name} must be from {least} to {most}, but it is {value}.")
    return value


def check_schema(schema: object, where: str) -> None:
    """A JSON Schema in the keywords that Gemini knows. Raises Refusal."""
    fields = checked(schema, where, _KEYWORDS)
    if "$ref" in fields and fields.keys() - {"$ref", "$defs", "$id", "$anchor"}:
        raise wrong(f"Schema at '{where}': beside $ref no other fields may be set.")
    for choice in fields.get("enum", ()):
        if isinstance(choice, bool) or not isinstance(choice, str | int | float):
            raise wrong(f"Schema at '{where}': enum takes texts and numbers.")
    for name in ("properties", "$defs"):
        for key, each in checked(fields.get(name, {}), where, fields.get(name, {})).items():
            check_schema(each, f"{where}.{name}[{key[:40]}]")
    for name in ("anyOf", "oneOf", "prefixItems"):
        for index, each in enumerate(listed(fields, name, where)):
            check_schema(each, f"{where}.{name}[{index}]")
    for name in ("items", "additionalProperties"):
        if name in fields and not isinstance(fields[name], bool):
            check_schema(fields[name], f"{where}.{name}")
