"""The dialects that plugins bring: looked at once, then guarded for as long as the router runs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from libs.core.provider_types import ProviderType
from libs.plugins.loading import (
    InstalledPlugins,
    LoadedPlugin,
    RefusedPlugin,
    exception_text,
    installed_plugins,
)
from services.router.domain.features import CAPABILITY_NAMES, names_of
from services.router.providers.base import NO_OPTIONS, Dialect
from services.router.providers.guarded.dialect import GuardedDialect
from services.router.providers.guarded.guard import Guard, Report

_METHODS = tuple(
    name for name, member in vars(Dialect).items() if not name.startswith("_") and inspect.isfunction(member)
)
_CAPABILITIES = (1 << len(CAPABILITY_NAMES)) - 1


def with_plugins(built_in: Mapping[str, Dialect], report: Report) -> tuple[Mapping[str, Dialect], InstalledPlugins]:
    """`built_in` and the dialects of the plugins, by type, and what was found.

    What goes wrong in a plugin later is told to `report`, and fails that one attempt only. Raises nothing.
    """
    found = installed_plugins(built_in)
    dialects = dict(built_in)
    loaded: list[LoadedPlugin] = []
    refused = list(found.refused)
    for each in found.loaded:
        dialect = _dialect(each)
        if isinstance(dialect, str):
            refused.append(RefusedPlugin(source=each.source, problem=dialect))
        else:
            loaded.append(each)
            dialects[each.plugin.type.id] = GuardedDialect(dialect, each.plugin.type, Guard(each.source, report))
    return MappingProxyType(dialects), InstalledPlugins(loaded=tuple(loaded), refused=tuple(refused))


def _dialect(loaded: LoadedPlugin) -> Dialect | str:
    """The dialect of a plugin, or why it is none."""
    try:
        made = loaded.plugin.dialect()
        problem = _problem(made, loaded.plugin.type)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a stranger's code does, SystemExit too
        return f"its dialect cannot be made ({exception_text(error)}): install what it needs, or uninstall it"
    return f"{problem}: that is for its author to mend; uninstall it until then" if problem else made  # type: ignore[return-value]


def _problem(made: object, described: ProviderType) -> str:
    """What is wrong with a dialect, as far as can be told without a call; empty for nothing."""
    missing = [name for name in _METHODS if not callable(getattr(made, name, None))]
    missing += [name for name in ("id", "requires_key", "embedder") if not hasattr(made, name)]
    if missing:
        return f"its dialect is a {type(made).__name__} without {', '.join(missing)}"
    dialect: Any = made
    if dialect.id != described.id or dialect.requires_key is not described.requires_key:
        return "the id or requires_key of its dialect are not those of its type"
    features = dialect.features(NO_OPTIONS, "")
    if not isinstance(features, int):
        return f"the features of its dialect are a {type(features).__name__} and no int"
    if hidden := features & _CAPABILITIES & ~_mask(described):
        return f"its dialect has features that are no capabilities of its type: {', '.join(names_of(hidden))}"
    return ""


def _mask(described: ProviderType) -> int:
    return sum(1 << bit for bit, name in enumerate(CAPABILITY_NAMES) if getattr(described.capabilities, name))
