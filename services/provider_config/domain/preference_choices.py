"""What a user's choices mean, and whether they can serve when they are saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from libs.core.resource_names import Owner, ProviderName
from libs.core.validation import FieldChecks
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.preference import Choice, TaskChoice
from services.provider_config.domain.preference_keys import KeyFindings, KeyUse, key_problem, key_use
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from services.provider_config.domain.routing_look_up import allows_platform
from services.provider_config.domain.serving_models import ServingModels

ProviderReference: TypeAlias = ProviderName | str
"""A provider by its name, or by an id, which means the nearest: the user's, else the tenant's, else the platform's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedChoice:
    """A choice as requested."""

    provider: ProviderReference
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTaskChoice:
    """A choice for one task as requested."""

    task: str
    choice: WantedChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request names of providers. `resource`: the field it stands in, `preferences` or `profile`."""

    user: Owner
    resource: str
    providers: tuple[ProviderReference, ...] = ()
    preferred: WantedChoice | None = None
    tasks: tuple[WantedTaskChoice, ...] = ()

    def choices(self) -> Iterator[WantedChoice]:
        """Every choice."""
        if self.preferred is not None:
            yield self.preferred
        for each in self.tasks:
            yield each.choice

    def references(self) -> Iterator[ProviderReference]:
        """Every mention of a provider."""
        yield from self.providers
        for each in self.choices():
            yield each.provider


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The same with names in the place of ids."""

    providers: tuple[ProviderName, ...]
    preferred: Choice | None
    tasks: tuple[TaskChoice, ...]


def keys_of(transaction: Transaction, wanted: Wanted) -> Sequence[KeyUse]:
    """The keys that calls by the choices would be made with, each once, as far as the user may use them."""
    reach = _Reach(transaction, wanted)
    found = (reach.find(reference) for reference in dict.fromkeys(wanted.references()))
    uses = (key_use(each) for each in found if isinstance(each, Provider))
    return list(dict.fromkeys(use for use in uses if use is not None))


def settle(transaction: Transaction, wanted: Wanted, keys: KeyFindings) -> Settled:
    """The choices, when all of them can serve; `keys` are the findings about what `keys_of` named.

    Raises InvalidArgument naming every field that cannot serve, and KeysNotAsked.
    """
    with FieldChecks() as check:
        settling = _Settling(transaction, wanted, keys, check)
        return Settled(
            providers=settling.providers(),
            preferred=settling.choice("preferred", wanted.preferred) if wanted.preferred else None,
            tasks=tuple(
                TaskChoice(task=each.task, choice=settling.choice(f"tasks[{index}].choice", each.choice))
                for index, each in enumerate(wanted.tasks)
            ),
        )


class _Reach:
    """What a user may use of the providers that a request names; they are read together."""

    def __init__(self, transaction: Transaction, wanted: Wanted) -> None:
        self._transaction = transaction
        self._user = wanted.user
        self._tenant = Owner(wanted.user.tenant)
        self._owners = (self._user, self._tenant, Owner())
        self._allows_platform: bool | None = None
        self._found: dict[ProviderReference, Provider | str] = {}
        self._stored = transaction.providers.called(set(self._names(wanted)))

    def find(self, reference: ProviderReference) -> Provider | str:
        """The provider, or why the user cannot use it."""
        if reference not in self._found:
            self._found[reference] = self._find(reference)
        return self._found[reference]

    def _find(self, reference: ProviderReference) -> Provider | str:
        provider = self._nearest(reference) if isinstance(reference, str) else self._named(reference)
        if isinstance(provider, str):
            return provider
        if provider.name.owner.is_platform and not self._may_use_platform():
            return (
                f"must not be of the platform, as {provider.name} is: {self._tenant} or the user has providers of "
                "their own, and the tenant's routing policy lets the platform's serve only where there are none"
            )
        if not provider.settings.active:
            return f"must be active, {provider.name} is not"
        # Of a plugin's type none is stored without the key that it needs.
        needs_key = provider.type in PROVIDER_TYPES and PROVIDER_TYPES[provider.type].requires_key
        if needs_key and provider.settings.key is None:
            return f"must have a key, {provider.name} has none"
        return provider

    def _nearest(self, provider_id: str) -> Provider | str:
        for owner in self._owners:
            provider = self._stored.get(ProviderName(owner, provider_id))
            if provider is not None:
                return provider
        return f"must exist: neither {self._user} nor {self._tenant} nor the platform has {provider_id!r}"

    def _named(self, name: ProviderName) -> Provider | str:
        if name.owner not in self._owners:
            return f"must be a provider of {self._user}, of {self._tenant} or of the platform"
        return self._stored.get(name) or f"must exist: there is no {name}"

    def _names(self, wanted: Wanted) -> Iterator[ProviderName]:
        """All that the references can mean."""
        for reference in wanted.references():
            if isinstance(reference, str):
                yield from (ProviderName(owner, reference) for owner in self._owners)
            elif reference.owner in self._owners:
                yield reference

    def _may_use_platform(self) -> bool:
        if self._allows_platform is None:
            self._allows_platform = allows_platform(self._transaction, self._tenant, self._user)
        return self._allows_platform


class _Settling:
    """The check of one request's choices."""

    def __init__(self, transaction: Transaction, wanted: Wanted, keys: KeyFindings, check: FieldChecks) -> None:
        self._wanted = wanted
        self._keys = keys
        self._check = check
        self._reach = _Reach(transaction, wanted)
        chosen = ((self._reach.find(choice.provider), choice.model) for choice in wanted.choices())
        self._models = ServingModels(
            transaction, ((found, model) for found, model in chosen if isinstance(found, Provider))
        )

    def providers(self) -> tuple[ProviderName, ...]:
        """The providers that a profile is bounded to."""
        names: list[ProviderName] = []
        for index, reference in enumerate(self._wanted.providers):
            field = f"{self._wanted.resource}.providers[{index}]"
            provider = self._usable(field, reference)
            if provider is not None:
                self._check.that(provider.name not in names, field, f"must not name {provider.name} again")
                names.append(provider.name)
        return tuple(names)

    def choice(self, path: str, wanted: WantedChoice) -> Choice:
        """The choice; what stands in for one that was refused is never stored."""
        field = f"{self._wanted.resource}.{path}"
        provider = self._usable(f"{field}.provider", wanted.provider)
        if provider is None:
            return Choice(provider=ProviderName(self._wanted.user, ""))
        if problem := self._models.problem(provider, wanted.model):
            self._check.fail(f"{field}.model", problem)
        return Choice(provider=provider.name, model=wanted.model)

    def _usable(self, field: str, reference: ProviderReference) -> Provider | None:
        found = self._reach.find(reference)
        problem = found if isinstance(found, str) else key_problem(found, self._keys)
        if problem is None and isinstance(found, Provider):
            return found
        self._check.fail(field, problem or "cannot be used")
        return None
