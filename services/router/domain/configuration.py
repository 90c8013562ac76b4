"""What the router knows of providers and routes: snapshots pushed by provider_config.

A router may hold 10,000 tenants with 20 providers each. So everything here has slots, texts and models that many
tenants share should be the same objects, and what planning looks up is worked out once for a snapshot, not for a call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType

from libs.core.money import TokenPrices
from libs.core.resource_names import Owner
from services.router.domain import features
from services.router.domain.features import CAPABILITY_NAMES
from services.router.domain.preference import Preferences, Profile
from services.router.domain.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model can do. `mask` has the bits of `features`: those of a wire format are all set.

    `fixed_sampling`: it refuses temperature, top_p and top_k.
    """

    streaming: bool = True
    tools: bool = True
    json_schema: bool = True
    images: bool = True
    audio: bool = False
    documents: bool = False
    reasoning: bool = False
    embeddings: bool = False
    fixed_sampling: bool = False
    mask: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        mask = sum(1 << bit for bit, name in enumerate(CAPABILITY_NAMES) if getattr(self, name))
        sampling = 0 if self.fixed_sampling else features.SAMPLING
        object.__setattr__(self, "mask", mask | sampling | features.OF_FORMAT)


@dataclass(frozen=True, slots=True, kw_only=True, weakref_slot=True)
class Model:
    """A model of a provider. `context_tokens` and `max_output_tokens` are 0 when unknown.

    `price` is what calls are charged with: its own, or where `price_is_catalogue` the built-in catalogue's; None when
    neither is known. It does not say whose model it is, so that providers can share it.
    """

    id: str
    provider_model_id: str
    display_name: str = ""
    enabled: bool = True
    context_tokens: int = 0
    max_output_tokens: int = 0
    capabilities: Capabilities = Capabilities()
    price: TokenPrices | None = None
    price_is_catalogue: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimits:
    """What one router sends to a provider at most; 0 is no limit."""

    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrent_requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTimeouts:
    """How long a provider may take, in seconds; None where the router's own setting holds."""

    connect_s: float | None = None
    first_event_s: float | None = None
    idle_s: float | None = None
    total_s: float | None = None


_NO_TIMEOUTS = ProviderTimeouts()
_NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A configured provider; `key` is a resource name or empty, `origin` that of `base_url`.

    `weight`, `max_retries`, `default_temperature` are None when not set, `default_max_output_tokens` is 0 then.
    `limits` is None when there is none. `usual_model` is what serves calls that name no model: the default model, else
    the first enabled one by id, of those that make vectors only when there is no other; None when there is no model.
    `usual_embedder` is the same for calls that ask for vectors: the default model where it can do `embeddings`, else
    the first enabled one that can.
    """

    name: str
    id: str
    owner: Owner
    type: str
    base_url: str
    origin: str
    key: str
    default_model: str
    active: bool
    is_default: bool
    priority: int
    models: Mapping[str, Model]
    display_name: str = ""
    weight: int | None = None
    default_for_tasks: tuple[str, ...] = ()
    limits: ProviderLimits | None = None
    timeouts: ProviderTimeouts = _NO_TIMEOUTS
    max_retries: int | None = None
    default_temperature: float | None = None
    default_max_output_tokens: int = 0
    options: Mapping[str, object] = field(default_factory=lambda: _NO_OPTIONS)
    usual_model: Model | None = field(init=False, repr=False, compare=False)
    usual_embedder: Model | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        default = self.models.get(self.default_model) if self.default_model else None
        enabled = sorted((model for model in self.models.values() if model.enabled), key=lambda model: model.id)
        # Most models that make vectors do nothing else.
        speakers = (*(model for model in enabled if not model.capabilities.embeddings), *enabled)
        usual = default if self.default_model else next(iter(speakers), None)
        embedders = (model for model in (default, *enabled) if model is not None and model.capabilities.embeddings)
        object.__setattr__(self, "usual_model", usual)
        object.__setattr__(self, "usual_embedder", next(embedders, None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for all calls of a tenant. `platform_last`: the platform's providers come after the caller's own."""

    platform_last: bool = False


