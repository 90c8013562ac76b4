"""Text that arrives in pieces, shown at once, wrapped between words and indented."""

from __future__ import annotations

import re

from gatehouse.cli.terminal import printable
from rich.console import Console

_WORDS = re.compile(r"\n|[^\S\n]+|\S+")
_WIDEST = 100


class StreamedText:
    """Writes pieces to `console` as they come; the last word waits until it is complete or `end` is called."""

    def __init__(self, console: Console, *, indent: int = 2) -> None:
        self._console = console
        self._margin = " " * indent
        self._width = max(min(console.width, _WIDEST) - indent, 20)
        self._column = 0
        self._gap = ""
        self._word = ""
        self.is_empty = True
        """Whether nothing was shown yet."""

    def write(self, piece: str) -> None:
        """Show what `piece` completes."""
        # What a model writes must not steer the terminal.
        parts = _WORDS.findall(self._word + printable(piece))
        self._word = parts.pop() if parts and not parts[-1].isspace() else ""
        for part in parts:
            self._place(part)
        self._console.file.flush()

    def end(self) -> None:
        """Show the rest and end the line."""
        if self._word:
            self._place(self._word)
            self._word = ""
        if self._column:
            self._newline()
        self._console.file.flush()

    def _place(self, part: str) -> None:
        if part == "\n":
            self._newline()
        elif part.isspace():
            self._gap = part
        else:
            if self._column and self._column + len(self._gap) + len(part) > self._width:
                self._newline()
            self._out((self._gap if self._column else self._margin) + part)
            self._column += len(self._gap) * bool(self._column) + len(part)
            self._gap = ""

    def _newline(self) -> None:
        self._out("\n")
        self._column = 0
        self._gap = ""

    def _out(self, text: str) -> None:
        self.is_empty = False
        self._console.out(text, end="", highlight=False)
