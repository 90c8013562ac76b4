"""The reasons that code raises errors with, found in its syntax."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from libs.core.errors import ERROR_CLASSES

ROOT = Path(__file__).parents[3]
_CLASSES = {cls.__name__ for cls in ERROR_CLASSES.values()}


def reasons_in(folder: str) -> dict[str, str]:
    """Every reason under `folder`, and one place where it is used.

    Counted are the values of enums called `Reason`, and text given as the first argument to an error class, or to a
    function that passes it on as one.
    """
    found: dict[str, str] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        for line, reason in (*_in_calls(tree), *_in_enums(tree)):
            found.setdefault(reason, f"{path.relative_to(ROOT)}:{line}")
    return found


def _in_enums(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == "Reason":
            for line in node.body:
                if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
                    yield line.lineno, str(line.value.value)


def _in_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and (_callee(node) in _CLASSES or _callee(node) in passing_on()):
            # `A if x else B` has two.
            for part in ast.walk(node.args[0]):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield node.lineno, part.value


@cache
def passing_on() -> frozenset[str]:
    """Functions whose first parameter becomes an error's reason."""
    names = set()
    for path in (*(ROOT / "libs").rglob("*.py"), *(ROOT / "services").rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef) or not function.args.args:
                continue
            first = function.args.args[0].arg
            names |= {
                function.name
                for call in ast.walk(function)
                if isinstance(call, ast.Call)
                and _callee(call) in _CLASSES
                and call.args
                and isinstance(call.args[0], ast.Name)
                and call.args[0].id == first
            }
    return frozenset(names)


def _callee(call: ast.Call) -> str:
    if isinstance(call.func, ast.Name):
        return call.func.id
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""
