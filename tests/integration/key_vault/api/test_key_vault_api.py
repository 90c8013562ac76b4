"""What callers and the router see of key_vault, and what nobody ever sees."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_pb2
from gatehouse.keyvault.v1 import key_service_pb2 as pb

from tests.identities import Metadata
from tests.integration.key_vault.api.served_key_vault import (
    CANARY,
    ORIGIN,
    OTHER_CANARY,
    ServedKeyVault,
    create_request,
    error_of,
)

REQUEST_ID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"


async def test_a_created_key_shows_metadata_and_opens_for_the_router(world: ServedKeyVault) -> None:
    key = await world.create()
    assert key.name == "tenants/acme/keys/openai"
    assert (key.origin, key.mask, key.version, key.state) == (
        "https://api.openai.com:443",
        "…" + CANARY[-4:],
        1,
        key_pb2.KEY_STATE_ACTIVE,
    )
    got = await world.keys.GetKey(pb.GetKeyRequest(name=key.name), metadata=world.admin)
    assert got.key == key
    assert await world.open(world.item()) == [CANARY]


async def test_rotating_and_deleting_act_on_the_next_access(world: ServedKeyVault) -> None:
    key = await world.create()
    rotate = pb.RotateKeyRequest(name=key.name, api_key=OTHER_CANARY.encode(), etag=key.etag)
    rotated = (await world.keys.RotateKey(rotate, metadata=world.admin)).key
    assert await world.open(world.item()) == [OTHER_CANARY]
    assert rotated.version == 2
    assert rotated.HasField("rotate_time")
    assert (await error_of(world.keys.RotateKey(rotate, metadata=world.admin))).reason == "ETAG_MISMATCH"
    stale = pb.DeleteKeyRequest(name=key.name, etag=key.etag)
    assert (await error_of(world.keys.DeleteKey(stale, metadata=world.admin))).reason == "ETAG_MISMATCH"
    await world.keys.DeleteKey(pb.DeleteKeyRequest(name=key.name, etag=rotated.etag), metadata=world.admin)
    assert await world.open(world.item()) == ["KEY_NOT_FOUND"]
    assert (await error_of(world.keys.GetKey(pb.GetKeyRequest(name=key.name), metadata=world.admin))).reason == (
        "KEY_NOT_FOUND"
    )


async def test_no_call_that_starts_after_a_rotation_returned_gets_the_old_key(world: ServedKeyVault) -> None:
    key = await world.create()
    returned = 1
    stale: list[tuple[int, int]] = []

    async def call() -> None:
        while returned < 10:
            started_after = returned
            response = await world.access.AccessKeys(access_pb.AccessKeysRequest(items=[world.item()]), timeout=10)
            (result,) = response.results
            if result.material.version < started_after:
                stale.append((started_after, result.material.version))

    async def rotate() -> None:
        nonlocal returned
        while returned < 10:
            request = pb.RotateKeyRequest(name=key.name, api_key=f"sk-canary-{returned}-0123456789".encode())
            returned = (await world.keys.RotateKey(request, metadata=world.admin)).key.version

    async with asyncio.timeout(60):
        await asyncio.gather(rotate(), *(call() for _ in range(8)))
    assert stale == []


async def test_many_at_once_get_each_their_own_key(world: ServedKeyVault) -> None:
    materials = {f"k{number}": f"sk-canary-{number}-0123456789" for number in range(32)}
    await asyncio.gather(*(world.create(key, api_key=material.encode()) for key, material in materials.items()))

    async def call(key: str) -> None:
        for _ in range(5):
            assert await world.open(world.item(f"tenants/acme/keys/{key}")) == [materials[key]]

    async with asyncio.timeout(60):
        await asyncio.gather(*(call(key) for key in materials for _ in range(2)))


async def test_the_largest_batch_is_opened(world: ServedKeyVault) -> None:
    await asyncio.gather(*(world.create(f"k{number}") for number in range(256)))
    items = [world.item(f"tenants/acme/keys/k{number}") for number in range(256)]
    assert await world.open(*items) == [CANARY] * 256


async def test_nobody_but_the_router_opens_keys(world: ServedKeyVault) -> None:
    await world.create()
    request = access_pb.AccessKeysRequest(items=[world.item()])
    strangers = await world.stranger("usage-accounting")
    assert (await error_of(strangers.AccessKeys(request))).reason == "PERMISSION_DENIED"
    everybody: Iterable[Metadata] = (world.identities.bearer(role) for role in ("super_admin", "tenant_admin"))
    for bearer in everybody:
        assert (await error_of(world.public_access.AccessKeys(request, metadata=bearer))).reason == "PERMISSION_DENIED"
    assert (await error_of(world.public_access.AccessKeys(request))).reason == "TOKEN_MISSING"


async def test_the_router_opens_only_what_its_caller_owns(world: ServedKeyVault) -> None:
    await world.create()
    await world.create(parent="tenants/acme/users/bob")
    bobs = "tenants/acme/users/bob/keys/openai"
    expired = world.item()
    expired.caller_token = world.identities.token("member", expires_in_s=-3600).encode()
    forged = world.item()
    forged.caller_token = forged.caller_token[:-4] + b"AAAA"
    assert await world.open(
        world.item(),
        world.item(bobs),
        world.item(bobs, user="eve"),
        world.item(tenant="globex"),
        world.item("tenants/globex/keys/any"),
        world.item(origin="https://evil.example"),
        world.item(origin=ORIGIN + "/v1"),
        expired,
        forged,
    ) == [
        CANARY,
        CANARY,
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        "ORIGIN_MISMATCH",
        CANARY,
        "TOKEN_EXPIRED",
        "TOKEN_SIGNATURE",
    ]


async def test_a_ciphertext_moved_to_another_row_does_not_open_there(world: ServedKeyVault) -> None:
    await world.create("theirs")
    await world.create("mine", api_key=OTHER_CANARY.encode())
    await world.create("third")
    with sqlite3.connect(world.database) as database:
        database.execute(
            "UPDATE key_versions SET ciphertext = (SELECT ciphertext FROM key_versions v JOIN keys k"
            " ON k.uid = v.key_uid WHERE k.key_id = 'theirs')"
            " WHERE key_uid = (SELECT uid FROM keys WHERE key_id = 'mine')"
        )
    database.close()
    names = [f"tenants/acme/keys/{key}" for key in ("mine", "theirs", "third")]
    assert await world.open(*map(world.item, names)) == ["KEY_UNREADABLE", CANARY, CANARY]


async def test_a_repeated_request_answers_as_the_first_time(world: ServedKeyVault) -> None:
    first = await world.create(request_id=REQUEST_ID)
    assert await world.create(request_id=REQUEST_ID) == first
    other = create_request(request_id=REQUEST_ID, api_key=OTHER_CANARY.encode())
    error = await error_of(world.keys.CreateKey(other, metadata=world.admin))
    assert error.reason == "REQUEST_ID_REUSED"


async def test_keys_of_an_owner_are_listed_in_pages(world: ServedKeyVault) -> None:
    for key in ("c", "a", "b"):
        await world.create(key)
    await world.create("a", parent="tenants/acme/users/bob")
    first = await world.keys.ListKeys(pb.ListKeysRequest(parent="tenants/acme", page_size=2), metadata=world.admin)
    assert [key.name for key in first.keys] == ["tenants/acme/keys/a", "tenants/acme/keys/b"]
    following = pb.ListKeysRequest(parent="tenants/acme", page_size=2, page_token=first.next_page_token)
    second = await world.keys.ListKeys(following, metadata=world.admin)
    assert [key.name for key in second.keys] == ["tenants/acme/keys/c"]
    assert second.next_page_token == ""
    following.parent = "tenants/acme/users/bob"
    assert (await error_of(world.keys.ListKeys(following, metadata=world.admin))).reason == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"api_key": (CANARY + "\n").encode()}, "api_key"),
        ({"api_key": ("…" + CANARY[-4:]).encode() * 3}, "api_key"),
        ({"api_key": b""}, "api_key"),
        ({"key": key_pb2.Key(provider_type="openai", origin=ORIGIN + "/v1")}, "key.origin"),
        ({"key": key_pb2.Key(origin=ORIGIN)}, "key.provider_type"),
        ({"key_id": "Nope"}, "key_id"),
        ({"request_id": "1"}, "request_id"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_stored(
    world: ServedKeyVault, changes: dict[str, Any], field: str
) -> None:
    request = create_request(**changes)
    error = await error_of(world.keys.CreateKey(request, metadata=world.admin))
    assert [violation.field for violation in error.field_violations] == [field]
    listed = await world.keys.ListKeys(pb.ListKeysRequest(parent="tenants/acme"), metadata=world.admin)
    assert list(listed.keys) == []


async def test_the_material_is_in_no_answer_no_log_and_no_file(world: ServedKeyVault) -> None:
    key = await world.create(request_id=REQUEST_ID)
    await world.open(world.item())
    rotate = pb.RotateKeyRequest(name=key.name, api_key=OTHER_CANARY.encode(), request_id=REQUEST_ID)
    world.seen.append(str(await world.keys.RotateKey(rotate, metadata=world.admin)))
    await error_of(world.keys.CreateKey(create_request(), metadata=world.admin))
    await error_of(
        world.keys.CreateKey(create_request(key_id="x", api_key=CANARY.encode() + b" "), metadata=world.admin)
    )
    assert await world.open(world.item()) == [OTHER_CANARY]
    world.seen.append(str(await world.keys.ListKeys(pb.ListKeysRequest(parent="tenants/acme"), metadata=world.admin)))
    files = [path.read_bytes() for path in world.database.parent.glob("key-vault.db*")]
    assert len(files) >= 2  # the database and its write-ahead log
    for canary in (CANARY, OTHER_CANARY):
        for where in (*files, world.log.getvalue(), "".join(world.seen).encode()):
            assert canary.encode() not in where
    assert b"key_changed" in world.log.getvalue()


async def test_a_defect_whose_text_holds_a_key_reaches_neither_caller_nor_log(
    world: ServedKeyVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.create()

    def broken(*_: object, **__: object) -> Callable[..., object]:
        raise RuntimeError(f"could not decode {CANARY}")

    monkeypatch.setattr("services.key_vault.api.convert.access_response", broken)
    error = await error_of(world.access.AccessKeys(access_pb.AccessKeysRequest(items=[world.item()])))
    assert error.reason == "INTERNAL"
    assert CANARY.encode() not in world.log.getvalue()
    assert b"rpc_crashed" in world.log.getvalue()


async def test_however_much_is_listed_calls_get_their_keys(
    world: ServedKeyVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.create()

    def slow(*_: object, **__: object) -> list[object]:
        time.sleep(1.5)
        return []

    monkeypatch.setattr("services.key_vault.api.key_service.list_keys", slow)
    listing = pb.ListKeysRequest(parent="tenants/acme")
    # More than the database has readers for lists.
    lists = [asyncio.ensure_future(world.keys.ListKeys(listing, metadata=world.admin)) for _ in range(8)]
    await asyncio.sleep(0.3)
    began = time.monotonic()
    assert await world.open(world.item()) == [CANARY]
    assert time.monotonic() - began < 1
    await asyncio.gather(*lists)