_NO_POLICY = Policy()
_NO_ROUTES: Mapping[str, Route] = MappingProxyType({})
_NO_PREFERENCES: Mapping[str, Preferences] = MappingProxyType({})
_NO_PROFILES: Mapping[str, Profile] = MappingProxyType({})
_NO_TASKS: Mapping[str, Provider] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The providers of one owner, by priority, then name.

    `for_tasks` are those that are the default for a task. `drawn` are the ranges (start, end) of `providers` that have
    one priority and of which at least one has a weight: their order is drawn for each call.
    """

    providers: tuple[Provider, ...] = ()
    default: Provider | None = None
    for_tasks: Mapping[str, Provider] = field(default_factory=lambda: _NO_TASKS)
    drawn: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, providers: Iterable[Provider]) -> Fleet:
        """The fleet of `providers`, which have one owner and come in any order."""
        ordered = tuple(sorted(providers, key=lambda each: (each.priority, each.name)))
        drawn: list[tuple[int, int]] = []
        start = 0
        for _, group in groupby(ordered, key=lambda each: each.priority):
            same = list(group)
            end = start + len(same)
            if len(same) > 1 and any(each.weight is not None for each in same):
                drawn.append((start, end))
            start = end
        tasks = {task: each for each in reversed(ordered) for task in each.default_for_tasks}
        return cls(
            providers=ordered,
            default=next((each for each in ordered if each.is_default), None),
            for_tasks=tasks or _NO_TASKS,
            drawn=tuple(drawn),
        )


_NO_FLEET = Fleet()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that one scope (`platform` or `tenants/{tenant}`) holds at a revision.

    Given: `providers` in any order, `routes` by task, `preferences` by user id, `profiles` by resource name. Worked out
    from them: `fleet`, the providers of the scope's own, the fleets of its users by user id, and all providers by name.
    """

    scope: str
    revision: int
    providers: tuple[Provider, ...] = ()
    routes: Mapping[str, Route] = field(default_factory=lambda: _NO_ROUTES)
    preferences: Mapping[str, Preferences] = field(default_factory=lambda: _NO_PREFERENCES)
    profiles: Mapping[str, Profile] = field(default_factory=lambda: _NO_PROFILES)
    policy: Policy = _NO_POLICY
    fleet: Fleet = field(init=False, repr=False, compare=False)
    _users: Mapping[str, Fleet] = field(init=False, repr=False, compare=False)
    by_name: Mapping[str, Provider] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        users: dict[str, list[Provider]] = {}
        own: list[Provider] = []
        for provider in self.providers:
            user = provider.owner.user
            (own if user is None else users.setdefault(user, [])).append(provider)
        object.__setattr__(self, "fleet", Fleet.of(own) if own else _NO_FLEET)
        object.__setattr__(self, "_users", {user: Fleet.of(theirs) for user, theirs in users.items()})
        object.__setattr__(self, "by_name", {provider.name: provider for provider in self.providers})

    def fleet_of(self, user: str | None) -> Fleet:
        """The providers that a user owns."""
        return self._users.get(user, _NO_FLEET) if user is not None else _NO_FLEET

    def fleets(self, user: str | None) -> list[Fleet]:
        """The fleets a user may use of this scope, its own first; only those with any provider."""
        return [fleet for fleet in (self.fleet_of(user), self.fleet) if fleet.providers]

    def allows_platform(self, user: str | None) -> bool:
        """Whether the platform's providers may serve a user: always one who has no others."""
        return self.policy.platform_last or not self.fleets(user)

    def active_profile(self, user: str | None) -> Profile | None:
        """The profile a user has switched to."""
        preferences = self.preferences.get(user or "")
        if preferences is None or not preferences.active_profile:
            return None
        return self.profiles.get(preferences.active_profile)

    def provider(self, name: str) -> Provider | None:
        """The provider of this resource name, whoever owns it."""
        return self.by_name.get(name)

    def route(self, task: str) -> Route | None:
        """The active route of a task."""
        route = self.routes.get(task)
        return route if route is not None and route.active else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What one caller's calls are planned with."""

    tenant: Snapshot
    platform: Snapshot

    @property
    def revision(self) -> int:
        """That of the newer scope; changes of the other up to it may still be on their way."""
        return max(self.tenant.revision, self.platform.revision)
