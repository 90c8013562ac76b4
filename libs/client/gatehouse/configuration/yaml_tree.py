"""YAML as a tree that knows its lines.

Only the parser of PyYAML is used, not its constructors: no value becomes an object, a text stays the text that was
written (`no` is not false until somebody asks for a flag), and nothing can grow beyond what is allowed here. Aliases
and merge keys (`<<`) work, and count as often as they are used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from gatehouse.configuration.problems import Problems
from gatehouse.configuration.secrets import looks_like_key

MAX_BYTES = 8 * 1024 * 1024
MAX_NODES = 200_000
MAX_DEPTH = 40

# The parser of libyaml is ten times as fast; PyYAML is built without it on some systems.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_SHOWN = 60
_CORE_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A single value as it is written. `plain`: without quotes, so that `null`, `true` and numbers are meant."""

    text: str
    plain: bool
    line: int

    @property
    def is_null(self) -> bool:
        """Whether nothing is said: empty, `~` or `null`."""
        return self.plain and self.text in {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list. `size` and `depth` count all that is in it."""

    items: tuple[Node, ...]
    line: int
    size: int
    depth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """A mapping, in its order; keys are unique. `lines` says where each key stands."""

    entries: dict[str, Node]
    lines: dict[str, int]
    line: int
    size: int
    depth: int


Node = Scalar | Items | Entries


def joined(path: str, key: str) -> str:
    """`providers.openai`; a key of other characters is quoted, one that could be a secret is not told."""
    shown = key if _PLAIN_KEY.fullmatch(key) else f"'{key[:_SHOWN]}'"
    if looks_like_key(key):
        shown = "…"
    return f"{path}.{shown}" if path else shown


def parse_yaml(content: bytes, problems: Problems) -> Node | None:
    """The one document of `content`; None, with a problem each, when it cannot be read."""
    if len(content) > MAX_BYTES:
        problems.add(0, "", f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")
        return None
    try:
        return _Builder(problems).build(yaml.parse(content.decode(), Loader=_LOADER))
    except UnicodeDecodeError:
        problems.add(0, "", "the file is not UTF-8 text")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        tab = "; lines are indented with spaces, never with tabs" if b"\n\t" in content else ""
        problems.add(0 if mark is None else mark.line + 1, "", f"not YAML: {error.problem or error.context}{tab}")
    except yaml.YAMLError:
        problems.add(0, "", "not YAML: it holds characters that a text file does not have")
    except _Unusable as error:
        problems.add(error.line, error.path, str(error))
    return None


class _Unusable(Exception):
    def __init__(self, line: int, path: str, text: str) -> None:
        super().__init__(text)
        self.line, self.path = line, path


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being read."""

    line: int
    anchor: str | None
    is_mapping: bool
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    merged: list[tuple[Node, int]] = field(default_factory=list)
    key: str | None = None
    key_line: int = 0


class _Builder:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._root: Node | None = None
        self._documents = 0

    def build(self, events: Any) -> Node:
        for event in events:
            self._take(event)
        return self._root or Scalar(text="", plain=True, line=1)

    def _take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _Unusable(line, "", "a second document begins here; a file holds one")
            case yaml.AliasEvent():
                if event.anchor not in self._anchors:
                    raise _Unusable(line, self._path(), f"*{event.anchor} is not defined before")
                self._put(self._anchors[event.anchor], line)
            case yaml.ScalarEvent():
                self._refuse_tag(event.tag, line)
                # An explicit !!str makes a text of what would be a number.
                plain = not event.style and event.tag is None
                self._finish(Scalar(text=event.value, plain=plain, line=line), event.anchor, line)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._refuse_tag(event.tag, line)
                if len(self._stack) >= MAX_DEPTH:
                    raise _Unusable(line, "", f"nested deeper than {MAX_DEPTH} levels")
                self._stack.append(_Frame(self._begin(line), event.anchor, isinstance(event, yaml.MappingStartEvent)))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                frame = self._stack.pop()
                node: Node = self._mapping(frame) if frame.is_mapping else _list(frame)
                self._finish(node, frame.anchor, frame.line)
            case _:
                pass

    def _begin(self, line: int) -> int:
        """Where people look for a list or mapping that begins on `line`: at its key, which may stand further up."""
        outer = self._stack[-1] if self._stack else None
        return line if outer is None or outer.key is None else outer.key_line

    def _finish(self, node: Node, anchor: str | None, line: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        self._put(node, line)

    def _put(self, node: Node, line: int) -> None:
        _check_bounds(node, line)
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        if not frame.is_mapping:
            frame.items.append(node)
        elif frame.key is None:
            frame.key, frame.key_line = self._key(node, line), line
        else:
            self._enter(frame, node)

    def _key(self, node: Node, line: int) -> str:
        if isinstance(node, Scalar):
            return node.text
        raise _Unusable(line, self._path(), "a list or mapping cannot be a key")

    def _enter(self, frame: _Frame, node: Node) -> None:
        key = frame.key or ""
        if key == "<<":
            frame.merged.append((node, frame.key_line))
        elif key in frame.entries:
            text = f"stands here twice, first on line {frame.lines[key]}"
            self._problems.add(frame.key_line, self._path(), text)
        else:
            frame.entries[key], frame.lines[key] = node, frame.key_line
        frame.key = None

    def _mapping(self, frame: _Frame) -> Entries:
        for node, line in frame.merged:
            for source in node.items if isinstance(node, Items) else (node,):
                if not isinstance(source, Entries):
                    raise _Unusable(line, self._path(), "<< takes a mapping or a list of mappings")
                for key, value in source.entries.items():
                    # What stands in the mapping itself, or was merged before, wins.
                    if key not in frame.entries:
                        frame.entries[key], frame.lines[key] = value, source.lines[key]
        size, depth = _measured(frame.entries.values())
        return Entries(entries=frame.entries, lines=frame.lines, line=frame.line, size=size, depth=depth)

    def _refuse_tag(self, tag: str | None, line: int) -> None:
        if tag not in {None, "!"} and tag not in _CORE_TAGS:
            raise _Unusable(line, self._path(), "tags such as !include are not understood")

    def _path(self) -> str:
        path = ""
        for frame in self._stack:
            if not frame.is_mapping:
                path += f"[{len(frame.items)}]"
            elif frame.key is not None:
                path = joined(path, frame.key)
        return path


def _list(frame: _Frame) -> Items:
    size, depth = _measured(frame.items)
    return Items(items=tuple(frame.items), line=frame.line, size=size, depth=depth)


def _measured(nodes: Any) -> tuple[int, int]:
    size, depth = 1, 0
    for node in nodes:
        size += 1 if isinstance(node, Scalar) else node.size
        depth = max(depth, 0 if isinstance(node, Scalar) else node.depth)
    return size, depth + 1


def _check_bounds(node: Node, line: int) -> None:
    if isinstance(node, Scalar):
        return
    if node.size > MAX_NODES:
        raise _Unusable(line, "", f"more than {MAX_NODES:,} values, aliases counted as often as they are used")
    if node.depth > MAX_DEPTH:
        raise _Unusable(line, "", f"nested deeper than {MAX_DEPTH} levels, aliases counted in")
