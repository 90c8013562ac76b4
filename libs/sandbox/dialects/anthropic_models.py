"""What the sandbox's models take, by their names: `sandbox-claude-…` what Claude does, any other takes everything.

Written from the tables in Anthropic's pages, apart from what the gateway knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CLAUDE = re.compile(r"claude-(opus|sonnet|haiku|fable|mythos)-(\d)(?:-(\d)(?!\d))?")
_ALWAYS_THINKING = frozenset({("opus", 5.5), ("fable", 5.0), ("fable", 5.1), ("mythos", 5.0), ("mythos", 5.1)})
_NO_FORCED_TOOLS = frozenset({("opus", 5.5), ("sonnet", 5.5), ("fable", 5.1), ("mythos", 5.1)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """`thinking`: the types it takes. `system_turns`: whether messages may have the role `system`.

    `free_when_adaptive`: whether adaptive thinking goes together with forced tools and sampling. `prefill`: whether the
    conversation may end with the assistant. `both_samplers`: whether it takes top_p beside a temperature.
    """

    thinking: frozenset[str] = frozenset({"enabled", "adaptive", "disabled"})
    sampling: bool = True
    output_schemas: bool = True
    forced_tools: bool = True
    system_turns: bool = True
    free_when_adaptive: bool = True
    prefill: bool = True
    both_samplers: bool = True


def model_of(name: str) -> Model:
    """The model of this name."""
    found = _CLAUDE.search(name)
    if found is None:
        return Model()
    line, version = found[1], float(f"{found[2]}.{found[3] or 0}")
    thinking = {"disabled"} if (line, version) not in _ALWAYS_THINKING else set()
    if line == "sonnet" and version == 5.5:  # noqa: PLR2004 - a version
        thinking = {"between_tools"}
    if version >= 4.6:  # noqa: PLR2004 - a version
        thinking.add("adaptive")
    if version <= 4.6:  # noqa: PLR2004 - a version
        thinking.add("enabled")
    return Model(
        thinking=frozenset(thinking),
        sampling=version <= 4.6,  # noqa: PLR2004 - a version
        output_schemas=version >= 4.5,  # noqa: PLR2004 - a version
        forced_tools=(line, version) not in _NO_FORCED_TOOLS,
        system_turns=(line == "opus" and version >= 4.8)  # noqa: PLR2004 - a version
        or line in {"fable", "mythos"}
        or version == 5.5,  # noqa: PLR2004 - a version
        free_when_adaptive=version >= 4.8,  # noqa: PLR2004 - a version
        prefill=version < 4.6,  # noqa: PLR2004 - a version
        both_samplers=version < 4.1,  # noqa: PLR2004 - a version
    )
