"""Creating, rotating and deleting keys."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from libs.core.errors import Aborted, AlreadyExists, InvalidArgument, NotFound, Unavailable
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from services.key_vault.domain.commands import CreateKey, DeleteKey, RotateKey
from services.key_vault.domain.create_key import KeyCreator
from services.key_vault.domain.delete_key import delete_key
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.errors import vault_sealed
from services.key_vault.domain.key import Key
from services.key_vault.domain.ports import Ciphertext, Request
from services.key_vault.domain.rotate_key import KeyRotator
from services.key_vault.domain.sealing import sealing_context
from tests.unit.key_vault.memory import FakeVault, HandClock, MemoryStore

NAME = KeyName.parse("tenants/acme/keys/openai")
OLD, NEW = Secret(b"sk-old-0123456789"), Secret(b"sk-new-9876543210")


class World:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.vault = FakeVault()
        self.clock = HandClock()
        self.digests = Digests(Secret(b"k" * 32))
        uids = (f"uid-{number}" for number in itertools.count(1))
        parts: dict[str, Any] = {
            "store": self.store,
            "sealer": self.vault,
            "digests": self.digests,
            "clock": self.clock,
        }
        self.create = KeyCreator(**parts, new_uid=lambda: next(uids))
        self.rotate = KeyRotator(**parts)

    async def material(self, name: KeyName = NAME) -> Secret | None:
        key, ciphertext = self.store.content.rows[name]
        (material,) = await self.vault.open(
            [Ciphertext(text=ciphertext, context=sealing_context(name.owner, key.uid, key.version))]
        )
        return material


@pytest.fixture
def world() -> World:
    return World()


def a_request(method: str, digest: bytes = b"d") -> Request:
    return Request(caller="acme/bob", method=method, request_id="r", digest=digest)


CREATE = CreateKey(name=NAME, provider_type="openai", origin="https://api.openai.com:443", material=OLD)
ROTATE = RotateKey(name=NAME, material=NEW)


async def test_a_created_key_opens_to_its_material(world: World) -> None:
    key = await world.create(CREATE)
    assert await world.material() == OLD
    assert (key.version, key.revision, key.mask, key.rotate_time) == (1, 1, "…6789", None)


async def test_a_taken_name_costs_no_vault_call(world: World) -> None:
    await world.create(CREATE)
    with pytest.raises(AlreadyExists, match="exists already"):
        await world.create(CREATE)
    assert world.vault.sealed == 1


async def test_a_name_taken_while_vault_seals_is_noticed(world: World) -> None:
    other = replace(await world.create(replace(CREATE, validate_only=True)), uid="of somebody else")
    world.vault.while_sealing = lambda: world.store.content.add(other, "theirs")
    with pytest.raises(AlreadyExists):
        await world.create(CREATE)
    assert world.store.content.rows[NAME] == (other, "theirs")


async def test_nothing_is_stored_when_vault_cannot_seal(world: World) -> None:
    world.vault.failure = vault_sealed()
    with pytest.raises(Unavailable, match="sealed"):
        await world.create(replace(CREATE, request=a_request("CreateKey")))
    assert world.store.content.rows == {}
    assert world.store.content.remembered == {}


async def test_validate_only_answers_what_would_be_and_stores_nothing(world: World) -> None:
    key = await world.create(replace(CREATE, validate_only=True, request=a_request("CreateKey")))
    assert (key.name, key.mask) == (NAME, "…6789")
    assert world.store.content.rows == {}
    assert world.store.content.remembered == {}


async def test_validate_only_finds_a_taken_name(world: World) -> None:
    await world.create(CREATE)
    with pytest.raises(AlreadyExists):
        await world.create(replace(CREATE, validate_only=True))


async def test_a_repeated_create_answers_the_same_even_when_the_key_is_gone_and_vault_sealed(world: World) -> None:
    command = replace(CREATE, request=a_request("CreateKey"))
    first = await world.create(command)
    await world.store.write(lambda transaction: delete_key(transaction, DeleteKey(name=NAME)))
    world.vault.failure = vault_sealed()
    assert await world.create(command) == first


async def test_a_request_id_for_another_request_is_refused(world: World) -> None:
    await world.create(replace(CREATE, request=a_request("CreateKey")))
    with pytest.raises(InvalidArgument):
        await world.create(replace(CREATE, request=a_request("CreateKey", b"other")))


async def test_two_equal_requests_at_once_make_one_key(world: World) -> None:
    command = replace(CREATE, request=a_request("CreateKey"))
    first: list[Key] = []

    def meanwhile() -> None:
        world.vault.while_sealing = lambda: None
        key = replace(base, uid="the other's")
        world.store.content.add(key, "theirs")
        world.store.content.remember(a_request("CreateKey"), key, now=world.clock.now())
        first.append(key)

    base = await world.create(replace(CREATE, validate_only=True))
    world.vault.while_sealing = meanwhile
    assert [await world.create(command)] == first


async def test_rotating_replaces_material_mask_and_fingerprint(world: World) -> None:
    before = await world.create(CREATE)
    world.clock.seconds += 60
    after = await world.rotate(ROTATE)
    assert await world.material() == NEW
    assert (after.version, after.revision, after.mask) == (2, 2, "…3210")
    assert after.fingerprint != before.fingerprint
    assert after.etag != before.etag
    assert (after.uid, after.create_time, after.rotate_time) == (before.uid, before.create_time, world.clock.now())


async def test_a_stale_etag_rotates_and_deletes_nothing(world: World) -> None:
    stale = (await world.create(CREATE)).etag
    current = await world.rotate(ROTATE)
    with pytest.raises(Aborted):
        await world.rotate(replace(ROTATE, etag=stale))
    with pytest.raises(Aborted):
        await world.store.write(lambda transaction: delete_key(transaction, DeleteKey(name=NAME, etag=stale)))
    assert world.store.content.get(NAME) == current


async def test_rotating_or_deleting_a_missing_key_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.rotate(ROTATE)
    with pytest.raises(NotFound):
        await world.store.write(lambda transaction: delete_key(transaction, DeleteKey(name=NAME)))


async def test_the_old_material_stays_when_vault_cannot_seal_the_new(world: World) -> None:
    await world.create(CREATE)
    world.vault.failure = vault_sealed()
    with pytest.raises(Unavailable):
        await world.rotate(ROTATE)
    world.vault.failure = None
    assert await world.material() == OLD


async def test_whoever_loses_a_race_seals_again_for_the_version_it_gets(world: World) -> None:
    created = await world.create(CREATE)
    others = iter([created.rotated(mask="…", fingerprint="f", now=world.clock.now())])

    def overtaken() -> None:
        for other in others:
            world.store.content.replace_material(other, "theirs")

    world.vault.while_sealing = overtaken
    assert (await world.rotate(ROTATE)).version == 3
    assert await world.material() == NEW


async def test_whoever_loses_a_race_with_an_etag_is_told(world: World) -> None:
    created = await world.create(CREATE)
    other = created.rotated(mask="…", fingerprint="f", now=world.clock.now())
    world.vault.while_sealing = lambda: world.store.content.replace_material(other, "theirs")
    with pytest.raises(Aborted):
        await world.rotate(replace(ROTATE, etag=created.etag))
    assert world.store.content.rows[NAME] == (other, "theirs")


async def test_a_key_that_never_stands_still_ends_in_aborted(world: World) -> None:
    await world.create(CREATE)

    def overtaken() -> None:
        current = world.store.content.rows[NAME][0]
        other = current.rotated(mask="…", fingerprint="f", now=world.clock.now())
        world.store.content.replace_material(other, "theirs")

    world.vault.while_sealing = overtaken
    with pytest.raises(Aborted):
        await world.rotate(ROTATE)


async def test_a_repeated_rotation_happens_once(world: World) -> None:
    await world.create(CREATE)
    command = replace(ROTATE, request=a_request("RotateKey"))
    first = await world.rotate(command)
    assert await world.rotate(command) == first
    assert first.version == 2
    world.clock.seconds += 24 * 3600
    assert (await world.rotate(command)).version == 3


def test_fingerprints_depend_on_owner_material_and_key() -> None:
    digests = Digests(Secret(b"k" * 32))
    fingerprint = digests.fingerprint(NAME.owner, OLD)
    assert fingerprint == digests.fingerprint(NAME.owner, OLD)
    assert len(fingerprint) == 16
    assert fingerprint != digests.fingerprint(NAME.owner, NEW)
    assert fingerprint != digests.fingerprint(KeyName.parse("platform/keys/x").owner, OLD)
    assert fingerprint != Digests(Secret(b"other" * 8)).fingerprint(NAME.owner, OLD)
