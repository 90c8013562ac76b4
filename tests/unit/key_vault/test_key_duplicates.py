"""The same material twice in a tenant is noticed, and told to nobody who may not know where."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.core.audit_authors import Author
from libs.core.resource_names import KeyName, Owner
from libs.identity.caller import Caller, Role
from libs.rpc.authors import author_of
from libs.rpc.context import RequestContext
from services.key_vault.domain.author import GATEHOUSE
from services.key_vault.domain.commands import RollbackKey, RotateKey
from services.key_vault.domain.key import VaultSecretRef
from services.key_vault.domain.ports import MOST_DUPLICATES, KeyAnswer
from services.key_vault.domain.rollback_key import rollback_key
from tests.unit.key_vault.world import ANN, CREATE, NAME, NEW, OLD, World

BOB = Author(actor="tenants/acme/users/bob", tenant="acme", user="bob")
ROOT = Author(actor="platform/users/root", tenant=None, user="root", is_admin=True)
BOBS = KeyName.parse("tenants/acme/users/bob/keys/mine")
EVES = KeyName.parse("tenants/acme/users/eve/keys/hers")
GLOBEX = KeyName.parse("tenants/globex/keys/openai")
PLATFORM = KeyName.parse("platform/keys/openai")


@pytest.mark.parametrize(
    ("author", "seen"),
    [
        (ANN, [NAME, BOBS, EVES]),
        (BOB, [BOBS]),
        (ROOT, [NAME, BOBS, EVES, GLOBEX, PLATFORM]),
        (GATEHOUSE, [NAME, BOBS, EVES, GLOBEX, PLATFORM]),
    ],
)
def test_who_may_see_whose_keys(author: Author, seen: list[KeyName]) -> None:
    assert [name for name in (NAME, BOBS, EVES, GLOBEX, PLATFORM) if author.may_see(name.owner)] == seen


@pytest.mark.parametrize(
    ("caller", "author"),
    [
        (
            Caller(tenant="acme", user="ann", roles=frozenset({Role.TENANT_ADMIN, Role.MEMBER})),
            Author(
                actor="tenants/acme/users/ann",
                roles=("member", "tenant_admin"),
                tenant="acme",
                user="ann",
                is_admin=True,
            ),
        ),
        (
            Caller(tenant="acme", user="bob", roles=frozenset({Role.MEMBER})),
            Author(actor="tenants/acme/users/bob", roles=("member",), tenant="acme", user="bob", is_admin=False),
        ),
        # An operator of its own tenant sees more than that one.
        (
            Caller(tenant="acme", user="root", roles=frozenset({Role.SUPER_ADMIN})),
            Author(actor="tenants/acme/users/root", roles=("super_admin",), tenant=None, user="root", is_admin=True),
        ),
    ],
)
def test_a_caller_is_recorded_with_roles_and_address(caller: Caller, author: Author) -> None:
    context = RequestContext(
        method="/x/Y", request_id="req-1", peer="ipv4:192.0.2.7:4711", metadata={}, arrived=0, deadline=1
    )
    assert author_of(context, caller) == replace(author, address="192.0.2.7", request_id="req-1")


@pytest.fixture
async def world() -> World:
    """The same material with acme, its users, globex and the platform."""
    world = World()
    for name in (NAME, BOBS, EVES, GLOBEX, PLATFORM):
        await world.create(replace(CREATE, name=name))
    return world


async def creating(world: World, owner: Owner, author: Author) -> KeyAnswer:
    command = replace(CREATE, name=KeyName(owner, "another"), author=author)
    validated = await world.create(replace(command, validate_only=True))
    answer = await world.create(command)
    assert (validated.duplicates, validated.hidden_duplicates) == (answer.duplicates, answer.hidden_duplicates)
    return answer


async def test_an_admin_is_told_of_all_in_the_tenant_and_of_none_beyond(world: World) -> None:
    answer = await creating(world, Owner("acme"), ANN)
    assert (answer.duplicates, answer.hidden_duplicates) == ((NAME, BOBS, EVES), 0)


async def test_a_member_is_told_of_its_own_and_how_many_others_there_are(world: World) -> None:
    answer = await creating(world, Owner("acme", "bob"), BOB)
    assert (answer.duplicates, answer.hidden_duplicates) == ((BOBS,), 2)


async def test_the_platforms_keys_are_compared_with_the_platforms_alone(world: World) -> None:
    answer = await creating(world, Owner(), ROOT)
    assert (answer.duplicates, answer.hidden_duplicates) == ((PLATFORM,), 0)


async def test_another_tenants_keys_are_not_even_counted() -> None:
    world = World()
    await world.create(replace(CREATE, name=GLOBEX))
    answer = await creating(world, Owner("acme"), ANN)
    assert (answer.duplicates, answer.hidden_duplicates) == ((), 0)


async def test_many_are_named_in_order_up_to_a_bound(world: World) -> None:
    names = [KeyName(Owner("acme"), f"k{number:02}") for number in range(MOST_DUPLICATES)]
    for name in names:
        await world.create(replace(CREATE, name=name))
    answer = await creating(world, Owner("acme"), ANN)
    assert answer.duplicates == (*names,)[:MOST_DUPLICATES]
    assert answer.hidden_duplicates == 3


async def test_rotating_to_material_that_another_key_has_tells_of_it(world: World) -> None:
    rotate = RotateKey(name=BOBS, author=BOB, material=NEW, overlap=timedelta(hours=1))
    assert (await world.rotate(rotate)).duplicates == ()
    answer = await world.rotate(replace(rotate, material=OLD, author=ANN))
    assert answer.duplicates == (NAME, EVES)
    validated = await world.rotate(replace(rotate, name=EVES, material=NEW, validate_only=True))
    assert (validated.duplicates, validated.hidden_duplicates) == ((), 0)


async def test_only_what_is_in_use_counts(world: World) -> None:
    for name in (NAME, BOBS):
        await world.rotate(RotateKey(name=name, author=ANN, material=NEW))
    await world.change(rollback_key, RollbackKey(name=BOBS, author=ANN, version=1))
    answer = await creating(world, Owner("acme"), ANN)
    assert answer.duplicates == (BOBS, EVES)


async def test_a_sealed_key_and_one_in_the_operators_vault_can_be_the_same(world: World) -> None:
    world.secrets.values["acme-openai"] = OLD
    command = replace(CREATE, name=KeyName(Owner("acme"), "another"), material=VaultSecretRef("acme-openai"))
    assert (await world.create(command)).duplicates == (NAME, BOBS, EVES)
