"""A whole document: the configuration of one owner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from google.protobuf.message import Message

from gatehouse.configuration.kinds import Id
from gatehouse.configuration.problems import Problems
from gatehouse.configuration.reading import WRONG, Reading, unknown_key
from gatehouse.configuration.shapes import MODEL, POLICY, PREFERENCES, PROFILE, PROVIDER, ROUTE, Shape
from gatehouse.configuration.yaml_tree import Entries, Items, Node, Scalar, joined, parse_yaml
from gatehouse.providerconfig.v1.model_pb2 import Model
from gatehouse.providerconfig.v1.preference_pb2 import Preferences, Profile
from gatehouse.providerconfig.v1.provider_pb2 import Provider
from gatehouse.providerconfig.v1.route_pb2 import Route, RoutingPolicy

VERSION = 1

M = TypeVar("M", bound=Message)
Place = tuple[str, ...]
"""Where a resource stands in a document: `("providers", "openai", "models", "gpt-4o")`."""
OwnerWord = Literal["tenant", "user", "platform"]

# What an owner of each kind can have.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "tenant": ("providers", "routes", "policy"),
    "user": ("providers", "preferences", "profiles"),
    "platform": ("providers",),
}
_HEAD = ("version", "owner")


@dataclass(slots=True, kw_only=True)
class Configuration:
    """What one owner (`tenants/acme`) has configured, or shall have.

    A section that is None is not spoken of: it stays as it is. `models`: by provider, likewise. Messages carry their
    resource names; those read from a Gatehouse their etags as well. `lines`: where a document says what, by path.
    """

    parent: str
    providers: dict[str, Provider] | None = None
    models: dict[str, dict[str, Model]] = field(default_factory=dict)
    routes: dict[str, Route] | None = None
    policy: RoutingPolicy | None = None
    preferences: Preferences | None = None
    profiles: dict[str, Profile] | None = None
    lines: dict[str, int] = field(default_factory=dict)

    def parts(self) -> Iterator[tuple[Place, Shape, Message]]:
        """Every resource with its place, in a stable order."""
        for provider_id, provider in sorted((self.providers or {}).items()):
            yield ("providers", provider_id), PROVIDER, provider
            for model_id, model in sorted(self.models.get(provider_id, {}).items()):
                yield ("providers", provider_id, "models", model_id), MODEL, model
        for route_id, route in sorted((self.routes or {}).items()):
            yield ("routes", route_id), ROUTE, route
        if self.policy is not None:
            yield ("policy",), POLICY, self.policy
        for profile_id, profile in sorted((self.profiles or {}).items()):
            yield ("profiles", profile_id), PROFILE, profile
        if self.preferences is not None:
            yield ("preferences",), PREFERENCES, self.preferences


def owner_word(parent: str) -> OwnerWord:
    """`tenant`, `user` or `platform`."""
    if parent == "platform":
        return "platform"
    return "user" if "/users/" in parent else "tenant"


def owner_in(content: bytes) -> str:
    """What `owner` says in a document that may be wrong otherwise; empty when it says nothing."""
    root = parse_yaml(content, Problems())
    owner = root.entries.get("owner") if isinstance(root, Entries) else None
    return owner.text if isinstance(owner, Scalar) and owner.text in SECTIONS else ""


def read_document(content: bytes, parent: str) -> Configuration:
    """The configuration of `parent` that a file describes. Raises FileError with all that is wrong with it."""
    problems = Problems()
    root = parse_yaml(content, problems)
    reading = Reading(problems=problems, parent=parent)
    configuration = Configuration(parent=parent, lines=reading.lines)
    if isinstance(root, Entries):
        _read(root, configuration, reading)
    elif root is not None:
        problems.add(root.line, "", f"the file must be a mapping of {', '.join((*_HEAD, *SECTIONS['tenant']))}")
    problems.check()
    return configuration


def read_route(content: bytes, task: str, parent: str) -> Route:
    """A file with one route, written as it is below `routes` in a document. Raises FileError."""
    problems = Problems()
    root = parse_yaml(content, problems)
    reading = Reading(problems=problems, parent=parent)
    found: Any = WRONG if root is None else ROUTE.read(root, "", reading)
    problems.check()
    route: Route = found
    route.name = f"{parent}/routes/{task}"
    return route


def as_plain(configuration: Configuration) -> dict[str, Any]:
    """The document as plain data, in a stable order and without anything that only the server sets."""
    parent = configuration.parent
    document: dict[str, Any] = {"version": VERSION, "owner": owner_word(parent)}
    for section in SECTIONS[owner_word(parent)]:
        content = getattr(configuration, section)
        match section:
            case _ if content is None:
                continue
            case "providers":
                document[section] = {name: _provider(configuration, name) for name in sorted(content)}
            case "routes":
                document[section] = {name: ROUTE.write(route, parent) for name, route in sorted(content.items())}
            case "profiles":
                document[section] = {name: PROFILE.write(each, parent) for name, each in sorted(content.items())}
            case "policy":
                document[section] = {"platform_fallback": "never", **POLICY.write(content, parent)}
            case _:
                document[section] = PREFERENCES.write(content, parent)
    return document


def _provider(configuration: Configuration, name: str) -> dict[str, Any]:
    provider = PROVIDER.write((configuration.providers or {})[name], configuration.parent)
    models = configuration.models.get(name)
    if models is not None:
        provider["models"] = [
            {"id": model_id, **MODEL.write(model, configuration.parent)} for model_id, model in sorted(models.items())
        ]
    return provider


def _read(root: Entries, configuration: Configuration, reading: Reading) -> None:
    word = owner_word(reading.parent)
    known = (*_HEAD, *SECTIONS[word])
    for key, node in root.entries.items():
        match key:
            case "version":
                if not (isinstance(node, Scalar) and node.text == str(VERSION)):
                    reading.wrong(node, key, f"must be {VERSION}: this version of gatehouse reads no other")
            case "owner":
                if not (isinstance(node, Scalar) and node.text == word):
                    owners = ", ".join(SECTIONS)
                    reading.wrong(node, key, f"must be one of {owners}, and that which --owner says: {word}")
            case _ if key in known:
                reading.lines[key] = root.lines[key]
                _section(key, node, configuration, reading)
            case "model_list":
                reading.wrong(node, key, "is of LiteLLM's config.yaml: add --from litellm")
            case _ if any(key in sections for sections in SECTIONS.values()):
                owners = " or a ".join(owner for owner, sections in SECTIONS.items() if key in sections)
                reading.wrong(node, key, f"a {word} has none; they belong to a {owners}: see --owner")
            case _:
                unknown_key(node, "", key, known, reading)


def _section(key: str, node: Node, configuration: Configuration, reading: Reading) -> None:
    match key:
        case "providers":
            configuration.providers = {}
            for name, entry, path in _named(node, key, reading):
                provider, models = _read_provider(entry, path, f"{reading.parent}/providers/{name}", reading)
                if provider is not None:
                    configuration.providers[name] = provider
                if models is not None:
                    configuration.models[name] = models
            _check_defaults(configuration.providers, reading)
        case "routes":
            configuration.routes = _resources(Route, ROUTE, node, key, reading)
        case "profiles":
            configuration.profiles = _resources(Profile, PROFILE, node, key, reading)
        case "policy":
            policy = POLICY.read(node, key, reading)
            if policy is not WRONG:
                policy.name = f"{reading.parent}/policy"
                configuration.policy = policy
        case _:
            preferences = PREFERENCES.read(node, key, reading)
            if preferences is not WRONG:
                preferences.name = f"{reading.parent}/preferences"
                configuration.preferences = preferences


def _resources(kind: type[M], shape: Shape, node: Node, key: str, reading: Reading) -> dict[str, M]:
    found: dict[str, M] = {}
    for name, entry, path in _named(node, key, reading):
        message = shape.read(entry, path, reading)
        if isinstance(message, kind):
            message.name = f"{reading.parent}/{key}/{name}"  # type: ignore[attr-defined]  # every resource has one
            found[name] = message
    return found


def _named(node: Node, key: str, reading: Reading) -> Iterator[tuple[str, Node, str]]:
    """The entries of a section by id, with their paths; tells what is no id."""
    if isinstance(node, Scalar) and node.is_null:
        return
    if not isinstance(node, Entries):
        reading.wrong(node, key, "must be a mapping of ids")
        return
    for name, entry in node.entries.items():
        path = joined(key, name)
        reading.lines[path] = node.lines[name]
        id_node = Scalar(text=name, plain=False, line=node.lines[name])
        if Id().read(id_node, path, reading) is not WRONG:
            yield name, entry, path


def _read_provider(
    node: Node, path: str, name: str, reading: Reading
) -> tuple[Provider | None, dict[str, Model] | None]:
    if not isinstance(node, Entries):
        reading.wrong(node, path, f"must be a mapping of {', '.join(PROVIDER.by_key)}, models")
        return None, None
    models = node.entries.get("models")
    provider = PROVIDER.read(_without(node, "models"), path, reading)
    if isinstance(provider, Provider):
        provider.name = name
    return (
        provider if isinstance(provider, Provider) else None,
        None if models is None else _models(name, models, f"{path}.models", reading),
    )


def _without(node: Entries, key: str) -> Entries:
    return replace(node, entries={name: value for name, value in node.entries.items() if name != key})


def _models(provider: str, node: Node, path: str, reading: Reading) -> dict[str, Model]:
    if isinstance(node, Scalar) and node.is_null:
        return {}
    if not isinstance(node, Items):
        reading.wrong(node, path, "must be a list of models: [{id: gpt-4o-mini}]")
        return {}
    found: dict[str, Model] = {}
    first: dict[str, int] = {}
    for index, item in enumerate(node.items):
        place = f"{path}[{index}]"
        if not isinstance(item, Entries):
            reading.wrong(item, place, "must be a mapping with an id: {id: gpt-4o-mini}")
            continue
        model_id = _model_id(item, place, reading)
        model = MODEL.read(_without(item, "id"), place, reading)
        if model_id in first:
            reading.wrong(item.entries["id"], f"{place}.id", f"the same id as {path}[{first[model_id]}]")
        elif model_id and isinstance(model, Model):
            model.name = f"{provider}/models/{model_id}"
            found[model_id] = model
        if model_id:
            first.setdefault(model_id, index)
    return found


def _model_id(item: Entries, place: str, reading: Reading) -> str:
    node = item.entries.get("id")
    if node is None or (isinstance(node, Scalar) and not node.text):
        reading.wrong(item, f"{place}.id", "is missing")
        return ""
    read = Id().read(node, f"{place}.id", reading)
    return read if isinstance(read, str) else ""


def _check_defaults(providers: Mapping[str, Provider], reading: Reading) -> None:
    """One default of an owner, and one for each task: the server would take it from the other without a word."""
    holders: dict[str, str] = {}
    for name, provider in providers.items():
        path = joined("providers", name)
        claims = [("is_default", "the default")] if provider.is_default else []
        claims += [(f"task {task}", f"the default for {task}") for task in provider.default_for_tasks]
        for mark, what in claims:
            if mark in holders:
                key = "is_default" if mark == "is_default" else "default_for_tasks"
                text = f"{holders[mark]} and {path} both are {what}; an owner has one"
                reading.problems.add(reading.lines.get(path, 0), f"{path}.{key}", text)
            holders.setdefault(mark, path)
