"""What a user may prefer, and when it is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from libs.core.errors import Aborted, InvalidArgument, ResourceExhausted, Unavailable
from libs.core.resource_names import KeyName, Owner, ProviderName
from services.provider_config.domain import changes
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.policy import PlatformFallback
from services.provider_config.domain.ports import KeyCheck, KeyUsability
from services.provider_config.domain.preference import Choice, Preferences, TaskChoice
from services.provider_config.domain.provider import ProviderSettings
from services.provider_config.domain.routing_look_up import get_preferences
from services.provider_config.domain.update_policy import UpdatePolicy, update_policy
from tests.unit.provider_config.builders import ACME, act, add_model, creation, drop_provider
from tests.unit.provider_config.memory_store import MemoryStore
from tests.unit.provider_config.routing_builders import (
    PLATFORM,
    USER,
    FakeKeys,
    change_provider,
    prefer,
    provide,
)

_MAIN = ProviderName(ACME, "main")
_ORIGIN = "https://api.openai.com:443"
_PROD = KeyName(ACME, "prod")


@pytest.fixture
async def store() -> MemoryStore:
    """With one provider `main` of the tenant, whose one model is `m`."""
    store = MemoryStore()
    await provide(store)
    return store


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys()


async def _get(store: MemoryStore) -> Preferences:
    return await store.read(partial(get_preferences, user=USER))


async def _refused(call: Any) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        await call
    return caught.value


async def _allow_platform(store: MemoryStore) -> None:
    command = UpdatePolicy(tenant=ACME, platform_fallback=PlatformFallback.LAST, uid="u", act=act())
    await store.write(partial(update_policy, command=command))


async def test_preferences_nobody_changed_are_empty(store: MemoryStore) -> None:
    preferences = await _get(store)
    assert (preferences.name, preferences.etag) == ("tenants/acme/users/ann/preferences", "")
    assert (preferences.settings.preferred, preferences.settings.tasks, preferences.update_time) == (None, (), None)


async def test_a_choice_is_stored_by_name(store: MemoryStore, keys: FakeKeys) -> None:
    changed = await prefer(store, keys, preferred=("main", "m"), tasks={"cover_letter": "main", "cv": _MAIN})
    assert changed.resource.settings.preferred == Choice(provider=_MAIN, model="m")
    assert changed.resource.settings.tasks == (
        TaskChoice(task="cover_letter", choice=Choice(provider=_MAIN)),
        TaskChoice(task="cv", choice=Choice(provider=_MAIN)),
    )
    assert changed.resource == await _get(store)
    assert keys.asked == [[(_PROD, _ORIGIN)]]


async def test_an_id_means_the_nearest_provider(store: MemoryStore, keys: FakeKeys) -> None:
    await provide(store, "main", owner=PLATFORM)
    await provide(store, "other", owner=PLATFORM)
    await _allow_platform(store)

    async def meant(provider_id: str) -> str:
        preferred = (await prefer(store, keys, preferred=provider_id)).resource.settings.preferred
        assert preferred is not None
        return str(preferred.provider)

    assert await meant("other") == "platform/providers/other"
    assert await meant("main") == "tenants/acme/providers/main"
    await provide(store, "main", owner=USER)
    assert await meant("main") == "tenants/acme/users/ann/providers/main"


async def test_what_an_id_meant_when_it_was_saved_stays(store: MemoryStore, keys: FakeKeys) -> None:
    await prefer(store, keys, preferred="main")
    await provide(store, "main", owner=USER)
    preferred = (await _get(store)).settings.preferred
    assert preferred == Choice(provider=_MAIN)


@pytest.mark.parametrize(
    "provider",
    [
        ProviderName(Owner("acme", "bob"), "main"),
        ProviderName(Owner("other"), "main"),
        ProviderName(Owner("other", "ann"), "main"),
    ],
)
async def test_what_belongs_to_somebody_else_is_refused_alike_whether_it_exists_or_not(
    store: MemoryStore, keys: FakeKeys, provider: ProviderName
) -> None:
    unknown = await _refused(prefer(store, keys, tasks={"a": "main", "b": provider}))
    await provide(store, provider.provider, owner=provider.owner)
    known = await _refused(prefer(store, keys, tasks={"a": "main", "b": provider}))
    assert known.metadata == {"field": "preferences.tasks[1].choice.provider"}
    assert known.message == unknown.message
    # Nor is key_vault asked about keys of others.
    assert {name.owner for asked in keys.asked for name, _ in asked} == {ACME}


@pytest.mark.parametrize(
    ("settings", "choice", "field", "text"),
    [
        ({}, "none", "provider", "must exist"),
        ({}, ProviderName(ACME, "none"), "provider", "must exist"),
        ({}, ProviderName(USER, "main"), "provider", "must exist"),
        ({"active": False}, "main", "provider", "must be active"),
        ({}, ("main", "none"), "model", "does not exist"),
        ({"default_model": "none"}, "main", "model", "default model"),
    ],
)
async def test_what_cannot_serve_is_refused_at_save(
    store: MemoryStore, keys: FakeKeys, settings: dict[str, Any], choice: Any, field: str, text: str
) -> None:
    if settings:
        await change_provider(store, **settings)
    error = await _refused(prefer(store, keys, preferred=choice))
    assert error.metadata == {"field": f"preferences.preferred.{field}"}
    assert text in error.message
    assert (await _get(store)).version == 0


async def test_a_provider_that_lacks_its_key_is_refused(store: MemoryStore, keys: FakeKeys) -> None:
    provider = await store.read(lambda transaction: transaction.providers.get(_MAIN))
    assert provider is not None
    # Such as one from before its type needed a key.
    keyless = provider.changed(ProviderSettings(base_url=provider.settings.base_url), now=provider.update_time)
    await store.write(lambda transaction: transaction.providers.put(keyless))
    error = await _refused(prefer(store, keys, preferred="main"))
    assert error.metadata == {"field": "preferences.preferred.provider"}
    assert "must have a key" in error.message
    assert keys.asked == []


async def test_a_type_that_needs_no_key_needs_none(store: MemoryStore, keys: FakeKeys) -> None:
    command = replace(creation("local", key=None, base_url="https://llm.example/v1"), type="openai_compatible")
    await store.write(partial(create_provider, command=command))
    await store.write(add_model("m", provider=command.name))
    await prefer(store, keys, preferred="local")
    assert keys.asked == []


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (KeyCheck(usability=KeyUsability.MISSING), "does not exist; create it"),
        (KeyCheck(usability=KeyUsability.DISABLED, origin=_ORIGIN), "is disabled; enable it"),
        (KeyCheck(usability=KeyUsability.NO_VERSION, origin=_ORIGIN), "rotate it"),
        (
            KeyCheck(usability=KeyUsability.ORIGIN_MISMATCH, origin="https://old.example:443"),
            "was entered for another address than https://api.openai.com:443",
        ),
        (KeyCheck(usability=KeyUsability.USABLE, origin=_ORIGIN, refused_by_provider=True), "rotate the key"),
    ],
)
async def test_a_key_that_cannot_be_used_is_refused_with_what_to_do(
    store: MemoryStore, keys: FakeKeys, finding: KeyCheck, text: str
) -> None:
    keys.findings[_PROD] = finding
    error = await _refused(prefer(store, keys, preferred="main", tasks={"a": "main"}))
    assert [each.field for each in error.field_violations] == [
        "preferences.preferred.provider",
        "preferences.tasks[0].choice.provider",
    ]
    assert text in error.message
    assert "tenants/acme/keys/prod" in error.message
    keys.findings.clear()
    await prefer(store, keys, preferred="main")


async def test_nothing_is_saved_while_key_vault_is_down_but_what_needs_no_key(
    store: MemoryStore, keys: FakeKeys
) -> None:
    await prefer(store, keys, preferred="main")
    keys.failure = Unavailable("SERVICE_UNREACHABLE", "key_vault does not answer")
    with pytest.raises(Unavailable):
        await prefer(store, keys, preferred=("main", "m"))
    assert (await _get(store)).version == 1
    assert (await prefer(store, keys, preferred=None)).resource.settings.preferred is None


async def test_the_platform_serves_a_tenant_without_providers_of_its_own(keys: FakeKeys) -> None:
    store = MemoryStore()
    await provide(store, "shared", owner=PLATFORM)
    assert (await prefer(store, keys, preferred="shared")).resource.settings.preferred is not None


@pytest.mark.parametrize("owner", [ACME, USER])
async def test_the_platform_serves_no_one_with_providers_of_their_own_unless_the_policy_says_so(
    keys: FakeKeys, owner: Owner
) -> None:
    store = MemoryStore()
    await provide(store, "own", owner=owner, active=False)
    await provide(store, "shared", owner=PLATFORM)
    for choice in ("shared", ProviderName(PLATFORM, "shared")):
        error = await _refused(prefer(store, keys, preferred=choice))
        assert error.metadata == {"field": "preferences.preferred.provider"}
        assert "policy" in error.message
    await _allow_platform(store)
    await prefer(store, keys, preferred="shared")


async def test_what_another_user_brought_does_not_keep_the_platform_away(keys: FakeKeys) -> None:
    store = MemoryStore()
    await provide(store, "own", owner=Owner("acme", "bob"))
    await provide(store, "shared", owner=PLATFORM)
    await prefer(store, keys, preferred="shared")


async def test_only_what_changes_is_checked(store: MemoryStore, keys: FakeKeys) -> None:
    await provide(store, "spare")
    await prefer(store, keys, preferred="spare")
    await change_provider(store, "spare", active=False)
    changed = await prefer(store, keys, tasks={"a": "main"})
    assert changed.resource.settings.preferred == Choice(provider=ProviderName(ACME, "spare"))
    await _refused(prefer(store, keys, preferred="spare"))


async def test_when_an_id_comes_to_mean_another_while_keys_are_looked_at_they_are_looked_at_again(
    store: MemoryStore,
) -> None:
    class Racing(FakeKeys):
        async def check(self, wanted: Any) -> Any:
            if not self.asked:
                await provide(store, "main", owner=USER)
            return await super().check(wanted)

    keys = Racing()
    keys.findings[KeyName(USER, "prod")] = KeyCheck(usability=KeyUsability.DISABLED)
    error = await _refused(prefer(store, keys, preferred="main"))
    assert "tenants/acme/users/ann/keys/prod is disabled" in error.message
    assert [[str(name) for name, _ in asked] for asked in keys.asked] == [
        ["tenants/acme/keys/prod"],
        ["tenants/acme/users/ann/keys/prod"],
    ]


async def test_what_moves_each_time_is_given_up(store: MemoryStore) -> None:
    class Restless(FakeKeys):
        async def check(self, wanted: Any) -> Any:
            await change_provider(store, key=KeyName(ACME, f"k{len(self.asked)}"))
            return await super().check(wanted)

    keys = Restless()
    with pytest.raises(Unavailable) as caught:
        await prefer(store, keys, preferred="main")
    assert caught.value.reason == "DATABASE_BUSY"
    assert (len(keys.asked), (await _get(store)).version) == (3, 0)


async def test_what_changed_since_the_keys_were_looked_at_is_checked_again(store: MemoryStore) -> None:
    class Racing(FakeKeys):
        async def check(self, wanted: Any) -> Any:
            await change_provider(store, active=False)
            return await super().check(wanted)

    assert (await _refused(prefer(store, Racing(), preferred="main"))).metadata == {
        "field": "preferences.preferred.provider"
    }


async def test_preferences_change_with_their_etag(store: MemoryStore, keys: FakeKeys) -> None:
    with pytest.raises(Aborted):
        await prefer(store, keys, etag="etag", preferred="main")
    first = await prefer(store, keys, preferred="main")
    again = await prefer(store, keys, etag=first.resource.etag, preferred="main")
    assert (again.resource, again.revision) == (first.resource, first.revision)
    await prefer(store, keys, etag=first.resource.etag, preferred=("main", "m"))
    with pytest.raises(Aborted) as caught:
        await prefer(store, keys, etag=first.resource.etag, preferred="main")
    assert caught.value.metadata == {"name": "tenants/acme/users/ann/preferences"}


async def test_each_change_is_in_the_audit_log_of_the_tenant(store: MemoryStore, keys: FakeKeys) -> None:
    recorded = len(store.events)
    await prefer(store, keys, preferred="main")
    await prefer(store, keys, preferred="main")
    (event,) = store.events[recorded:]
    assert (event.action, event.scope, event.target, dict(event.details)) == (
        "UpdatePreferences",
        "tenants/acme",
        "tenants/acme/users/ann/preferences",
        {"fields": "preferred", "version": "1"},
    )


async def test_preferences_count_into_the_size_of_the_scope(
    store: MemoryStore, keys: FakeKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = await store.read(lambda transaction: transaction.scope_bytes(ACME))
    await prefer(store, keys, tasks={f"t{number}": "main" for number in range(64)})
    full = await store.read(lambda transaction: transaction.scope_bytes(ACME))
    assert full > empty + 64 * len(str(_MAIN))
    monkeypatch.setattr(changes, "MAX_SCOPE_BYTES", full)
    with pytest.raises(ResourceExhausted) as caught:
        await prefer(store, keys, preferred="main")
    assert (caught.value.reason, caught.value.metadata) == ("SCOPE_FULL", {"scope": "tenants/acme"})


async def test_a_user_cannot_take_the_place_of_the_tenant_and_its_other_users(
    store: MemoryStore, keys: FakeKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_USER_BYTES", 3000)
    await prefer(store, keys, preferred="main", tasks={f"t{number}": "main" for number in range(32)})
    with pytest.raises(ResourceExhausted) as caught:
        await prefer(store, keys, tasks={f"t{number}": "main" for number in range(64)})
    assert (caught.value.reason, caught.value.metadata) == ("SCOPE_FULL", {"scope": str(USER)})
    command = creation("own", owner=USER, description="x" * 2000, labels={"a": "x" * 256})
    with pytest.raises(ResourceExhausted) as caught:
        await store.write(partial(create_provider, command=command))
    assert caught.value.metadata == {"scope": str(USER)}
    # What makes it smaller is possible, and so is what others do.
    await prefer(store, keys, tasks={f"t{number}": "main" for number in range(8)})
    await prefer(store, keys, user=Owner("acme", "bob"), tasks={f"t{number}": "main" for number in range(32)})
    await provide(store, "spare", description="x" * 2000, labels={"a": "x" * 256})
    await prefer(store, keys, tasks={}, preferred="main")


async def test_a_preferred_provider_is_in_use(store: MemoryStore, keys: FakeKeys) -> None:
    await prefer(store, keys, preferred=("main", "m"))
    for model in (None, "m"):
        users = await store.read(partial(_users_of, model=model))
        assert users == ["tenants/acme/users/ann/preferences"]
    await prefer(store, keys, preferred=None)
    await store.write(drop_provider(_MAIN))


def _users_of(transaction: Any, model: str | None) -> list[str]:
    return list(transaction.users_of(_MAIN, model))
