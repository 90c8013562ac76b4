"""Results: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import typer

from gatehouse.cli.terminal import console, note, printable
from gatehouse.cli.widths import widths_for
from gatehouse.money import format_nano_usd

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.console import Console
    from rich.table import Table

M = TypeVar("M")
V_contra = TypeVar("V_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Column(Generic[M]):
    """A column of a table: its header and what it shows of each row."""

    header: str
    value: Callable[[M], str]
    right: bool = False


def show_table(rows: Iterable[M], columns: Sequence[Column[M]], *, empty: str, title: str = "") -> None:
    """A table on standard output; `empty` on standard error when there is no row.

    On a terminal that is too narrow for it, a block of `name value` lines for each row.
    """
    shown = list(rows)
    if not shown:
        note(empty)
        return
    out = console()
    if title:
        out.print(title, style="bold")
    cells = [[printable(column.value(row)) for column in columns] for row in shown]
    headers = [column.header for column in columns]
    widths: list[int] | None = None
    if out.is_terminal and (widths := widths_for(list(zip(headers, *cells, strict=True)), out.width)) is None:
        for number, row_cells in enumerate(cells):
            show_lines(
                [(header.lower(), cell) for header, cell in zip(headers, row_cells, strict=True)], apart=number > 0
            )
        return
    table = _table(terminal=out.is_terminal)
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(column.header, justify=justify, overflow="fold", width=widths[index] if widths else None)
    for row_cells in cells:
        table.add_row(*row_cells)
    _print_table(out, table)


def show_messages(messages: Iterable[Message], columns: Sequence[Column[Any]], *, empty: str, as_json: bool) -> None:
    """Resources as a table or as a JSON array."""
    if as_json:
        print_json([as_document(message) for message in messages])
    else:
        show_table(messages, columns, empty=empty)


def show_message(message: Message, lines: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    """One resource as `name value` lines without the empty ones, or as a JSON object."""
    if as_json:
        print_json(as_document(message))
    else:
        show_lines(lines)


def show_lines(lines: Sequence[tuple[str, str]], *, title: str = "", apart: bool = False) -> None:
    """`name value` lines without the empty ones, on standard output; nothing when all are empty.

    `apart`: after an empty line.
    """
    if not any(value for _, value in lines):
        return
    out = console()
    if apart:
        out.print()
    if title:
        out.print(title, style="bold")
    table = _table(terminal=False, header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines:
        if value:
            table.add_row(name, printable(value))
    _print_table(out, table)


def as_document(message: Message) -> dict[str, Any]:
    """The canonical JSON of a message, with the field names of the protos and every field."""
    from google.protobuf.json_format import MessageToDict

    document: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return document


def print_json(document: object) -> None:
    """JSON on standard output, ASCII so that it says the same in every terminal and pipe."""
    typer.echo(json.dumps(document, indent=2))


def local_time(timestamp: Timestamp | None) -> str:
    """A time in this machine's time zone; empty for one that is not set."""
    if timestamp is None or not (timestamp.seconds or timestamp.nanos):
        return ""
    return datetime.fromtimestamp(timestamp.seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def cost(nano: int | None) -> str:
    """An exact cost, or that it is not known."""
    return "unknown" if nano is None else format_nano_usd(nano)


def milliseconds(nanoseconds: int) -> str:
    """A duration for people: `412 ms`, `2.31 s`."""
    ms = nanoseconds / 1e6
    if ms >= 1000:  # noqa: PLR2004 - a second
        return f"{ms / 1000:.2f} s"
    return f"{ms:.1f} ms" if ms < 10 else f"{ms:.0f} ms"  # noqa: PLR2004 - three digits are enough


class ProtoEnum(Protocol[V_contra]):
    """What is used of a generated enum."""

    def Name(self, number: V_contra) -> str:  # noqa: N802 - protobuf's name
        """The name of a value. Raises ValueError for an unknown one."""
        ...

    def keys(self) -> list[str]:
        """The names; the first is `…_UNSPECIFIED`."""
        ...


def enum_word(enum: ProtoEnum[V_contra], value: V_contra) -> str:
    """`KEY_STATE_ACTIVE` -> `active`; the number for a value that this version does not know."""
    try:
        return enum.Name(value).removeprefix(enum.keys()[0].removesuffix("UNSPECIFIED")).lower()
    except ValueError:
        return str(value)


def words(labels: Iterable[tuple[str, str]]) -> str:
    """`a=1, b=2`."""
    return ", ".join(f"{name}={value}" for name, value in sorted(labels))


def short(name: str) -> str:
    """A resource name for a narrow column: `openai`, `openai (platform)`, `openai (user ann)`."""
    owner, _, resource_id = name.rpartition("/")
    owner = owner.rpartition("/")[0]
    if owner == "platform":
        return f"{resource_id} (platform)"
    _, user, user_id = owner.partition("/users/")
    return f"{resource_id} (user {user_id})" if user else resource_id


def _print_table(out: Console, table: Table) -> None:
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as written:
        out.print(table)
    # What goes to a file or another program ends with its last word, not with blanks.
    typer.echo("\n".join(line.rstrip() for line in written.get().splitlines()))


def _table(*, terminal: bool, header: bool = True) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        box=box.SIMPLE_HEAD if terminal else None,
        show_header=header,
        header_style="bold",
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_edge=False,
    )
