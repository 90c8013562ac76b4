"""Help pages: nothing is cut off however narrow the terminal is, and examples can be copied as they stand."""

from __future__ import annotations

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST = 100
_NAMES = 26
"""Columns of the names. A longer one has a line of its own."""
_TYPE = re.compile(r"<(?:list\[)?([^<>\[\]]*?)(?: range)?\]?>")
"""A type as Typer writes it: `<str>`, `<int range>`, `<list[member|service]>`."""

Rows = list[tuple[str, str]]


class HelpfulCommand(TyperCommand):
    """A command with such a help page. `examples` are its epilog, one a line."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the page is printed, not formatted
        """Print the page."""
        _print_page(self, ctx, {})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; gives those that are left. Raises BadParameter."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            # Typer lets another library check words, which says so in front.
            error.message = error.message.removeprefix("Value error, ")
            raise


class HelpfulGroup(TyperGroup):
    """A command that has commands, with such a help page."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - the page is printed, not formatted
        """Print the page."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        shown = [(name, each.help or "") for name, each in found if each is not None and not each.hidden]
        _print_page(self, ctx, {"Commands": [(name, _flat(text).partition("\n\n")[0]) for name, text in shown]})


def _print_page(command: TyperCommand | TyperGroup, ctx: Any, further: Mapping[str, Rows]) -> None:
    from rich.console import Console

    out = Console(markup=False, highlight=False, emoji=False)
    width = min(shutil.get_terminal_size().columns, _WIDEST) - 1
    out.print(f"\n{command.get_usage(ctx).strip()}\n", style="bold", soft_wrap=True)
    for paragraph in _flat(command.help or "").split("\n\n"):
        out.print(textwrap.fill(paragraph, width, break_on_hyphens=False) + "\n", soft_wrap=True)
    for title, rows in {**_parameters(command, ctx), **further}.items():
        out.print(title, style="bold")
        for names, text in rows:
            _print_row(out, names, text, width)
        out.print()
    if command.epilog:
        out.print("Examples", style="bold")
        for example in command.epilog.splitlines():
            out.print(f"  {example}", style="cyan", soft_wrap=True)


def _parameters(command: TyperCommand | TyperGroup, ctx: Any) -> dict[str, Rows]:
    sections: dict[str, Rows] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None:
            continue
        usual = "Arguments" if isinstance(parameter, TyperArgument) else "Options"
        title = getattr(parameter, "rich_help_panel", None) or usual
        names, text = _TYPE.sub(r"<\1>", record[0]), record[1].replace("\\[", "[").replace("  [", " [")
        sections.setdefault(title, []).append((names, text))
    return {title: rows for title, rows in sections.items() if rows}


def _print_row(out: Console, names: str, text: str, width: int) -> None:
    from rich.text import Text

    row = Text("  ")
    row.append(names, style="cyan")
    lines = _lines(text, width - _NAMES)
    if len(names) > _NAMES - 4:
        lines = ["", *lines]
    else:
        row.append(" " * (_NAMES - 2 - len(names)))
    row.append(f"\n{' ' * _NAMES}".join(lines))
    row.rstrip()
    out.print(row, soft_wrap=True)


def _lines(text: str, width: int) -> list[str]:
    # What is longer than a line, such as a list of words, goes on in the next rather than being cut.
    return textwrap.wrap(text, max(width, 20), break_on_hyphens=False)


def _flat(text: str) -> str:
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ").strip() for paragraph in paragraphs)


def example_lines(examples: Iterable[str]) -> str | None:
    """Examples as the epilog of a command with such a page."""
    return "\n".join(examples) or None
