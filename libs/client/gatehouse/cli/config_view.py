"""How differences of configurations are shown: what is created, changed and deleted, value by value."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gatehouse.cli.terminal import console, printable

if TYPE_CHECKING:
    from gatehouse.configuration.difference import Change, FieldChange, Plan

_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}
_LONGEST = 100


def show_plan(plan: Plan) -> None:
    """The changes on standard output, coloured on a terminal, and a summary."""
    from rich.text import Text

    out = console()
    for change in plan.changes:
        sign, colour = _SIGNS[change.action.value]
        out.print(Text(printable(f"{sign} {change.path}{_aside(change)}"), style=f"bold {colour}"), soft_wrap=True)
        for field in change.fields if change.action.value != "delete" else ():
            out.print(Text(printable(f"    {field_text(field)}")), soft_wrap=True)


def summary(plan: Plan) -> str:
    """`2 to create, 1 to update, 0 to delete`."""
    from gatehouse.configuration.difference import Action

    return ", ".join(f"{plan.count(action)} to {action.value}" for action in Action)


def plan_document(plan: Plan) -> list[dict[str, Any]]:
    """The changes for JSON."""
    return [
        {
            "action": change.action.value,
            "path": change.path,
            "name": change.name,
            "fields": [
                {"path": field.path, "before": plain(field.before), "after": plain(field.after)}
                for field in change.fields
            ],
        }
        for change in plan.changes
    ]


def field_text(field: FieldChange) -> str:
    """`strategy: priority -> weighted`, `weight: 3` for a new one, `weight: 3 -> nothing`."""
    if field.before is None:
        return f"{field.path}: {_value(field.after)}"
    return f"{field.path}: {_value(field.before)} -> {_value(field.after)}"


def plain(value: Any) -> Any:
    """A value of a document for JSON: exact numbers as numbers."""
    match value:
        case Decimal():
            return int(value) if value == int(value) else float(value)
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case list():
            return [plain(each) for each in value]
        case _:
            return value


def _aside(change: Change) -> str:
    from gatehouse.configuration.shapes import PROVIDER

    return " (with its models)" if change.action.value == "delete" and change.shape is PROVIDER else ""


def _value(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case str():
            plain_text = value and value == value.strip() and "\n" not in value
            return _cut(value if plain_text else json.dumps(value, ensure_ascii=False))
        case dict():
            inner = [f"{name}: {_value(each)}" for name, each in value.items() if not _is_tree(each)]
            return _cut("{" + ", ".join(inner + ["…"] * (len(inner) < len(value))) + "}")
        case list():
            return _cut("[" + ", ".join(_value(each) for each in value) + "]")
        case _:
            return json.dumps(plain(value))


def _is_tree(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
