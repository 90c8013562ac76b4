"""Adding the models of a provider's own list that are missing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from libs.core.resource_names import ModelName, ProviderName, is_id
from libs.core.secret import Secret
from services.provider_config.domain.catalogue import Catalogue
from services.provider_config.domain.changes import Act, check_scope_size, record
from services.provider_config.domain.create_model import new_model
from services.provider_config.domain.model import Model, ModelSettings
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.probe_errors import provider_changed_meanwhile, provider_list_failed
from services.provider_config.domain.probe_ports import MOST_LISTED
from services.provider_config.domain.probe_provider import ProbeProvider, Probing, Tried, kept_test, put_test
from services.provider_config.domain.provider import Provider, ProviderTestOutcome
from services.provider_config.domain.provider_types import PROVIDER_TYPES, ProviderTypes
from services.provider_config.domain.scope_size import model_bytes

_PAGE = 1000
_MOST_SKIPPED = 100
# What Ollama calls a model of which no tag is said; its dialect lists such models by both names.
_USUAL_TAG = ":latest"
_NO_ID_CHARACTERS = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncModels:
    """A checked request."""

    name: ProviderName
    enable: bool
    validate_only: bool
    caller_token: Secret
    act: Act


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncedModels:
    """What came of it; see `model_service.proto`."""

    added: Sequence[Model]
    not_listed: Sequence[ModelName]
    skipped: Sequence[str]
    known_count: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSync:
    """How models are added here; `new_uid` makes a UUID."""

    probing: Probing
    catalogue: Catalogue
    new_uid: Callable[[], str]
    types: ProviderTypes = field(default_factory=lambda: PROVIDER_TYPES)

    async def __call__(self, command: SyncModels) -> SyncedModels:
        """Read a provider's list and add what is missing.

        Raises as `Probing.test`; FailedPrecondition or Unavailable `PROVIDER_LIST_FAILED`; Aborted `ETAG_MISMATCH`
        when the provider changed meanwhile; ResourceExhausted `SCOPE_FULL`, and then nothing is added.
        """
        probe = ProbeProvider(
            name=command.name, unsaved=None, model="", caller_token=command.caller_token, act=command.act
        )
        tried = await self.probing.try_provider(probe)
        now = self.probing.clock.now()
        if tried.finding.outcome is not ProviderTestOutcome.OK:
            await self.probing.store.write(partial(_note_failure, command=command, tried=tried, now=now))
            raise provider_list_failed(command.name, tried.finding)
        # Nobody else can change anything while a transaction runs: what takes long comes before.
        made = await asyncio.to_thread(self._made, command, tried)
        return await self.probing.store.write(partial(self._add, command=command, tried=tried, made=made, now=now))

    def _made(self, command: SyncModels, tried: Tried) -> Mapping[str, Model]:
        """A new model for each of the list's ids that a resource's id can be made of, by the provider's own."""
        if tried.provider is None:
            raise AssertionError("lists are read of stored providers only")
        return {
            provider_model_id: new_model(
                tried.provider,
                ModelName(command.name, model_id),
                ModelSettings(provider_model_id=provider_model_id, enabled=command.enable),
                self.catalogue,
                uid=self.new_uid(),
                now=command.act.now,
                types=self.types,
            )
            for provider_model_id in tried.finding.model_ids
            if (model_id := model_id_for(provider_model_id)) is not None
        }

    def _add(
        self,
        transaction: Transaction,
        *,
        command: SyncModels,
        tried: Tried,
        made: Mapping[str, Model],
        now: datetime,
    ) -> SyncedModels:
        provider = _put_test(transaction, tried, now)
        if provider is None:
            raise provider_changed_meanwhile(command.name)
        listed = tried.finding.model_ids
        present = list(_all_models(transaction, provider))
        known = {model.settings.provider_model_id for model in present}
        distinct = _distinct(listed)
        missing = [each for each, names in distinct.items() if known.isdisjoint(names)]
        added, skipped = _new_models(missing, made, {model.name.model for model in present})
        check_scope_size(transaction, provider.name.owner, grows_by=sum(map(model_bytes, added)))
        revision = 0
        if not command.validate_only:
            transaction.models.add_all(added, provider)
            if added:
                revision = transaction.advance(provider.scope, provider.name)
        details = {"outcome": tried.finding.outcome.value, "added": "0" if command.validate_only else str(len(added))}
        record(transaction, command.act, provider.name, provider.name.owner, details)
        return SyncedModels(
            added=added,
            not_listed=_not_listed(present, listed),
            skipped=skipped[:_MOST_SKIPPED],
            known_count=len(distinct) - len(missing),
            revision=revision,
        )


def model_id_for(provider_model_id: str) -> str | None:
    """The id of a resource for a provider's own id: `meta-llama/Llama-3.3` is `meta-llama-llama-3.3`; None for none.

    Letters become small and whatever else an id cannot have becomes a hyphen. Nothing is cut off: two long ids would
    become the same.
    """
    made = _NO_ID_CHARACTERS.sub("-", provider_model_id.lower()).lstrip("._-").rstrip("-")
    return made if is_id(made) else None


def _distinct(listed: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The models of a list, each with all its names there: `llama3.2` is `llama3.2:latest` too when both are listed."""
    ids = frozenset(listed)
    return {
        each: tuple(name for name in (each, each + _USUAL_TAG) if name in ids)
        for each in listed
        if not (each.endswith(_USUAL_TAG) and each.removesuffix(_USUAL_TAG) in ids)
    }


def _new_models(
    missing: Sequence[str], made: Mapping[str, Model], taken: AbstractSet[str]
) -> tuple[list[Model], list[str]]:
    """The models `made` of those of `missing` that can be added, by name, and those that cannot."""
    new: dict[str, Model] = {}
    skipped: list[str] = []
    for provider_model_id in missing:
        model = made.get(provider_model_id)
        if model is None or model.name.model in taken or model.name.model in new:
            skipped.append(provider_model_id)
        else:
            new[model.name.model] = model
    return [new[model_id] for model_id in sorted(new)], skipped


def _not_listed(present: Sequence[Model], listed: Sequence[str]) -> list[ModelName]:
    """The models that the list does not have, as far as it was read."""
    ids = frozenset(listed)
    last = listed[-1] if len(listed) >= MOST_LISTED else None
    return [
        model.name
        for model in present
        if model.settings.provider_model_id not in ids and (last is None or model.settings.provider_model_id <= last)
    ]


def _all_models(transaction: Transaction, provider: Provider) -> Iterator[Model]:
    after: str | None = None
    while page := transaction.models.page(provider, after=after, limit=_PAGE):
        yield from page
        after = page[-1].name.model


def _put_test(transaction: Transaction, tried: Tried, now: datetime) -> Provider | None:
    """Keep it as a test; the provider, if it still is what was tried."""
    return None if tried.provider is None else put_test(transaction, tried.provider, kept_test(tried.finding, now))


def _note_failure(transaction: Transaction, *, command: SyncModels, tried: Tried, now: datetime) -> None:
    _put_test(transaction, tried, now)
    details = {"outcome": tried.finding.outcome.value, "added": "0"}
    record(transaction, command.act, command.name, command.name.owner, details)
