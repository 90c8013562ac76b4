"""Documents as YAML: in the order given, short lists in one line, prices exact, comments at the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import yaml

from gatehouse.configuration.kinds import plain_value

_SHORT = 90


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key and knows exact numbers."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT002 - PyYAML's own
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's own
        """No aliases: what is said twice is written twice."""
        return True


def _decimal(dumper: yaml.SafeDumper, number: Decimal) -> yaml.ScalarNode:
    text = f"{number:f}"
    return dumper.represent_scalar("tag:yaml.org,2002:float" if "." in text else "tag:yaml.org,2002:int", text)


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    short = not any(isinstance(item, dict | list) for item in items) and len(str(items)) <= _SHORT
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=short)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML quotes what YAML 1.1 takes for something else; here the rules of YAML 1.2 are read.
    style = None if plain_value(text) == text else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(Decimal, _decimal)
_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def yaml_text(document: Mapping[str, Any], comments: Sequence[str] = ()) -> str:
    """`document` as YAML text below `comments`, one a line; an empty one is an empty line."""
    head = "".join(f"# {comment}\n" if comment else "\n" for comment in comments)
    body: str = yaml.dump(
        dict(document), Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=110
    )
    return head + body
