"""Makes providers, models, routes and keys of a LiteLLM file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from gatehouse.configuration.document import Configuration, owner_word
from gatehouse.configuration.litellm.deployments import Deployment, KeySource, read_deployments
from gatehouse.configuration.litellm.names import free, slug
from gatehouse.configuration.litellm.places import has_option
from gatehouse.configuration.litellm.routes import Targets, build_routes
from gatehouse.configuration.litellm.routing import Routing, read_routing
from gatehouse.configuration.litellm.settings import Findings, Settings
from gatehouse.configuration.problems import Problem
from gatehouse.configuration.yaml_tree import Entries, parse_yaml
from gatehouse.durations import duration_message
from gatehouse.providerconfig.v1.model_pb2 import Model
from gatehouse.providerconfig.v1.provider_pb2 import Provider, ProviderLimits, ProviderTimeouts, ProviderType
from gatehouse.providerconfig.v1.route_pb2 import Route, RouteTarget

_DAY_S = 86_400
_MOST_RPM, _MOST_TPM = 10_000_000, 10_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedKey:
    """A key that a provider needs: its resource name, what it is for, and where it comes from."""

    name: str
    provider_type: str
    origin: str
    source: KeySource


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What a file becomes: a configuration, the keys it needs, and what could not be taken over as it was."""

    configuration: Configuration
    keys: tuple[WantedKey, ...]
    remarks: tuple[Problem, ...]


@dataclass(slots=True, kw_only=True)
class _Group:
    """Deployments that share a type, a place and a key: they become one provider."""

    provider_id: str
    key_id: str
    deployments: list[Deployment] = field(default_factory=list)
    models: dict[str, Model] = field(default_factory=dict)


def translate(
    content: bytes,
    parent: str,
    *,
    types: Mapping[str, ProviderType],
    environment: Mapping[str, str],
    allow_inline_keys: bool = False,
) -> Translation:
    """What `content`, the bytes of a `config.yaml`, becomes for `parent` (`tenants/acme`); only tenants have routes.

    `types` are the provider types the Gatehouse speaks; `environment` answers `os.environ/NAME`. Raises FileError.
    """
    findings = Findings(environment=environment)
    node = parse_yaml(content, findings.problems)
    findings.problems.check()
    if not isinstance(node, Entries) or "model_list" not in node.entries:
        findings.problems.add(1, "model_list", "is missing: this is no config.yaml of LiteLLM's proxy")
        findings.problems.check()
        raise AssertionError
    root = Settings(node, "", findings)
    deployments = list(read_deployments(root, types, allow_inline_keys=allow_inline_keys))
    routing = read_routing(root)
    for variable, path in findings.missing.items():
        findings.problems.add(0, path, f"the environment variable {variable or 'it names'} is not set")
    findings.problems.check()
    return _Translator(parent, routing, findings, types).translate(deployments)


