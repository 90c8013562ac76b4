"""The terminal: what is one, what may be written to it, and what is asked on it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

# C0 and C1 controls but tab and newline, and the marks that turn the direction of writing: text from a model or a
# server must not move the cursor, rename the window or disguise itself.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_UNLIMITED = 100_000


def printable(text: str) -> str:
    """`text` without what would steer a terminal."""
    return _CONTROLS.sub("", text)


def console(*, stderr: bool = False) -> Console:
    """A console without markup; colours only on a terminal and not with NO_COLOR; in a pipe lines are not cut."""
    from rich.console import Console

    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = _UNLIMITED
    return made


def note(text: str, style: str = "dim") -> None:
    """A remark for people, on standard error: standard output holds only results."""
    console(stderr=True).print(printable(text), style=style, soft_wrap=True)


def stdin_is_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def require_consent(*, yes: bool) -> None:
    """Refuse what `confirm` could not ask: for commands that do something before they ask. Raises BadParameter."""
    if not yes and not stdin_is_terminal():
        raise typer.BadParameter("nobody is there to confirm: add --yes", param_hint="--yes")


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the person agrees, or said so with --yes. Ends the command otherwise."""
    require_consent(yes=yes)
    if not yes:
        typer.confirm(printable(question), abort=True, err=True)
