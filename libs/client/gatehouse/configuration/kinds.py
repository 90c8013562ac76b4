"""The kinds of values a document holds: how each is read, with what is wrong told by path and line, and written.

A kind's `read` gives what a message's field takes, or `WRONG` after having told why; `write` gives plain data for YAML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.json_format import MessageToDict

from gatehouse.configuration.reading import CLEAR_KEY, WRONG, Kind, Reading, text_in
from gatehouse.configuration.secrets import names_secret
from gatehouse.configuration.yaml_tree import Entries, Items, Node, Scalar, joined
from gatehouse.durations import duration_message, nanoseconds_of, written
from gatehouse.money import micro_usd_of
from gatehouse.references import ID, ID_RULE, provider_name, short_provider

_TRUE, _FALSE = frozenset({"true", "True", "TRUE"}), frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]{0,24}")
_LABEL = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_LABEL_RULE = "1 to 63 characters of a-z, 0-9, '_', '.', '-', starting with a letter"
_MAX_LABELS, _MAX_LABEL_VALUE = 64, 256


@dataclass(frozen=True, slots=True)
class Text:
    """A text of at most `most` characters."""

    most: int

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        text = text_in(node, path, reading)
        if text is not WRONG and len(text) > self.most:
            return reading.wrong(node, path, f"must have at most {self.most:,} characters")
        return text

    def write(self, value: str, _parent: str) -> str:
        """Plain data for YAML."""
        return value


@dataclass(frozen=True, slots=True)
class Id:
    """A resource's id."""

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        text = text_in(node, path, reading)
        if text is not WRONG and text and not ID.fullmatch(text):
            return reading.wrong(node, path, f"must be an id: {ID_RULE}")
        return text

    def write(self, value: str, _parent: str) -> str:
        """Plain data for YAML."""
        return value


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`."""

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        if isinstance(node, Scalar) and node.plain and node.text in _TRUE | _FALSE:
            return node.text in _TRUE
        return reading.wrong(node, path, "must be true or false")

    def write(self, value: bool, _parent: str) -> bool:
        """Plain data for YAML."""
        return value


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from `least` to `most`; `1_000` can be written."""

    least: int
    most: int

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        if isinstance(node, Scalar) and node.plain and _INTEGER.fullmatch(node.text):
            number = int(node.text)
            if self.least <= number <= self.most:
                return number
        return reading.wrong(node, path, f"must be a whole number from {self.least:,} to {self.most:,}")

    def write(self, value: int, _parent: str) -> int:
        """Plain data for YAML."""
        return value


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `least` to `most`."""

    least: float
    most: float

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        try:
            number = float(node.text) if isinstance(node, Scalar) and node.plain else math.nan
        except ValueError:
            number = math.nan
        if self.least <= number <= self.most:
            return number
        return reading.wrong(node, path, f"must be a number from {self.least:g} to {self.most:g}")

    def write(self, value: float, _parent: str) -> float | int:
        """Plain data for YAML."""
        return int(value) if value == int(value) else value


@dataclass(frozen=True, slots=True)
class Usd:
    """Dollars, exact to the micro-dollar: `0.15`. In messages micro-USD."""

    most_micro: int = 1_000_000_000_000

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        try:
            if isinstance(node, Scalar):
                micro = micro_usd_of(Decimal(node.text.removeprefix("$").replace("_", "")))
                if 0 <= micro <= self.most_micro:
                    return micro
        except (InvalidOperation, ValueError):
            pass
        most = self.most_micro // 1_000_000
        return reading.wrong(node, path, f"must be dollars per million tokens, 0 to {most:,}, with at most 6 decimals")

    def write(self, value: int, _parent: str) -> Decimal:
        """Plain data for YAML."""
        return Decimal(value).scaleb(-6).normalize() + 0


@dataclass(frozen=True, slots=True)
class Span:
    """A duration such as `30s`, in nanoseconds from `least` to `most`, in whole microseconds."""

    least: int
    most: int

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        try:
            nanoseconds = nanoseconds_of(node.text) if isinstance(node, Scalar) else -1
        except ValueError as error:
            return reading.wrong(node, path, str(error))
        if self.least <= nanoseconds <= self.most and not nanoseconds % 1000:
            return duration_message(nanoseconds)
        return reading.wrong(node, path, f"must be a duration from {written(self.least)} to {written(self.most)}")

    def write(self, value: Any, _parent: str) -> str:
        """Plain data for YAML."""
        return written(value.ToNanoseconds())


@dataclass(frozen=True, slots=True)
class Word:
    """A value of an enum by its word: `weighted` for ROUTING_STRATEGY_WEIGHTED."""

    enum: EnumDescriptor

    @property
    def words(self) -> Mapping[str, int]:
        """Every word with its number."""
        prefix = self.enum.values[0].name.removesuffix("UNSPECIFIED")
        return {value.name.removeprefix(prefix).lower(): value.number for value in self.enum.values if value.number}

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        # `off` is a word here, whatever YAML once took it for.
        word = node.text.lower() if isinstance(node, Scalar) else ""
        if word in self.words:
            return self.words[word]
        return reading.wrong(node, path, f"must be one of {', '.join(self.words)}")

    def write(self, value: int, _parent: str) -> str | int:
        """Plain data for YAML."""
        return {number: word for word, number in self.words.items()}.get(value, value)


@dataclass(frozen=True, slots=True)
class Labels:
    """Texts by name."""

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        if not isinstance(node, Entries):
            return reading.wrong(node, path, "must be names with texts: {team: ml}")
        labels, wrong = {}, False
        for name, value in node.entries.items():
            place = joined(path, name)
            text = text_in(value, place, reading)
            if names_secret(name):
                text = reading.wrong(value, place, CLEAR_KEY)
            elif not _LABEL.fullmatch(name):
                text = reading.wrong(value, place, f"a label's name has {_LABEL_RULE}")
            elif text is not WRONG and len(text) > _MAX_LABEL_VALUE:
                text = reading.wrong(value, place, f"must have at most {_MAX_LABEL_VALUE} characters")
            labels[name], wrong = text, wrong or text is WRONG
        if len(labels) > _MAX_LABELS:
            return reading.wrong(node, path, f"at most {_MAX_LABELS} labels")
        return WRONG if wrong else labels

    def write(self, value: Mapping[str, str], _parent: str) -> dict[str, str]:
        """Plain data for YAML."""
        return dict(sorted(value.items()))


@dataclass(frozen=True, slots=True)
class Options:
    """Any data: what only a provider's type knows. Only the server judges it."""

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        if not isinstance(node, Entries):
            return reading.wrong(node, path, "must be names with values: {organization: org-1}")
        before = len(reading.problems.found)
        value = self._plain(node, path, reading)
        return WRONG if len(reading.problems.found) > before else value

    def _plain(self, node: Node, path: str, reading: Reading) -> Any:
        match node:
            case Items():
                return [self._plain(item, f"{path}[{index}]", reading) for index, item in enumerate(node.items)]
            case Entries():
                for name, value in node.entries.items():
                    if names_secret(name):
                        reading.wrong(value, joined(path, name), CLEAR_KEY)
                return {name: self._plain(value, joined(path, name), reading) for name, value in node.entries.items()}
            case Scalar():
                text = text_in(node, path, reading)
                return plain_value(node.text) if node.plain and text is not WRONG else text

    def write(self, value: Any, _parent: str) -> dict[str, Any]:
        """Plain data for YAML."""
        document: dict[str, Any] = _in_order(MessageToDict(value))
        return document


@dataclass(frozen=True, slots=True)
class Reference:
    """A provider. In messages its resource name."""

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        text = text_in(node, path, reading)
        if text is WRONG:
            return WRONG
        try:
            return provider_name(text, reading.parent)
        except ValueError as error:
            return reading.wrong(node, path, str(error))

    def write(self, value: str, parent: str) -> str:
        """Plain data for YAML."""
        return short_provider(value, parent)


@dataclass(frozen=True, slots=True)
class Own:
    """A resource of the document's own owner, by its id: `keys`, `routes`. In messages its resource name."""

    collection: str

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        text = text_in(node, path, reading)
        if text is WRONG or not text:
            return text
        start = f"{reading.parent}/{self.collection}/"
        if ID.fullmatch(text.removeprefix(start)):
            return start + text.removeprefix(start)
        what = self.collection.removesuffix("s")
        return reading.wrong(node, path, f"must be the id of a {what} of {reading.parent}: {ID_RULE}")

    def write(self, value: str, parent: str) -> str:
        """Plain data for YAML."""
        return value.removeprefix(f"{parent}/{self.collection}/")


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of at most `most` values, each once where `unique`."""

    kind: Kind
    most: int
    unique: bool = False
    tell_apart: Callable[[Any], Any] | None = None
    what: str = "value"

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The value, or WRONG."""
        if not isinstance(node, Items):
            return reading.wrong(node, path, "must be a list")
        if len(node.items) > self.most:
            return reading.wrong(node, path, f"at most {self.most}")
        values = [self.kind.read(item, f"{path}[{index}]", reading) for index, item in enumerate(node.items)]
        seen: dict[Any, int] = {}
        for index, value in enumerate(values):
            mark = self.tell_apart(value) if self.tell_apart and value is not WRONG else value
            if value is WRONG or not (self.unique or self.tell_apart):
                continue
            if mark in seen:
                reading.wrong(node.items[index], f"{path}[{index}]", f"the same {self.what} as {path}[{seen[mark]}]")
                values[index] = WRONG
            seen.setdefault(mark, index)
        return WRONG if any(value is WRONG for value in values) else values

    def write(self, value: Sequence[Any], parent: str) -> list[Any]:
        """Plain data for YAML."""
        return [self.kind.write(each, parent) for each in value]


def plain_value(text: str) -> Any:
    """What an unquoted `text` means by the rules of YAML 1.2: null, true, false, a number, else the text itself."""
    if Scalar(text=text, plain=True, line=0).is_null:
        return None
    if text in _TRUE | _FALSE:
        return text in _TRUE
    if "_" in text:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _in_order(value: Any) -> Any:
    match value:
        case dict():
            return {name: _in_order(each) for name, each in sorted(value.items())}
        case list():
            return [_in_order(each) for each in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
