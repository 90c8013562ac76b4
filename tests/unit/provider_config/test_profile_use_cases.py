"""What may be done with profiles."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from libs.core.errors import Aborted, AlreadyExists, InvalidArgument, NotFound, ResourceExhausted
from libs.core.resource_names import KeyName, Owner, ProfileName, ProviderName
from services.provider_config.domain import changes
from services.provider_config.domain.changes import Changed
from services.provider_config.domain.delete_profile import delete_profile
from services.provider_config.domain.ports import KeyCheck, KeyUsability
from services.provider_config.domain.preference import Preferences
from services.provider_config.domain.profile import MAX_PROFILES, Profile
from services.provider_config.domain.routing_look_up import get_preferences, get_profile, list_profiles
from services.provider_config.domain.switch_profile import activate_profile, deactivate_profile
from tests.unit.provider_config.builders import ACME, act
from tests.unit.provider_config.memory_store import MemoryStore
from tests.unit.provider_config.routing_builders import (
    USER,
    FakeKeys,
    change_profile,
    change_provider,
    profile,
    provide,
)

_MAIN, _SPARE = ProviderName(ACME, "main"), ProviderName(ACME, "spare")


@pytest.fixture
async def store() -> MemoryStore:
    """With two providers of the tenant, `main` and `spare`."""
    store = MemoryStore()
    await provide(store)
    await provide(store, "spare")
    return store


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys()


def _name(name: str = "work") -> ProfileName:
    return ProfileName("acme", "ann", name)


async def _get(store: MemoryStore, name: str = "work") -> Profile:
    return await store.read(partial(get_profile, name=_name(name)))


async def _activate(store: MemoryStore, name: str = "work") -> Changed[Preferences]:
    return await store.write(partial(activate_profile, name=_name(name), uid="u", act=act("ActivateProfile")))


async def _deactivate(store: MemoryStore) -> Changed[Preferences]:
    return await store.write(partial(deactivate_profile, user=USER, uid="u", act=act("DeactivateProfile")))


async def _delete(store: MemoryStore, name: str = "work", etag: str = "") -> int:
    return await store.write(partial(delete_profile, name=_name(name), etag=etag, act=act("DeleteProfile")))


async def _refused_fields(call: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as caught:
        await call
    return [violation.field for violation in caught.value.field_violations]


async def test_a_new_profile_is_stored_by_names_and_not_active(store: MemoryStore, keys: FakeKeys) -> None:
    created = await profile(store, keys, providers=["main", _SPARE], preferred="main", tasks={"cv": "spare"})
    assert created.settings.providers == (_MAIN, _SPARE)
    assert created == await _get(store)
    assert not created.active


async def test_a_users_profiles_have_different_ids(store: MemoryStore, keys: FakeKeys) -> None:
    await profile(store, keys)
    with pytest.raises(AlreadyExists) as caught:
        await profile(store, keys)
    assert caught.value.reason == "PROFILE_EXISTS"
    assert caught.value.metadata == {"name": "tenants/acme/users/ann/profiles/work"}


async def test_a_user_has_so_many_profiles_and_no_more(store: MemoryStore, keys: FakeKeys) -> None:
    for number in range(MAX_PROFILES):
        await profile(store, keys, f"p{number}")
    with pytest.raises(ResourceExhausted) as caught:
        await profile(store, keys)
    assert caught.value.reason == "TOO_MANY_PROFILES"
    assert caught.value.metadata == {"name": "tenants/acme/users/ann", "most": "32"}
    await _delete(store, "p0")
    await profile(store, keys)


async def test_validating_checks_everything_and_changes_nothing(store: MemoryStore, keys: FakeKeys) -> None:
    recorded = len(store.events)
    await profile(store, keys, validate_only=True, providers=["main"])
    assert await _refused_fields(profile(store, keys, validate_only=True, providers=["none"])) == [
        "profile.providers[0]"
    ]
    with pytest.raises(NotFound):
        await _get(store)
    assert len(store.events) == recorded


async def test_each_provider_of_a_profile_must_be_able_to_serve(store: MemoryStore, keys: FakeKeys) -> None:
    await provide(store, "off", active=False)
    await provide(store, "locked", key=KeyName(ACME, "locked"))
    keys.findings[KeyName(ACME, "locked")] = KeyCheck(usability=KeyUsability.DISABLED)
    refused = profile(
        store,
        keys,
        providers=["main", "none", "off", "locked", ProviderName(Owner("other"), "main"), _MAIN],
    )
    assert await _refused_fields(refused) == [f"profile.providers[{index}]" for index in range(1, 6)]


async def test_a_choice_must_be_among_the_providers(store: MemoryStore, keys: FakeKeys) -> None:
    assert await _refused_fields(profile(store, keys, providers=["main"], preferred="spare", tasks={"a": "spare"})) == [
        "profile.preferred.provider",
        "profile.tasks[0].choice.provider",
    ]
    await profile(store, keys, preferred="spare")
    assert await _refused_fields(change_profile(store, keys, providers=["main"])) == ["profile.preferred.provider"]
    await change_profile(store, keys, providers=["main"], preferred="main")
    assert await _refused_fields(change_profile(store, keys, tasks={"a": "spare"})) == [
        "profile.tasks[0].choice.provider"
    ]
    await change_profile(store, keys, providers=[])
    await change_profile(store, keys, tasks={"a": "spare"})


async def test_only_what_changes_is_checked(store: MemoryStore, keys: FakeKeys) -> None:
    await profile(store, keys, preferred="spare")
    await change_provider(store, "spare", active=False)
    changed = (await change_profile(store, keys, display_name="At work")).resource
    assert (changed.settings.display_name, changed.version) == ("At work", 2)
    assert await _refused_fields(change_profile(store, keys, preferred="spare")) == ["profile.preferred.provider"]


async def test_a_stale_etag_changes_nothing(store: MemoryStore, keys: FakeKeys) -> None:
    before = await profile(store, keys)
    await change_profile(store, keys, etag=before.etag, display_name="first")
    for change in (
        change_profile(store, keys, etag=before.etag, display_name="second"),
        _delete(store, etag=before.etag),
    ):
        with pytest.raises(Aborted):
            await change
    assert (await _get(store)).settings.display_name == "first"


async def test_an_update_that_changes_nothing_leaves_no_trace(store: MemoryStore, keys: FakeKeys) -> None:
    before = await profile(store, keys, preferred="main")
    recorded = len(store.events)
    after = await change_profile(store, keys, preferred=_MAIN)
    assert (after.resource, len(store.events)) == (before, recorded)


async def test_one_profile_of_a_user_is_active(store: MemoryStore, keys: FakeKeys) -> None:
    for name in ("home", "work"):
        await profile(store, keys, name)
    first = await _activate(store, "home")
    assert first.resource.active_profile == _name("home")
    assert (await _activate(store, "home")) == replace(first, stored=False)
    second = await _activate(store, "work")
    assert second.revision == first.revision + 1
    assert second.resource.etag != first.resource.etag
    found = await store.read(partial(list_profiles, user=USER, after=None, size=9))
    assert [(each.name.profile, each.active) for each in found] == [("home", False), ("work", True)]


async def test_routers_are_told_of_the_preferences_and_of_both_profiles(store: MemoryStore, keys: FakeKeys) -> None:
    for name in ("home", "work"):
        await profile(store, keys, name)
    first = await _activate(store, "home")
    await _activate(store, "work")
    changed = await store.read(lambda transaction: transaction.changed_names(ACME, since=first.revision))
    assert changed == {"tenants/acme/users/ann/preferences", str(_name("home")), str(_name("work"))}


async def test_none_may_be_active(store: MemoryStore, keys: FakeKeys) -> None:
    untouched = await _deactivate(store)
    assert (untouched.resource.version, untouched.resource.etag) == (0, "")
    await profile(store, keys)
    await _activate(store)
    assert (await _deactivate(store)).resource.active_profile is None
    assert not (await _get(store)).active
    assert [(each.action, each.target, dict(each.details)) for each in store.events[-2:]] == [
        ("ActivateProfile", str(_name()), {"active_profile": str(_name())}),
        ("DeactivateProfile", str(_name()), {"active_profile": ""}),
    ]


async def test_a_profile_that_does_not_exist_cannot_be_activated(store: MemoryStore) -> None:
    with pytest.raises(NotFound) as caught:
        await _activate(store)
    assert caught.value.reason == "PROFILE_NOT_FOUND"


async def test_deleting_the_active_profile_leaves_none_active(store: MemoryStore, keys: FakeKeys) -> None:
    await profile(store, keys)
    before = await _activate(store)
    revision = await _delete(store)
    preferences = await store.read(partial(get_preferences, user=USER))
    assert preferences.active_profile is None
    assert preferences.etag != before.resource.etag
    changed = await store.read(lambda transaction: transaction.changed_names(ACME, since=revision - 1))
    assert changed == {"tenants/acme/users/ann/preferences", str(_name())}
    # Another one by the same id is not active.
    await profile(store, keys)
    assert not (await _get(store)).active


async def test_deleting_another_profile_leaves_the_active_one(store: MemoryStore, keys: FakeKeys) -> None:
    for name in ("home", "work"):
        await profile(store, keys, name)
    await _activate(store, "work")
    await _delete(store, "home")
    assert (await _get(store, "work")).active


async def test_each_change_is_in_the_audit_log(store: MemoryStore, keys: FakeKeys) -> None:
    recorded = len(store.events)
    await profile(store, keys)
    await change_profile(store, keys, display_name="x", preferred="main")
    await _delete(store)
    assert [(each.action, each.scope, each.target, dict(each.details)) for each in store.events[recorded:]] == [
        ("CreateProfile", "tenants/acme", str(_name()), {}),
        ("UpdateProfile", "tenants/acme", str(_name()), {"fields": "display_name,preferred", "version": "2"}),
        ("DeleteProfile", "tenants/acme", str(_name()), {}),
    ]


async def test_profiles_count_into_the_size_of_the_scope_and_deleting_frees_it(
    store: MemoryStore, keys: FakeKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = await store.read(lambda transaction: transaction.scope_bytes(ACME))
    await profile(store, keys, providers=["main"])
    monkeypatch.setattr(changes, "MAX_SCOPE_BYTES", await store.read(lambda transaction: transaction.scope_bytes(ACME)))
    for change in (profile(store, keys, "other"), change_profile(store, keys, display_name="x")):
        with pytest.raises(ResourceExhausted) as caught:
            await change
        assert caught.value.reason == "SCOPE_FULL"
    await _delete(store)
    assert await store.read(lambda transaction: transaction.scope_bytes(ACME)) == empty


async def test_a_provider_is_in_use_by_the_profiles_that_name_it(store: MemoryStore, keys: FakeKeys) -> None:
    await profile(store, keys, providers=["main", "spare"], tasks={"a": "main"})
    users = await store.read(lambda transaction: list(transaction.users_of(_SPARE, None)))
    assert users == [str(_name())]
    assert await store.read(lambda transaction: list(transaction.users_of(_MAIN, "m"))) == []
