"""Parts of a file whose fields are known only in part: what was used is remembered, the rest can be told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from gatehouse.configuration.problems import Problem, Problems
from gatehouse.configuration.yaml_tree import Entries, Items, Node, Scalar, joined

FROM_ENVIRONMENT = "os.environ/"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True, kw_only=True)
class Findings:
    """What is told about a file: mistakes, which end the import, and remarks about what could not be taken over.

    `environment` answers `os.environ/NAME`; `missing` collects the variables that are not set, with where they are
    asked for.
    """

    environment: Mapping[str, str]
    problems: Problems = field(default_factory=Problems)
    remarks: list[Problem] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def remark(self, line: int, path: str, text: str) -> None:
        """Tell of something that is not taken over as it is."""
        remark = Problem(line, path, text)
        if remark not in self.remarks:
            self.remarks.append(remark)


@dataclass(slots=True)
class Settings:
    """A mapping of which fields are taken one by one."""

    node: Entries
    path: str
    findings: Findings
    used: set[str] = field(default_factory=set)

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.node.line

    def place(self, key: str) -> tuple[int, str]:
        """Line and path of a field."""
        return self.node.lines.get(key, self.node.line), joined(self.path, key)

    def node_of(self, key: str) -> Node | None:
        """A field's node; None when it is not there or says nothing."""
        self.used.add(key)
        node = self.node.entries.get(key)
        return None if isinstance(node, Scalar) and node.is_null else node

    def raw(self, key: str) -> str:
        """A field's text as it is written; empty when it is not there."""
        node = self.node_of(key)
        if node is None:
            return ""
        if not isinstance(node, Scalar):
            self.findings.problems.add(*self.place(key), "must be a single value")
            return ""
        return node.text.strip()

    def text(self, key: str) -> str:
        """A field's text, read from the environment where it says so."""
        text = self.raw(key)
        if not text.startswith(FROM_ENVIRONMENT):
            return text
        variable = variable_of(text)
        value = self.findings.environment.get(variable, "") if variable else ""
        if not value:
            self.findings.missing.setdefault(variable, joined(self.path, key))
        return value

    def number(self, key: str) -> Decimal | None:
        """A number that is not negative; None when it is not there."""
        text = self.text(key)
        if not text:
            return None
        try:
            number = Decimal(text.replace("_", ""))
            if number.is_finite() and number >= 0:
                return number
        except InvalidOperation:
            pass
        self.findings.problems.add(*self.place(key), "must be a number that is not negative")
        return None

    def whole(self, key: str, most: int) -> int | None:
        """A whole number up to `most`; None when it is not there."""
        number = self.number(key)
        if number is None:
            return None
        if number == int(number) and number <= most:
            return int(number)
        self.findings.problems.add(*self.place(key), f"must be a whole number up to {most:,}")
        return None

    def flag(self, key: str) -> bool | None:
        """A flag; None when it is not there."""
        text = self.raw(key).lower()
        return None if not text else text in {"true", "yes", "on", "1"}

    def part(self, key: str) -> Settings | None:
        """A mapping within; None when it is not there."""
        node = self.node_of(key)
        if node is None:
            return None
        if not isinstance(node, Entries):
            self.findings.problems.add(*self.place(key), "must be a mapping")
            return None
        return Settings(node, joined(self.path, key), self.findings)

    def parts(self, key: str) -> Iterator[Settings]:
        """The mappings of a list within."""
        node = self.node_of(key)
        if node is None:
            return
        if not isinstance(node, Items):
            self.findings.problems.add(*self.place(key), "must be a list")
            return
        for index, item in enumerate(node.items):
            path = f"{joined(self.path, key)}[{index}]"
            if isinstance(item, Entries):
                yield Settings(item, path, self.findings)
            else:
                self.findings.problems.add(item.line, path, "must be a mapping")

    def rest(self) -> Iterator[str]:
        """The fields that nobody took."""
        return (key for key in self.node.entries if key not in self.used)


def variable_of(text: str) -> str:
    """`os.environ/NAME` -> `NAME`; empty when it is not written so."""
    name = text.removeprefix(FROM_ENVIRONMENT)
    return name if text.startswith(FROM_ENVIRONMENT) and _VARIABLE.fullmatch(name) else ""
