"""Opening keys for calls: every item by itself, everything afresh."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from libs.core.errors import GatehouseError, Unauthenticated, Unavailable
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from libs.rpc.batcher import Batcher
from services.key_vault.domain.access_keys import KeyAccess, KeyAccessor
from services.key_vault.domain.commands import CreateKey, DeleteKey, RotateKey
from services.key_vault.domain.create_key import KeyCreator
from services.key_vault.domain.delete_key import delete_key
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.errors import invalid_field, vault_sealed
from services.key_vault.domain.key import OpenedKey
from services.key_vault.domain.open_keys import KeyOpener, KeyUse, Opened
from services.key_vault.domain.permission import Bearer
from services.key_vault.domain.rotate_key import KeyRotator
from tests.unit.key_vault.memory import FakeVault, HandClock, MemoryStore

ORIGIN = "https://api.openai.com:443"
TENANT_KEY = KeyName.parse("tenants/acme/keys/openai")
BOBS_KEY = KeyName.parse("tenants/acme/users/bob/keys/openai")
GLOBEX_KEY = KeyName.parse("tenants/globex/keys/openai")
PLATFORM_KEY = KeyName.parse("platform/keys/openai")


class Tokens:
    """Knows the tokens `tenant/user`, and counts how often it is asked for each."""

    def __init__(self) -> None:
        self.asked: Counter[bytes] = Counter()

    async def __call__(self, token: bytes) -> Bearer:
        self.asked[token] += 1
        tenant, _, user = token.decode().partition("/")
        if not user:
            raise Unauthenticated("TOKEN_EXPIRED", "expired")
        return Bearer(tenant=tenant, user=user)


class World:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.vault = FakeVault()
        self.tokens = Tokens()
        digests, clock, uids = Digests(Secret(b"k" * 32)), HandClock(), map(str, itertools.count())
        self.create = KeyCreator(
            store=self.store, sealer=self.vault, digests=digests, clock=clock, new_uid=lambda: next(uids)
        )
        self.rotate = KeyRotator(store=self.store, sealer=self.vault, digests=digests, clock=clock)
        self.rounds: Batcher[KeyUse, Opened] = Batcher(KeyOpener(store=self.store, vault=self.vault))
        self.access = KeyAccessor(bearers=self.tokens, submit=self.rounds.submit)

    async def open(self, *items: KeyAccess | GatehouseError) -> list[bytes | str]:
        """The material in clear or the reason of each item."""
        self.store.reads = 0
        return [
            result.material.reveal() if isinstance(result, OpenedKey) else result.reason
            for result in await self.access(items)
        ]


def item(name: KeyName = TENANT_KEY, token: bytes = b"acme/bob", origin: str = ORIGIN) -> KeyAccess:
    return KeyAccess(name=name, origin=origin, caller_token=token)


def material(name: KeyName) -> bytes:
    return f"sk-{name}".encode()


@pytest.fixture
async def world() -> World:
    world = World()
    for name in (TENANT_KEY, BOBS_KEY, GLOBEX_KEY, PLATFORM_KEY):
        await world.create(CreateKey(name=name, provider_type="openai", origin=ORIGIN, material=Secret(material(name))))
    return world


async def test_a_batch_is_opened_with_one_query_and_one_vault_request(world: World) -> None:
    opened = await world.open(item(), item(BOBS_KEY), item(PLATFORM_KEY), item(GLOBEX_KEY, b"globex/hank"))
    assert opened == [material(TENANT_KEY), material(BOBS_KEY), material(PLATFORM_KEY), material(GLOBEX_KEY)]
    assert world.store.reads == 1
    assert world.vault.batches == [4]


async def test_each_distinct_token_is_verified_once(world: World) -> None:
    await world.open(item(), item(BOBS_KEY), item(token=b"acme/eve"), item())
    assert world.tokens.asked == {b"acme/bob": 1, b"acme/eve": 1}


async def test_the_same_key_in_a_batch_is_opened_once_for_all(world: World) -> None:
    assert await world.open(item(), item(token=b"acme/eve"), item()) == [material(TENANT_KEY)] * 3
    assert world.vault.batches == [1]


async def test_items_fail_by_themselves(world: World) -> None:
    missing = KeyName.parse("tenants/acme/keys/missing")
    opened = await world.open(
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


async def test_what_exists_elsewhere_cannot_be_told_from_what_does_not(world: World) -> None:
    nowhere = KeyName.parse("tenants/globex/keys/nowhere")
    world.store.reads = 0
    there, not_there = await world.access([item(GLOBEX_KEY), item(nowhere)])
    assert isinstance(there, GatehouseError)
    assert isinstance(not_there, GatehouseError)
    assert (there.kind, there.reason, there.message, there.metadata) == (
        not_there.kind,
        not_there.reason,
        not_there.message,
        not_there.metadata,
    )
    assert world.store.reads == 0


async def test_a_key_for_another_origin_never_reaches_vault(world: World) -> None:
    assert await world.open(item(origin="http://api.openai.com:80")) == ["ORIGIN_MISMATCH"]
    assert world.vault.batches == []


async def test_rotating_acts_on_the_next_access(world: World) -> None:
    assert await world.open(item()) == [material(TENANT_KEY)]
    await world.rotate(RotateKey(name=TENANT_KEY, material=Secret(b"sk-new-0123456789")))
    assert await world.open(item()) == [b"sk-new-0123456789"]


async def test_deleting_acts_on_the_next_access(world: World) -> None:
    await world.open(item())
    await world.store.write(lambda transaction: delete_key(transaction, DeleteKey(name=TENANT_KEY)))
    assert await world.open(item()) == ["KEY_NOT_FOUND"]


async def test_a_ciphertext_moved_to_another_row_does_not_open_while_others_do(world: World) -> None:
    rows = world.store.content.rows
    rows[BOBS_KEY] = (rows[BOBS_KEY][0], rows[GLOBEX_KEY][1])
    assert await world.open(item(BOBS_KEY), item()) == ["KEY_UNREADABLE", material(TENANT_KEY)]


async def test_a_ciphertext_of_another_version_does_not_open(world: World) -> None:
    rows = world.store.content.rows
    key, ciphertext = rows[TENANT_KEY]
    rows[TENANT_KEY] = (replace(key, version=2), ciphertext)
    assert await world.open(item()) == ["KEY_UNREADABLE"]


async def test_a_failing_vault_fails_the_items_that_need_it(world: World) -> None:
    world.vault.failure = vault_sealed()
    opened = await world.open(item(), item(GLOBEX_KEY), item(origin="https://evil.example:443"))
    assert opened[:2] == ["VAULT_SEALED", "PERMISSION_DENIED"]


async def test_a_failing_database_fails_every_permitted_item(world: World) -> None:
    world.store.failure = Unavailable("DATABASE_UNAVAILABLE", "down")
    assert await world.open(item(), item(BOBS_KEY)) == ["DATABASE_UNAVAILABLE"] * 2


async def test_neither_token_nor_material_is_in_a_repr(world: World) -> None:
    access = item(token=b"acme/canary-token")
    results = await world.access([access])
    shown = repr(
        (
            access,
            results,
            world.access,
            CreateKey(name=TENANT_KEY, provider_type="openai", origin=ORIGIN, material=Secret(material(TENANT_KEY))),
        )
    )
    assert "canary-token" not in shown
    assert material(TENANT_KEY).decode() not in shown
