"""What a request names is read together: it holds up no other change for longer, however much it names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Engine, event

from libs.core.resource_names import ModelName, Owner, ProviderName
from services.provider_config.domain.ports import ConfigStore, Transaction
from tests.unit.provider_config.builders import ACME
from tests.unit.provider_config.memory_store import NOW
from tests.unit.provider_config.routing_builders import (
    FakeKeys,
    change_provider,
    prefer,
    profile,
    provide,
    route,
    target,
)

_MANY = 24


@contextmanager
def _statements() -> Iterator[list[str]]:
    """The queries made meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_providers_and_models_are_found_by_their_whole_names(store: ConfigStore) -> None:
    ann, bob = Owner("acme", "ann"), Owner("acme", "bob")
    for owner in (Owner(), ACME, Owner("acme2"), ann, bob):
        await provide(store, "main", "m", "n", owner=owner)
    await provide(store, "other", "m")
    names = {
        ProviderName(owner, name) for owner in (Owner(), ACME, ann, Owner("nobody")) for name in ("main", "missing")
    }

    def read(transaction: Transaction) -> None:
        found = transaction.providers.called(names)
        assert set(found) == {ProviderName(owner, "main") for owner in (Owner(), ACME, ann)}
        assert all(provider == transaction.providers.get(name) for name, provider in found.items())
        wanted = {ModelName(name, model) for name in names for model in ("m", "missing")}
        models = transaction.models.called(wanted)
        assert set(models) == {ModelName(name, "m") for name in found}
        assert all(model == transaction.models.get(name) for name, model in models.items())
        assert not transaction.providers.called(())
        assert not transaction.models.called(())

    await store.read(read)


async def test_whether_any_model_is_enabled_is_known_of_each_provider(store: ConfigStore) -> None:
    both, none = await provide(store, "both", "m", "n"), await provide(store, "none", "m")

    def disable(transaction: Transaction) -> None:
        for provider in (both, none):
            model = transaction.models.called({ModelName(provider.name, "m")})[ModelName(provider.name, "m")]
            transaction.models.put(model.changed(replace(model.settings, enabled=False), now=NOW))

    await store.write(disable)
    await provide(store, "unasked")
    found = await store.read(lambda transaction: transaction.models.with_enabled([both, none]))
    assert found == {both.name}
    assert not await store.read(lambda transaction: transaction.models.with_enabled([]))


@pytest.mark.parametrize("default_model", ["", "m"])
async def test_saving_many_choices_takes_no_more_queries_than_saving_few(
    store: ConfigStore, default_model: str
) -> None:
    keys = FakeKeys()
    for number in range(_MANY):
        await provide(store, f"p{number}")
        await change_provider(store, f"p{number}", default_model=default_model)
    counts = []
    for count in (2, _MANY):
        tasks = {f"t{number}": f"p{number}" for number in range(count)}
        with _statements() as seen:
            await prefer(store, keys, tasks=tasks)
            await profile(store, keys, f"profile{count}", providers=[*tasks.values()], tasks=tasks)
            await route(store, f"route{count}", *(target(name) for name in tasks.values()))
        counts.append(len(seen))
    assert counts[0] == counts[1]
