"""Finds the installed plugins. One that is not as it should be is told of and left out; the others serve."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any

import orjson

from libs.core.provider_types import Capabilities, ProviderType
from libs.core.validation import origin_of
from libs.plugins.provider_plugin import GROUP, ProviderPlugin

_ID = re.compile(r"[a-z][a-z0-9_]{0,62}")
_REFERENCE = re.compile(r"\$(dynamic|recursive)?ref", re.IGNORECASE)
_MOST_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPlugin:
    """A plugin that is as it should be, and where it comes from: `acme-gatehouse 1.2 (acme_ai)`."""

    source: str
    plugin: ProviderPlugin


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPlugin:
    """A plugin that is left out; `problem` says why and what to do, for the operator."""

    source: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPlugins:
    """What was found, each in the order of its source."""

    loaded: tuple[LoadedPlugin, ...] = ()
    refused: tuple[RefusedPlugin, ...] = ()


def installed_plugins(built_in: Collection[str]) -> InstalledPlugins:
    """Load every plugin there is. `built_in`: the types that need none, which a plugin cannot take over.

    Raises nothing; importing a plugin runs its code, so this is for the start of a service.
    """
    loaded: list[LoadedPlugin] = []
    refused: list[RefusedPlugin] = []
    entries, unreadable = _entries()
    refused.extend(unreadable)
    for source, entry in sorted((_source(entry), entry) for entry in entries):
        plugin = _loaded(entry)
        if isinstance(plugin, str):
            refused.append(RefusedPlugin(source=source, problem=plugin))
        elif plugin.type.id in built_in:
            problem = f"its type {plugin.type.id!r} is built into Gatehouse: give it an id of its own, or uninstall it"
            refused.append(RefusedPlugin(source=source, problem=problem))
        else:
            loaded.append(LoadedPlugin(source=source, plugin=plugin))
    counts = Counter(each.plugin.type.id for each in loaded)
    for each in loaded:
        type_id = each.plugin.type.id
        if counts[type_id] > 1:
            others = ", ".join(other.source for other in loaded if other.plugin.type.id == type_id and other != each)
            # Neither is taken: keys would go out in whichever way happened to be found first.
            problem = f"its type {type_id!r} is that of {others} too: uninstall one of them"
            refused.append(RefusedPlugin(source=each.source, problem=problem))
    return InstalledPlugins(
        loaded=tuple(each for each in loaded if counts[each.plugin.type.id] == 1),
        refused=tuple(sorted(refused, key=lambda each: each.source)),
    )


def exception_text(error: BaseException) -> str:
    """`ModuleNotFoundError: No module named 'acme'`: one bounded line."""
    try:
        lines = str(error).splitlines()
    except Exception:  # noqa: BLE001 - an exception of a stranger's: it may have no text
        lines = []
    return f"{type(error).__name__}: {lines[0][:_MOST_TEXT]}" if lines else type(error).__name__


def _entries() -> tuple[list[EntryPoint], list[RefusedPlugin]]:
    """The entry points of all packages, and the packages whose own cannot be read, plugins or not."""
    try:
        return list(entry_points(group=GROUP)), []
    except Exception:  # noqa: BLE001 - the library raises whatever it stumbles over
        found: list[EntryPoint] = []
        refused: list[RefusedPlugin] = []
    for package in distributions():
        try:
            found.extend(package.entry_points.select(group=GROUP))
        except Exception as error:  # noqa: BLE001 - as above
            source = f"{package.metadata['Name']} {package.version}"
            problem = f"its entry points cannot be read ({exception_text(error)}): install it anew, or uninstall it"
            refused.append(RefusedPlugin(source=source, problem=problem))
    return found, refused


def _source(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "an unknown package"
    return f"{package} ({entry.name})"


def _loaded(entry: EntryPoint) -> ProviderPlugin | str:
    """The plugin, or why it is none."""
    try:
        plugin = entry.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a stranger's module does while it is imported, SystemExit too
        text = exception_text(error)
        return f"{entry.value} cannot be imported ({text}): install what it needs, or uninstall it"
    if not isinstance(plugin, ProviderPlugin):
        return f"{entry.value} is a {type(plugin).__name__} and no ProviderPlugin of libs.plugins.provider_plugin"
    try:
        wrong = next(iter(_problems(plugin)), "")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a description may hold anything, also what raises when it is looked at
        wrong = f"its description cannot be read ({exception_text(error)})"
    return f"{wrong}: that is for its author to mend; uninstall it until then" if wrong else plugin


def _problems(plugin: Any) -> Iterable[str]:
    described = plugin.type
    if isinstance(described, ProviderType):
        yield from _wrong_description(described)
    else:
        yield f"its type is a {type(described).__name__} and no ProviderType of libs.core.provider_types"
    if not callable(plugin.dialect):
        yield "its dialect is nothing that can be called"


def _wrong_description(described: Any) -> Iterable[str]:
    """What is wrong with a ProviderType, of which only the class is certain: annotations hold nobody to anything."""
    if not isinstance(described.id, str) or _ID.fullmatch(described.id) is None:
        yield "its type has no id of 1 to 63 characters a-z, 0-9 and '_' that begins with a letter"
    for name in ("display_name", "description", "default_base_url"):
        if not isinstance(getattr(described, name), str):
            yield f"the {name} of its type is no text"
        elif not _is_unicode(getattr(described, name)):
            yield f"the {name} of its type cannot be written in UTF-8"
    if not described.display_name:
        yield "its type has no display_name"
    if described.default_base_url and origin_of(described.default_base_url) is None:
        yield "the default_base_url of its type is no URL of http or https"
    if not isinstance(described.requires_key, bool):
        yield "its type does not say whether it requires_key"
    yield from _wrong_capabilities(described.capabilities)
    yield from _wrong_options(described)


def _wrong_capabilities(capabilities: object) -> Iterable[str]:
    if not isinstance(capabilities, Capabilities):
        yield f"the capabilities of its type are a {type(capabilities).__name__} and no Capabilities"
    elif any(not isinstance(getattr(capabilities, each.name), bool) for each in fields(Capabilities)):
        yield "the capabilities of its type are not all true or false"
    elif capabilities.fixed_sampling:
        yield "its type has fixed_sampling, which only models have"


def _wrong_options(described: Any) -> Iterable[str]:
    for name, schema in described.options.items():
        if not isinstance(name, str) or _ID.fullmatch(name) is None:
            yield "an option of its type has no name of 1 to 63 characters a-z, 0-9 and '_'"
        if not isinstance(schema, dict):
            yield f"the schema of its option {name!r} is no JSON Schema"
        elif not isinstance(schema.get("description"), str):
            yield f"its option {name!r} has no description"
        elif _REFERENCE.search(str(schema)):
            # A reference is resolved when a provider is saved: over the network, or not at all.
            yield f"the schema of its option {name!r} has a $ref"
    try:
        # Callers are shown it.
        orjson.dumps(described.options_schema)
    except orjson.JSONEncodeError as error:
        yield f"the schema of its options is no JSON ({exception_text(error)})"
    # Here and not above: it takes a tenth of a second, and nobody else in a router needs it.
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(described.options_schema)
    except SchemaError as error:
        yield f"the schema of its options is no JSON Schema ({exception_text(error)})"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
