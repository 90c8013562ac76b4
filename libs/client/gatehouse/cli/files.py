"""Files that commands read and write, and what is wrong with them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from gatehouse.cli.terminal import console, printable

_STDIN = Path("-")
MOST_BYTES = 8 * 1024 * 1024
"""As much of a file is read, and one byte more."""


def read_file(file: Path, hint: str) -> bytes:
    """The content of `file`; of standard input for `-`. Raises BadParameter."""
    try:
        with contextlib.ExitStack() as stack:
            source = sys.stdin.buffer if file == _STDIN else stack.enter_context(file.open("rb"))
            # One byte more than what is read as YAML, so that a larger file is refused there and not cut.
            return source.read(MOST_BYTES + 1)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint=hint) from None


@contextlib.contextmanager
def told_by_line(file: Path) -> Iterator[None]:
    """Tell all that is wrong with `file` as `FILE:LINE: PATH: …`, and end the command with 1."""
    from gatehouse.configuration.problems import FileError

    try:
        yield
    except FileError as error:
        from rich.text import Text

        err = console(stderr=True)
        count = len(error.problems)
        text = Text()
        text.append("error: ", style="bold red")
        text.append(printable(f"{_shown(file)} has {count} mistake{'' if count == 1 else 's'}; nothing was changed"))
        err.print(text, soft_wrap=True)
        for problem in error.problems:
            line = f":{problem.line}" if problem.line else ""
            path = f"{problem.path}: " if problem.path else ""
            err.print(Text(printable(f"{_shown(file)}{line}: {path}{problem.text}")), soft_wrap=True)
        raise typer.Exit(1) from None


@contextlib.contextmanager
def new_file(file: Path, *, replace: bool) -> Iterator[Path]:
    """A file to write to that becomes `file` when all went well: it is whole or not there. Raises BadParameter."""
    part = file.with_name(f"{file.name}.part")
    try:
        if file.exists() and not replace:
            raise typer.BadParameter(f"{file} exists: choose another name, or add --force", param_hint="--output")
        yield part
        part.replace(file)
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be written: {error.strerror}", param_hint="--output") from None
    finally:
        part.unlink(missing_ok=True)


def _shown(file: Path) -> str:
    return "standard input" if file == _STDIN else str(file)
