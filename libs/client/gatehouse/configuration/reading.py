"""Reading a value of a document: where mistakes go, and what every kind of value shares.

What was written is never repeated in a mistake: it could be a key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from gatehouse.configuration.problems import Problems
from gatehouse.configuration.secrets import looks_like_key, names_secret
from gatehouse.configuration.yaml_tree import Node, Scalar, joined

WRONG: Final = object()
"""What `read` gives for a value that it told to be wrong."""

CLEAR_KEY = (
    "looks like a key in clear, which no file may hold: store it with `gatehouse keys create ID` and name it here with "
    "`key: ID`. If it was a real one, replace it at the provider"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What reading needs besides the value: where mistakes go, and whose document it is (`tenants/acme`).

    `lines` notes where sections and resources stand, by path.
    """

    problems: Problems
    parent: str
    lines: dict[str, int] = field(default_factory=dict)

    def wrong(self, node: Node, path: str, text: str) -> Any:
        """Tell a mistake; gives WRONG."""
        self.problems.add(node.line, path, text)
        return WRONG


class Kind(Protocol):
    """A kind of value."""

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value for a message's field, or WRONG."""
        ...

    def write(self, value: Any, parent: str, /) -> Any:
        """Plain data for YAML of a document of `parent`."""
        ...


def text_in(node: Node, path: str, reading: Reading) -> Any:
    """A text as it is written, or WRONG."""
    if not isinstance(node, Scalar):
        return reading.wrong(node, path, "must be a text")
    if looks_like_key(node.text):
        return reading.wrong(node, path, CLEAR_KEY)
    return "" if node.is_null else node.text


def unknown_key(node: Node, path: str, key: str, known: Iterable[str], reading: Reading) -> None:
    """Tell of a key that a mapping does not take, and which it could have been."""
    import difflib

    if names_secret(key):
        reading.wrong(node, joined(path, key), CLEAR_KEY)
        return
    close = difflib.get_close_matches(key, list(known), n=1)
    meant = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
    reading.wrong(node, joined(path, key), f"is not known here{meant}")
