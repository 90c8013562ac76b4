"""Opening keys for calls: every item by itself, everything afresh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from libs.core.errors import GatehouseError, Unauthenticated, Unavailable
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from libs.rpc.batcher import Batcher
from services.key_vault.domain.access_keys import KeyAccess, KeyAccessor
from services.key_vault.domain.commands import (
    CreateKey,
    DeleteKey,
    DestroyKeyVersion,
    RollbackKey,
    RotateKey,
    SetKeyState,
)
from services.key_vault.domain.delete_key import delete_key
from services.key_vault.domain.destroy_key_version import destroy_key_version
from services.key_vault.domain.errors import invalid_field, vault_sealed
from services.key_vault.domain.key import KeyState, OpenedKey
from services.key_vault.domain.key_use import OpenedVersion
from services.key_vault.domain.open_keys import KeyUse, Opened
from services.key_vault.domain.permission import Bearer
from services.key_vault.domain.rollback_key import rollback_key
from services.key_vault.domain.set_key_state import set_key_state
from tests.unit.key_vault.world import ANN, NEW, ORIGIN, World

TENANT_KEY = KeyName.parse("tenants/acme/keys/openai")
BOBS_KEY = KeyName.parse("tenants/acme/users/bob/keys/openai")
GLOBEX_KEY = KeyName.parse("tenants/globex/keys/openai")
PLATFORM_KEY = KeyName.parse("platform/keys/openai")
ROTATE = RotateKey(name=TENANT_KEY, author=ANN, material=NEW)


class Tokens:
    """Knows the tokens `tenant/user`, and counts how often it is asked for each."""

    def __init__(self) -> None:
        self.asked: Counter[bytes] = Counter()

    async def __call__(self, token: bytes) -> Bearer:
        self.asked[token] += 1
        tenant, _, user = token.decode().partition("/")
        if not user:
            raise Unauthenticated("TOKEN_EXPIRED", "expired")
        role = "tenant_admin" if user == "ann" else "member"
        return Bearer(tenant=tenant, user=user, actor=f"tenants/{tenant}/users/{user}", roles=(role,))


class Calls(World):
    """A world that the router's calls come to."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = Tokens()
        self.denied: list[tuple[str, str, str]] = []
        self.rounds: Batcher[KeyUse, Opened] = Batcher(self.open)
        self.access = KeyAccessor(bearers=self.tokens, submit=self.rounds.submit, denied=self._deny)

    async def results(self, *items: KeyAccess | GatehouseError) -> list[bytes | str]:
        """The material in clear or the reason of each item."""
        self.store.reads = 0
        return [
            result.material.reveal() if isinstance(result, OpenedKey) else result.reason
            for result in await self.access(items, "req-7")
        ]

    async def opened(self, access: KeyAccess) -> OpenedKey:
        """The only item, opened."""
        (result,) = await self.access([access], "req-7")
        assert isinstance(result, OpenedKey)
        return result

    def _deny(self, bearer: Bearer, name: KeyName, request_id: str) -> None:
        self.denied.append((bearer.actor, str(name), request_id))


def item(
    name: KeyName = TENANT_KEY, token: bytes = b"acme/bob", origin: str = ORIGIN, *, version: int = 0
) -> KeyAccess:
    return KeyAccess(name=name, origin=origin, caller_token=token, service="router", version=version)


def material(name: KeyName) -> bytes:
    return f"sk-{name}".encode()


def creation(name: KeyName) -> CreateKey:
    return CreateKey(name=name, author=ANN, provider_type="openai", origin=ORIGIN, material=Secret(material(name)))


@pytest.fixture
async def world() -> Calls:
    world = Calls()
    for name in (TENANT_KEY, BOBS_KEY, GLOBEX_KEY, PLATFORM_KEY):
        await world.create(creation(name))
    return world


async def test_a_batch_is_opened_with_one_query_and_one_vault_request(world: Calls) -> None:
    opened = await world.results(item(), item(BOBS_KEY), item(PLATFORM_KEY), item(GLOBEX_KEY, b"globex/hank"))
    assert opened == [material(TENANT_KEY), material(BOBS_KEY), material(PLATFORM_KEY), material(GLOBEX_KEY)]
    assert world.store.reads == 1
    assert world.vault.batches == [4]


