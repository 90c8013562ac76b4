"""What may be done with providers."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import Any

import pytest

from libs.core.errors import Aborted, AlreadyExists, InvalidArgument, NotFound, ResourceExhausted
from libs.core.resource_names import KeyName, ModelName, Owner
from services.provider_config.domain import changes
from services.provider_config.domain.create_model import create_model
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.look_up import get_provider, list_models, list_providers
from services.provider_config.domain.provider import MAX_PROVIDERS, Provider, ProviderSettings
from services.provider_config.domain.update_provider import UpdateProvider, update_provider
from tests.unit.provider_config.builders import (
    ACME,
    NOTHING_KNOWN,
    RULES,
    act,
    add_model,
    creation,
    drop_provider,
    model_creation,
    provider_name,
)
from tests.unit.provider_config.memory_store import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def _create(store: MemoryStore, name: str = "openai", **settings: Any) -> Provider:
    return (await store.write(partial(create_provider, command=creation(name, **settings)))).resource


async def _get(store: MemoryStore, name: str = "openai", owner: Owner = ACME) -> Provider:
    return await store.read(partial(get_provider, name=provider_name(name, owner)))


async def _update(
    store: MemoryStore,
    name: str = "openai",
    *,
    etag: str = "",
    type_: str = "",
    remove_key: bool = False,
    **values: Any,
) -> Any:
    command = UpdateProvider(
        name=provider_name(name),
        fields=frozenset(values),
        settings=ProviderSettings(**values),
        remove_key=remove_key,
        type=type_,
        etag=etag,
        act=act("UpdateProvider"),
    )
    return await store.write(partial(update_provider, rules=RULES, command=command))


async def test_each_change_has_the_next_revision(store: MemoryStore) -> None:
    first = await store.write(partial(create_provider, command=creation("a")))
    second = await store.write(partial(create_provider, command=creation("b", owner=Owner())))
    third = await _update(store, "a", active=False)
    fourth = await store.write(drop_provider(provider_name("a")))
    assert [first.revision, second.revision, third.revision, fourth.revision] == [1, 2, 3, 4]


async def test_a_taken_id_is_refused_for_its_owner_only(store: MemoryStore) -> None:
    await _create(store)
    with pytest.raises(AlreadyExists) as caught:
        await _create(store)
    assert caught.value.reason == "PROVIDER_EXISTS"
    await _create(store, owner=Owner("acme", "ann"))


async def test_validating_checks_everything_and_changes_nothing(store: MemoryStore) -> None:
    validated = await store.write(partial(create_provider, command=creation(validate_only=True)))
    assert validated.revision == 0
    with pytest.raises(NotFound):
        await _get(store)
    await _create(store)
    with pytest.raises(AlreadyExists):
        await store.write(partial(create_provider, command=creation(validate_only=True)))


async def test_validating_a_default_leaves_the_present_default(store: MemoryStore) -> None:
    await _create(store, "a", is_default=True)
    await store.write(partial(create_provider, command=creation("b", validate_only=True, is_default=True)))
    assert (await _get(store, "a")).settings.is_default


async def test_a_new_default_takes_it_from_the_other_of_the_same_owner(store: MemoryStore) -> None:
    first = await _create(store, "a", is_default=True)
    elsewhere = await _create(store, "x", owner=Owner("acme", "ann"), is_default=True)
    await _create(store, "b", is_default=True)
    after = await _get(store, "a")
    assert not after.settings.is_default
    assert after.etag != first.etag
    assert await _get(store, "x", elsewhere.name.owner) == elsewhere
    await _update(store, "a", is_default=True)
    defaults = [each.name.provider for each in await store.read(partial(list_providers, owner=ACME, after=None, size=9))
                if each.settings.is_default]  # fmt: skip
    assert defaults == ["a"]


async def test_only_named_fields_change(store: MemoryStore) -> None:
    await _create(store, display_name="Before", description="Kept")
    changed = (await _update(store, display_name="After")).resource
    assert (changed.settings.display_name, changed.settings.description) == ("After", "Kept")
    assert changed == await _get(store)


async def test_a_stale_etag_changes_nothing(store: MemoryStore) -> None:
    before = await _create(store)
    await _update(store, etag=before.etag, display_name="first")
    for change in (
        partial(_update, store, etag=before.etag, display_name="second"),
        partial(store.write, drop_provider(before.name, etag=before.etag)),
    ):
        with pytest.raises(Aborted) as caught:
            await change()
        assert caught.value.reason == "ETAG_MISMATCH"
    assert (await _get(store)).settings.display_name == "first"


async def test_an_update_that_changes_nothing_keeps_etag_and_revision(store: MemoryStore) -> None:
    before = await _create(store, display_name="Same")
    after = await _update(store, display_name="Same")
    assert (after.resource, after.revision) == (before, 1)


async def test_the_type_cannot_change(store: MemoryStore) -> None:
    await _create(store)
    await _update(store, type_="openai", display_name="fine")
    with pytest.raises(InvalidArgument) as caught:
        await _update(store, type_="openai_compatible", display_name="no")
    assert caught.value.metadata == {"field": "provider.type"}


async def test_an_update_without_a_key_keeps_the_key(store: MemoryStore) -> None:
    before = await _create(store)
    assert (await _update(store, key=None)).resource == before
    everything = {each.name: getattr(before.settings, each.name) for each in fields(before.settings)}
    after = (await _update(store, **(everything | {"key": None, "display_name": "new"}))).resource
    assert (after.settings.key, after.settings.display_name) == (KeyName(ACME, "prod"), "new")
    assert (await _update(store, key=KeyName(ACME, "other"))).resource.settings.key == KeyName(ACME, "other")


async def test_a_key_is_removed_only_when_asked_and_where_none_is_needed(store: MemoryStore) -> None:
    await _create(store)
    with pytest.raises(InvalidArgument) as caught:
        await _update(store, remove_key=True)
    assert caught.value.metadata == {"field": "provider.key"}
    await store.write(partial(create_provider, command=replace(creation("own"), type="openai_compatible")))
    assert (await _update(store, "own", remove_key=True)).resource.settings.key is None


async def test_an_emptied_address_becomes_the_default_of_the_type(store: MemoryStore) -> None:
    await _create(store, base_url="https://eu.api.openai.com/v1")
    assert (await _update(store, base_url="")).resource.settings.base_url == "https://api.openai.com/v1"


async def test_models_go_with_their_provider(store: MemoryStore) -> None:
    for name in ("a", "b"):
        await _create(store, name)
        await store.write(add_model(provider=provider_name(name)))
    await store.write(drop_provider(provider_name("a")))
    with pytest.raises(NotFound) as caught:
        await store.read(partial(list_models, name=provider_name("a"), after=None, size=9))
    assert caught.value.reason == "PROVIDER_NOT_FOUND"
    await _create(store, "a")
    assert await store.read(partial(list_models, name=provider_name("a"), after=None, size=9)) == []
    left = await store.read(partial(list_models, name=provider_name("b"), after=None, size=9))
    assert [each.name for each in left] == [ModelName(provider_name("b"), "gpt-4o")]


@pytest.mark.parametrize("change", ["update", "delete"])
async def test_what_does_not_exist_cannot_be_changed(store: MemoryStore, change: str) -> None:
    deletion = drop_provider(provider_name("openai"))
    with pytest.raises(NotFound) as caught:
        await (_update(store, active=False) if change == "update" else store.write(deletion))
    assert caught.value.reason == "PROVIDER_NOT_FOUND"
    assert caught.value.metadata == {"name": "tenants/acme/providers/openai"}


async def test_a_full_scope_takes_no_more_but_can_shrink(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "MAX_SCOPE_BYTES", 2300)
    await _create(store, "a", description="x" * 500)
    with pytest.raises(ResourceExhausted) as caught:
        await _create(store, "b", owner=Owner("acme", "ann"), description="x" * 500)
    assert (caught.value.reason, caught.value.metadata) == ("SCOPE_FULL", {"scope": "tenants/acme"})
    with pytest.raises(ResourceExhausted):
        await _update(store, "a", description="x" * 1600)
    large = model_creation(provider=provider_name("a"), display_name="x" * 900)
    with pytest.raises(ResourceExhausted):
        await store.write(partial(create_model, catalogue=NOTHING_KNOWN, command=large))
    await _create(store, "c", owner=Owner("other"), description="x" * 500)
    await _update(store, "a", description="")


async def test_an_owner_has_so_many_providers_and_no_more(store: MemoryStore) -> None:
    for number in range(MAX_PROVIDERS):
        await _create(store, f"p{number}")
    with pytest.raises(ResourceExhausted) as caught:
        await _create(store)
    assert caught.value.reason == "TOO_MANY_PROVIDERS"
    assert caught.value.metadata == {"name": "tenants/acme", "most": "200"}
    await _create(store, owner=Owner("acme", "ann"), key=None)
