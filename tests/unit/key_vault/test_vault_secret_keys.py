"""Keys that stay in the operator's Vault: taken up after a look, read for each call, gone when the operator says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from libs.core.errors import FailedPrecondition, GatehouseError
from libs.core.resource_names import KeyName, Owner
from libs.core.secret import Secret
from services.key_vault.domain.commands import CreateKey, RollbackKey, RotateKey
from services.key_vault.domain.errors import vault_sealed, vault_secret_denied, vault_unreachable
from services.key_vault.domain.key import OpenedKey, VaultSecretRef
from services.key_vault.domain.open_keys import KeyOpener, KeyUse
from services.key_vault.domain.ports import SecretReference
from services.key_vault.domain.rollback_key import rollback_key
from services.key_vault.domain.take_material import MaterialTaker
from services.key_vault.vault.allowed_secrets import AllowedSecretsFile
from tests.unit.key_vault.memory import MemoryContent
from tests.unit.key_vault.world import ANN, CREATE, NAME, NEW, OLD, ORIGIN, World

REFERENCE = VaultSecretRef("acme-openai")
CREATE_REFERENCED = replace(CREATE, material=REFERENCE)
MASKED = Secret("sk-…6789".encode())


@pytest.fixture
def world() -> World:
    world = World()
    world.secrets.values["acme-openai"] = OLD
    return world


async def results(world: World, *names: KeyName, version: int = 0) -> list[bytes | str]:
    uses = [KeyUse(name=name, origin=ORIGIN, service="router", version=version) for name in names or (NAME,)]
    return [each.material.reveal() if isinstance(each, OpenedKey) else each.reason for each in await world.open(uses)]


async def test_a_key_can_stay_in_the_operators_vault(world: World) -> None:
    key = (await world.create(CREATE_REFERENCED)).key
    assert (key.current.vault_secret, key.current.mask) == (REFERENCE, "…6789")
    assert key.current.fingerprint == world.digests.fingerprint(NAME.owner, OLD)
    assert (world.vault.sealed, set(world.store.content.ciphertexts.values())) == (0, {""})
    assert await results(world) == [OLD.reveal()]


async def test_it_is_read_for_each_call(world: World) -> None:
    await world.create(CREATE_REFERENCED)
    assert await results(world) == [OLD.reveal()]
    world.secrets.values["acme-openai"] = NEW
    assert await results(world) == [NEW.reveal()]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "VAULT_SECRET_MISSING"),
        (MASKED, "VAULT_SECRET_MISSING"),
        (Secret(b"<html>not a key</html>"), "VAULT_SECRET_MISSING"),
        (Secret(b"short"), "VAULT_SECRET_MISSING"),
        (Secret(OLD.reveal() + b"\n"), "VAULT_SECRET_MISSING"),
        (vault_secret_denied("acme-openai"), "VAULT_SECRET_DENIED"),
        (vault_unreachable(), "VAULT_UNREACHABLE"),
        ("not allowed", "VAULT_SECRET_NOT_ALLOWED"),
    ],
)
async def test_what_cannot_be_read_or_is_no_key_is_neither_taken_up_nor_sent(
    world: World, value: Secret | GatehouseError | str | None, reason: str
) -> None:
    await world.create(replace(CREATE_REFERENCED, name=KeyName(Owner("acme"), "before")))
    if isinstance(value, str):
        del world.secrets.values["acme-openai"]
    else:
        world.secrets.values["acme-openai"] = value
    before = world.store.content.snapshot()
    with pytest.raises(GatehouseError) as caught:
        await world.create(CREATE_REFERENCED)
    assert caught.value.reason == reason
    assert world.store.content == before
    assert await results(world, KeyName(Owner("acme"), "before")) == [reason]
    assert world.used == []


async def test_taking_one_up_can_be_tried_without_storing_anything(world: World) -> None:
    answer = await world.create(replace(CREATE_REFERENCED, validate_only=True))
    assert answer.key.current.mask == "…6789"
    assert world.store.content == MemoryContent()
    world.secrets.values["acme-openai"] = None
    with pytest.raises(FailedPrecondition):
        await world.create(replace(CREATE_REFERENCED, validate_only=True))


async def test_a_key_moves_into_the_operators_vault_and_back(world: World) -> None:
    await world.create(CREATE)
    rotate = RotateKey(name=NAME, author=ANN, material=REFERENCE, overlap=timedelta(hours=1))
    moved = (await world.rotate(rotate)).key
    assert (moved.version, moved.current.vault_secret) == (2, REFERENCE)
    assert await results(world) == [OLD.reveal()]
    assert await results(world, version=1) == [OLD.reveal()]
    back = (await world.rotate(replace(rotate, material=NEW))).key
    assert (back.current.vault_secret, back.versions[1].vault_secret) == (None, REFERENCE)
    assert await results(world) == [NEW.reveal()]
    assert await results(world, version=2) == [OLD.reveal()]
    await world.change(rollback_key, RollbackKey(name=NAME, author=ANN, version=2))
    assert await results(world) == [OLD.reveal()]


async def test_the_same_secret_with_the_same_value_is_no_rotation_and_with_another_it_is(world: World) -> None:
    await world.create(CREATE_REFERENCED)
    rotate = RotateKey(name=NAME, author=ANN, material=REFERENCE)
    with pytest.raises(FailedPrecondition) as caught:
        await world.rotate(rotate)
    assert caught.value.reason == "KEY_UNCHANGED"
    assert (await world.rotate(replace(rotate, material=VaultSecretRef("acme-openai", 3)))).key.version == 2
    world.secrets.values["acme-openai"] = NEW
    key = (await world.rotate(replace(rotate, material=VaultSecretRef("acme-openai", 3)))).key
    assert (key.version, key.current.mask) == (3, "…3210")


async def test_sealed_and_referenced_keys_of_a_batch_do_not_hinder_each_other(world: World) -> None:
    sealed, missing = KeyName(Owner("acme"), "sealed"), KeyName(Owner("acme"), "missing")
    await world.create(replace(CREATE, name=sealed, material=NEW))
    await world.create(CREATE_REFERENCED)
    world.secrets.values["gone"] = OLD
    await world.create(replace(CREATE_REFERENCED, name=missing, material=VaultSecretRef("gone")))
    world.secrets.values["gone"] = None
    assert await results(world, sealed, NAME, missing) == [NEW.reveal(), OLD.reveal(), "VAULT_SECRET_MISSING"]
    world.vault.failure = vault_sealed()
    assert await results(world, sealed, NAME) == ["VAULT_SEALED", OLD.reveal()]
    assert [request_id for _, request_id in world.used] == ["vault-request-1", "", ""]


class Reads:
    """`SecretReader` that remembers what it was asked for."""

    def __init__(self, world: World) -> None:
        self.asked: list[list[SecretReference]] = []
        self.failure: GatehouseError | None = None
        self._world = world

    async def read_secrets(self, references: Sequence[SecretReference]) -> Sequence[Secret | GatehouseError]:
        self.asked.append(list(references))
        if self.failure is not None:
            raise self.failure
        return await self._world.secrets.read_secrets(references)


async def test_keys_with_the_same_secret_are_read_once(world: World) -> None:
    others = [KeyName(Owner("acme"), f"k{number}") for number in range(3)]
    for name in others[:2]:
        await world.create(replace(CREATE_REFERENCED, name=name))
    pinned = VaultSecretRef("acme-openai", 2)
    await world.create(replace(CREATE_REFERENCED, name=others[2], material=pinned))
    reads = Reads(world)
    opener = replace(world.open, secrets=reads)
    uses = [KeyUse(name=name, origin=ORIGIN, service="router") for name in (*others, others[0])]
    assert [isinstance(each, OpenedKey) for each in await opener(uses)] == [True] * 4
    (asked,) = reads.asked
    assert [reference.version for reference in asked] == [None, 2]


async def test_a_reader_that_fails_as_a_whole_fails_the_referenced_keys_only(world: World) -> None:
    sealed = KeyName(Owner("acme"), "sealed")
    await world.create(replace(CREATE, name=sealed, material=NEW))
    await world.create(CREATE_REFERENCED)
    reads = Reads(world)
    reads.failure = vault_unreachable()
    opener: KeyOpener = replace(world.open, secrets=reads)
    uses = [KeyUse(name=name, origin=ORIGIN, service="router") for name in (sealed, NAME)]
    opened, failed = await opener(uses)
    assert isinstance(opened, OpenedKey)
    assert isinstance(failed, GatehouseError)
    assert failed.reason == "VAULT_UNREACHABLE"


def allowed(path: Path, owner: str, origin: str = "https://api.openai.com") -> AllowedSecretsFile:
    path.write_text(
        f'[[secret]]\nid = "acme-openai"\nowner = "{owner}"\nmount = "kv"\npath = "acme-openai"\n'
        f'field = "key"\norigins = ["{origin}"]\n',
        "utf-8",
    )
    return AllowedSecretsFile(path)


@pytest.mark.parametrize(
    ("owner", "origin", "wanted", "reason"),
    [
        ("tenants/acme", "https://api.openai.com", ORIGIN, ""),
        ("tenants/acme", "https://proxy.example", "https://proxy.example:443", ""),
        ("tenants/globex", "https://api.openai.com", ORIGIN, "VAULT_SECRET_NOT_ALLOWED"),
        ("tenants/acme/users/bob", "https://api.openai.com", ORIGIN, "VAULT_SECRET_NOT_ALLOWED"),
        ("tenants/acme", "https://proxy.example", ORIGIN, "VAULT_SECRET_NOT_ALLOWED"),
    ],
)
async def test_a_key_is_taken_up_only_for_whom_and_where_the_operator_allowed_it(
    world: World, tmp_path: Path, owner: str, origin: str, wanted: str, reason: str
) -> None:
    taker = MaterialTaker(
        sealer=world.vault,
        opener=world.vault,
        secrets=world.secrets,
        allowed=allowed(tmp_path / "secrets.toml", owner, origin),
        digests=world.digests,
    )
    create = replace(world.create, materials=taker)
    try:
        await create(replace(CREATE_REFERENCED, origin=wanted))
    except FailedPrecondition as refusal:
        found = refusal.reason
    else:
        found = ""
    assert found == reason


async def test_what_the_operator_takes_back_is_not_opened_any_more(world: World, tmp_path: Path) -> None:
    await world.create(CREATE_REFERENCED)
    opener = replace(world.open, allowed=allowed(tmp_path / "secrets.toml", "tenants/acme"))
    use = KeyUse(name=NAME, origin=ORIGIN, service="router")
    (opened,) = await opener([use])
    assert isinstance(opened, OpenedKey)
    allowed(tmp_path / "secrets.toml", "tenants/globex")
    (refused,) = await opener([use])
    assert isinstance(refused, GatehouseError)
    assert refused.reason == "VAULT_SECRET_NOT_ALLOWED"


def test_a_command_with_a_reference_shows_it_and_one_with_material_does_not() -> None:
    assert "acme-openai" in repr(CREATE_REFERENCED)
    assert "sk-" not in repr(CreateKey(name=NAME, author=ANN, provider_type="x", origin=ORIGIN, material=OLD))