async def test_an_admin_opens_a_users_key_for_a_test_and_for_nothing_else(world: Calls) -> None:
    bobs = item(BOBS_KEY, b"acme/ann")
    assert await world.results(bobs, replace(bobs, probe=True)) == ["PERMISSION_DENIED", material(BOBS_KEY)]
    others = [replace(item(name, b"acme/eve"), probe=True) for name in (BOBS_KEY, GLOBEX_KEY)]
    assert await world.results(*others) == ["PERMISSION_DENIED"] * 2


async def test_each_distinct_token_is_verified_once(world: Calls) -> None:
    await world.results(item(), item(BOBS_KEY), item(token=b"acme/eve"), item())
    assert world.tokens.asked == {b"acme/bob": 1, b"acme/eve": 1}


async def test_the_same_key_in_a_batch_is_opened_once_for_all(world: Calls) -> None:
    assert await world.results(item(), item(token=b"acme/eve"), item()) == [material(TENANT_KEY)] * 3
    assert world.vault.batches == [1]


async def test_items_fail_by_themselves(world: Calls) -> None:
    missing = KeyName.parse("tenants/acme/keys/missing")
    opened = await world.results(
        invalid_field("items[0].name", "is wrong"),
        item(token=b"expired"),
        item(GLOBEX_KEY),
        item(missing),
        item(origin="https://evil.example:443"),
        item(),
    )
    assert opened == [
        "INVALID_FIELD",
        "TOKEN_EXPIRED",
        "PERMISSION_DENIED",
        "KEY_NOT_FOUND",
        "ORIGIN_MISMATCH",
        material(TENANT_KEY),
    ]
    assert world.vault.batches == [1]


async def test_what_exists_elsewhere_cannot_be_told_from_what_does_not(world: Calls) -> None:
    nowhere = KeyName.parse("tenants/globex/keys/nowhere")
    world.store.reads = 0
    there, not_there = await world.access([item(GLOBEX_KEY), item(nowhere)], "req-7")
    assert isinstance(there, GatehouseError)
    assert isinstance(not_there, GatehouseError)
    assert (there.kind, there.reason, there.message, there.metadata) == (
        not_there.kind,
        not_there.reason,
        not_there.message,
        not_there.metadata,
    )
    assert world.store.reads == 0


async def test_whoever_reaches_for_another_tenants_key_is_told_of(world: Calls) -> None:
    await world.results(item(), item(GLOBEX_KEY), item(BOBS_KEY, b"acme/eve"), item(token=b"expired"))
    assert world.denied == [
        ("tenants/acme/users/bob", str(GLOBEX_KEY), "req-7"),
        ("tenants/acme/users/eve", str(BOBS_KEY), "req-7"),
    ]


async def test_a_key_for_another_origin_never_reaches_vault(world: Calls) -> None:
    assert await world.results(item(origin="http://api.openai.com:80")) == ["ORIGIN_MISMATCH"]
    assert world.vault.batches == []


async def test_rotating_acts_on_the_next_access(world: Calls) -> None:
    assert await world.results(item()) == [material(TENANT_KEY)]
    await world.rotate(ROTATE)
    assert await world.results(item()) == [NEW.reveal()]


async def test_deleting_acts_on_the_next_access(world: Calls) -> None:
    await world.results(item())
    await world.change(delete_key, DeleteKey(name=TENANT_KEY, author=ANN))
    assert await world.results(item(), item(version=1)) == ["KEY_NOT_FOUND", "KEY_VERSION_RETIRED"]


async def test_disabling_and_enabling_act_on_the_next_access(world: Calls) -> None:
    await world.rotate(replace(ROTATE, overlap=timedelta(hours=1)))
    await world.change(set_key_state, SetKeyState(name=TENANT_KEY, author=ANN, state=KeyState.DISABLED))
    assert await world.results(item(), item(version=1), item(BOBS_KEY)) == [
        "KEY_DISABLED",
        "KEY_DISABLED",
        material(BOBS_KEY),
    ]
    assert world.vault.batches == [1]
    await world.change(set_key_state, SetKeyState(name=TENANT_KEY, author=ANN, state=KeyState.ACTIVE))
    assert await world.results(item()) == [NEW.reveal()]