class _Translator:
    def __init__(self, parent: str, routing: Routing, findings: Findings, types: Mapping[str, ProviderType]) -> None:
        self._parent, self._routing, self._findings, self._types = parent, routing, findings, types
        self._groups: dict[tuple[Any, ...], _Group] = {}
        self._keys: dict[tuple[KeySource, str, str], WantedKey] = {}
        self._targets: Targets = {}

    def translate(self, deployments: Sequence[Deployment]) -> Translation:
        for deployment in deployments:
            self._place(deployment)
        groups = {group.provider_id: group for group in self._groups.values()}
        routes: dict[str, Route] | None = build_routes(self._parent, self._targets, self._routing, self._findings)
        if owner_word(self._parent) != "tenant":
            if routes:
                text = f"only tenants have routes: those of {', '.join(sorted(routes))} are not taken over"
                self._findings.remark(0, "", text)
            routes = None
        return Translation(
            configuration=Configuration(
                parent=self._parent,
                providers={
                    provider_id: self._provider(f"{self._parent}/providers/{provider_id}", group)
                    for provider_id, group in groups.items()
                },
                models={provider_id: group.models for provider_id, group in groups.items()},
                routes=routes,
                lines={f"providers.{provider_id}": group.deployments[0].line for provider_id, group in groups.items()},
            ),
            keys=tuple(self._keys.values()),
            remarks=tuple(sorted(self._findings.remarks)),
        )

    def _place(self, deployment: Deployment) -> None:
        place = deployment.place
        mark = (place.type, place.base_url, deployment.key, deployment.organization, *sorted(place.options.items()))
        group = self._groups.get(mark)
        if group is None:
            taken = {each.provider_id for each in self._groups.values()}
            provider_id = free(slug(place.vendor), taken)
            group = _Group(provider_id=provider_id, key_id=self._key_for(deployment, provider_id))
            self._groups[mark] = group
        group.deployments.append(deployment)
        provider = f"{self._parent}/providers/{group.provider_id}"
        model_id = self._model_id(deployment, group)
        model = Model()
        model.CopyFrom(deployment.model)
        model.name = f"{provider}/models/{model_id}"
        targets = self._targets.setdefault(deployment.group, [])
        if any(each.provider == provider and each.model == model_id for _, each in targets):
            self._remark(deployment, "is the same deployment as one before it")
            return
        group.models.setdefault(model_id, model)
        targets.append((deployment, RouteTarget(provider=provider, model=model_id)))

    def _key_for(self, deployment: Deployment, provider_id: str) -> str:
        source, place = deployment.key, deployment.place
        if source is None:
            return ""
        parts = urlsplit(place.base_url)
        origin = f"{parts.scheme}://{parts.netloc}"
        mark = (source, place.type, origin)
        if mark not in self._keys:
            wanted = slug(source.variable) if source.variable else provider_id
            key_id = free(wanted, {each.name.rpartition("/")[2] for each in self._keys.values()})
            self._keys[mark] = WantedKey(
                name=f"{self._parent}/keys/{key_id}", provider_type=place.type, origin=origin, source=source
            )
        return self._keys[mark].name

    def _model_id(self, deployment: Deployment, group: _Group) -> str:
        """The group's name, so that calls can go on naming it; another one where the provider has that already."""
        wire = deployment.model.provider_model_id
        wanted = slug(deployment.group)
        for candidate in (wanted, slug(wire)):
            have = group.models.get(candidate)
            if have is None or have.provider_model_id == wire:
                if candidate != deployment.group:
                    self._remark(deployment, f"calls name it {candidate} from now on, not {deployment.group}")
                return candidate
        return free(wanted, group.models)

    def _provider(self, name: str, group: _Group) -> Provider:
        first = group.deployments[0]
        fields: dict[str, Any] = {
            "name": name,
            "type": first.place.type,
            "base_url": first.place.base_url,
            "key": group.key_id,
            "max_retries": self._shared(group, "max_retries", "max_retries", self._routing.max_retries),
            "default_temperature": self._shared(group, "temperature", "temperature"),
            "default_max_output_tokens": self._shared(group, "max_output_tokens", "max_tokens"),
        }
        options = dict(first.place.options)
        if first.organization:
            if has_option(self._types[first.place.type], "organization"):
                options["organization"] = first.organization
            else:
                self._remark(first, f"organization is not taken over: providers of type {first.place.type} have none")
        fields["options"] = options or None
        temperature = fields["default_temperature"]
        fields["default_temperature"] = None if temperature is None else float(temperature)
        provider = Provider(**{key: value for key, value in fields.items() if value is not None})
        self._add_limits(provider, group)
        self._add_timeouts(provider, group)
        return provider

    def _shared(self, group: _Group, name: str, key: str, otherwise: Any = None) -> Any:
        """What all deployments of a provider say alike; what differs has no place in a provider and is told."""
        said = {getattr(deployment, name) for deployment in group.deployments}
        if said == {None}:
            return otherwise
        if len(said) == 1:
            return said.pop()
        text = f"{key} is not taken over: it is a setting of a provider, and models of {group.provider_id} differ in it"
        self._remark(next(each for each in group.deployments if getattr(each, name) is not None), text)
        return otherwise

    def _add_limits(self, provider: Provider, group: _Group) -> None:
        limits = ProviderLimits()
        for name, key, most in (("requests_per_minute", "rpm", _MOST_RPM), ("tokens_per_minute", "tpm", _MOST_TPM)):
            said = [getattr(deployment, name) for deployment in group.deployments]
            if all(each is None for each in said):
                continue
            if None in said:
                text = f"{key} is not taken over: a limit is the provider's, and its other models have none"
                self._remark(group.deployments[[each is not None for each in said].index(True)], text)
                continue
            setattr(limits, name, min(sum(said), most))
            if len(said) > 1:
                self._remark(
                    group.deployments[0], f"{key} becomes one limit of {group.provider_id}: the sum of all its models"
                )
        if limits.ListFields():
            provider.limits.CopyFrom(limits)

    def _add_timeouts(self, provider: Provider, group: _Group) -> None:
        timeouts = ProviderTimeouts()
        total = self._shared(group, "timeout", "timeout", self._routing.timeout)
        stream = self._shared(group, "stream_timeout", "stream_timeout")
        for name, seconds in (("total", total), ("first_event", stream)):
            if seconds is not None:
                kept = min(max(Decimal(seconds), Decimal("0.01")), Decimal(_DAY_S))
                getattr(timeouts, name).CopyFrom(duration_message(int(kept * 1_000_000_000)))
        if timeouts.ListFields():
            provider.timeouts.CopyFrom(timeouts)

    def _remark(self, deployment: Deployment, text: str) -> None:
        self._findings.remark(deployment.line, deployment.path, text)
