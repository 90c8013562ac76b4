"""The fields of a message as the operations take them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from gatehouse.configuration.kinds import Word
from gatehouse.configuration.shapes import ByTask, Shape


def values_of(message: Message, shape: Shape, names: Iterable[str]) -> dict[str, Any]:
    """The values of the fields `names`; None for what is unset, so that it is unset there as well."""
    kinds = {each.in_message: each.kind for each in shape.fields}
    return {name: _value(message, name, kinds[name]) for name in names}


def all_fields(message: Message, shape: Shape) -> dict[str, Any]:
    """The values of all fields that can be changed."""
    return values_of(message, shape, (each.in_message for each in shape.fields))


def given_fields(message: Message, shape: Shape) -> dict[str, Any]:
    """The values of the fields that are set."""
    names = {descriptor.name for descriptor, _ in message.ListFields()}
    return values_of(message, shape, (each.in_message for each in shape.fields if each.in_message in names))


def _value(message: Message, name: str, kind: Any) -> Any:
    descriptor = message.DESCRIPTOR.fields_by_name[name]
    value = getattr(message, name)
    if isinstance(kind, Word):
        # Operations take the word; a value that nobody set has none.
        return kind.write(value, "") if value else next(iter(kind.words))
    if isinstance(kind, ByTask):
        return {each.task: each.choice for each in value}
    if descriptor.has_presence and not message.HasField(name):
        return None
    return value