async def test_the_version_that_overlaps_is_named_and_opens_until_its_overlap_ends(world: Calls) -> None:
    await world.rotate(replace(ROTATE, overlap=timedelta(seconds=10)))
    opened = await world.opened(item())
    assert (opened.version, opened.fallback_version) == (2, 1)
    fallback = await world.opened(item(version=1))
    assert (fallback.material.reveal(), fallback.version, fallback.fallback_version) == (material(TENANT_KEY), 1, 0)
    world.clock.seconds += 10
    assert (await world.opened(item())).fallback_version == 0
    assert await world.results(item(version=1)) == ["KEY_VERSION_RETIRED"]


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_a_version_that_is_not_usable_is_not_opened(world: Calls, version: int) -> None:
    await world.rotate(ROTATE)
    await world.rotate(replace(ROTATE, material=Secret(b"sk-third-0123456789"), overlap=timedelta(hours=1)))
    await world.change(rollback_key, RollbackKey(name=TENANT_KEY, author=ANN, version=2))
    await world.change(destroy_key_version, DestroyKeyVersion(name=TENANT_KEY, author=ANN, version=3))
    expected: list[bytes | str] = [NEW.reveal()] if version == 2 else ["KEY_VERSION_RETIRED"]
    assert await world.results(item(version=version)) == expected


async def test_the_version_in_use_can_be_asked_for_by_its_number(world: Calls) -> None:
    assert await world.results(item(version=1), item()) == [material(TENANT_KEY)] * 2
    assert world.vault.batches == [1]


async def test_a_named_version_is_for_the_same_callers_and_origin(world: Calls) -> None:
    opened = await world.results(
        item(GLOBEX_KEY, version=1), item(origin="https://evil.example:443", version=1), item(version=99)
    )
    assert opened == ["PERMISSION_DENIED", "ORIGIN_MISMATCH", "KEY_VERSION_RETIRED"]


async def test_a_ciphertext_moved_to_another_row_does_not_open_while_others_do(world: Calls) -> None:
    ciphertexts = world.store.content.ciphertexts
    ciphertexts[world.key(BOBS_KEY).uid, 1] = ciphertexts[world.key(GLOBEX_KEY).uid, 1]
    assert await world.results(item(BOBS_KEY), item()) == ["KEY_UNREADABLE", material(TENANT_KEY)]


async def test_a_ciphertext_of_another_version_does_not_open(world: Calls) -> None:
    await world.rotate(ROTATE)
    uid = world.key(TENANT_KEY).uid
    world.store.content.ciphertexts[uid, 2] = world.store.content.ciphertexts[uid, 1]
    assert await world.results(item()) == ["KEY_UNREADABLE"]


async def test_a_failing_vault_fails_the_items_that_need_it(world: Calls) -> None:
    world.vault.failure = vault_sealed()
    opened = await world.results(item(), item(GLOBEX_KEY), item(origin="https://evil.example:443"))
    assert opened == ["VAULT_SEALED", "PERMISSION_DENIED", "ORIGIN_MISMATCH"]


async def test_a_failing_database_fails_every_permitted_item(world: Calls) -> None:
    world.store.failure = Unavailable("DATABASE_UNAVAILABLE", "down")
    assert await world.results(item(), item(BOBS_KEY)) == ["DATABASE_UNAVAILABLE"] * 2


async def test_what_was_opened_is_counted_for_each_use_with_vaults_request(world: Calls) -> None:
    await world.results(item(), item(token=b"acme/eve"), item(BOBS_KEY), item(origin="https://evil.example:443"))
    of_tenant = OpenedVersion(TENANT_KEY, world.key(TENANT_KEY).uid, 1, "router")
    of_bob = OpenedVersion(BOBS_KEY, world.key(BOBS_KEY).uid, 1, "router")
    assert world.used == [(version, "vault-request-1") for version in (of_tenant, of_tenant, of_bob)]


async def test_what_could_not_be_opened_is_not_counted(world: Calls) -> None:
    world.store.content.ciphertexts[world.key(BOBS_KEY).uid, 1] = "vault:v1:YQ==.YQ=="
    await world.results(item(BOBS_KEY))
    world.vault.failure = vault_sealed()
    await world.results(item())
    assert world.used == []


async def test_nothing_is_asked_when_nothing_is_to_be_opened(world: Calls) -> None:
    results: Sequence[bytes | str] = await world.results(invalid_field("items[0].name", "is wrong"))
    assert results == ["INVALID_FIELD"]
    assert (world.store.reads, world.vault.batches) == (0, [])


async def test_neither_token_nor_material_is_in_a_repr(world: Calls) -> None:
    access = item(token=b"acme/canary-token")
    results = await world.access([access], "req-7")
    shown = repr((access, results, world.access, world.open, creation(TENANT_KEY), ROTATE))
    assert "canary-token" not in shown
    assert material(TENANT_KEY).decode() not in shown
    assert NEW.reveal().decode() not in shown
