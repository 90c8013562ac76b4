"""What is wrong with a file, all of it, each with its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake: the line it is on (0: none), the path of the value it is about, and what is wrong with it."""

    line: int
    path: str
    text: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.path}: {self.text}" if self.path else f"{where}{self.text}"


class FileError(ValueError):
    """A file cannot be used; `problems` says why."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


@dataclass(slots=True)
class Problems:
    """Collects mistakes, so that all are told at once."""

    found: list[Problem] = field(default_factory=list)

    def add(self, line: int, path: str, text: str) -> None:
        """One more mistake."""
        self.found.append(Problem(line, path, text))

    def check(self) -> None:
        """Raise FileError when there is any, in the order of the file."""
        if self.found:
            raise FileError(sorted(set(self.found)))
