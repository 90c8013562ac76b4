"""The whole life of a key through the API, on both databases."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import uuid
from datetime import timedelta
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_pb2
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from libs.core.errors import GatehouseError
from tests.integration.key_vault.api.served_key_vault import (
    CANARY,
    NAME,
    OTHER_CANARY,
    ServedKeyVault,
    create_request,
    error_of,
)

HOUR = Duration(seconds=3600)
CURRENT = key_pb2.KEY_VERSION_STATE_CURRENT
OVERLAPPING = key_pb2.KEY_VERSION_STATE_OVERLAPPING
RETIRED = key_pb2.KEY_VERSION_STATE_RETIRED
DESTROYED = key_pb2.KEY_VERSION_STATE_DESTROYED


def states(key: key_pb2.Key) -> dict[int, int]:
    return {each.version: each.state for each in key.versions}


async def rotate(served: ServedKeyVault, material: str = OTHER_CANARY, **changes: Any) -> pb.RotateKeyResponse:
    request = pb.RotateKeyRequest(name=NAME, api_key=material.encode(), **changes)
    response: pb.RotateKeyResponse = await served.keys.RotateKey(request, metadata=served.admin)
    return response


async def test_a_key_lives_through_all_its_states(served: ServedKeyVault) -> None:
    await served.create()
    rotated = (await rotate(served, overlap=HOUR)).key
    assert states(rotated) == {1: OVERLAPPING, 2: CURRENT}
    assert await served.open(served.item(), served.item(version=1), served.item(version=2)) == [
        OTHER_CANARY,
        CANARY,
        OTHER_CANARY,
    ]

    back = (await served.keys.RollbackKey(pb.RollbackKeyRequest(name=NAME, version=1), metadata=served.admin)).key
    assert states(back) == {1: CURRENT, 2: RETIRED}
    assert (back.version, back.mask) == (1, "…" + CANARY[-4:])
    assert await served.open(served.item(), served.item(version=2)) == [CANARY, "KEY_VERSION_RETIRED"]

    destroy = pb.DestroyKeyVersionRequest(name=NAME, version=2)
    destroyed = (await served.keys.DestroyKeyVersion(destroy, metadata=served.admin)).key
    assert states(destroyed) == {1: CURRENT, 2: DESTROYED}
    assert (await error_of(served.keys.DestroyKeyVersion(destroy, metadata=served.admin))).reason == (
        "KEY_VERSION_DESTROYED"
    )
    again = pb.RollbackKeyRequest(name=NAME, version=2)
    assert (await error_of(served.keys.RollbackKey(again, metadata=served.admin))).reason == "KEY_VERSION_DESTROYED"

    disabled = (await served.keys.DisableKey(pb.DisableKeyRequest(name=NAME), metadata=served.admin)).key
    assert disabled.state == key_pb2.KEY_STATE_DISABLED
    assert await served.open(served.item(), served.item(version=1)) == ["KEY_DISABLED", "KEY_DISABLED"]
    third = (await rotate(served, "sk-canary-third-0123456789")).key
    assert (third.version, third.state) == (3, key_pb2.KEY_STATE_DISABLED)
    enabled = (await served.keys.EnableKey(pb.EnableKeyRequest(name=NAME), metadata=served.admin)).key
    assert enabled.state == key_pb2.KEY_STATE_ACTIVE
    assert await served.open(served.item()) == ["sk-canary-third-0123456789"]

    await served.keys.DeleteKey(pb.DeleteKeyRequest(name=NAME, etag=enabled.etag), metadata=served.admin)
    assert await served.open(served.item(), served.item(version=1)) == ["KEY_NOT_FOUND", "KEY_VERSION_RETIRED"]
    reborn = await served.create()
    assert reborn.uid != enabled.uid
    assert states(reborn) == {1: CURRENT}


async def test_the_router_is_told_of_the_version_to_fall_back_to_until_its_overlap_ends(
    served: ServedKeyVault,
) -> None:
    await served.create()

    async def opened() -> tuple[int, int]:
        response = await served.access.AccessKeys(access_pb.AccessKeysRequest(items=[served.item()]), timeout=10)
        material = response.results[0].material
        return material.version, material.fallback_version

    assert await opened() == (1, 0)
    overlap = Duration()
    overlap.FromTimedelta(timedelta(seconds=1.5))
    await rotate(served, overlap=overlap)
    assert await opened() == (2, 1)
    async with asyncio.timeout(10):
        while await opened() != (2, 0):
            await asyncio.sleep(0.05)
    assert await served.open(served.item(version=1)) == ["KEY_VERSION_RETIRED"]
    assert states(await served.get()) == {1: RETIRED, 2: CURRENT}


async def test_a_rotation_without_overlap_ends_every_overlap_at_once(served: ServedKeyVault) -> None:
    await served.create()
    await rotate(served, overlap=HOUR)
    leaked = (await rotate(served, "sk-canary-third-0123456789")).key
    assert states(leaked) == {1: RETIRED, 2: RETIRED, 3: CURRENT}
    assert await served.open(served.item(version=1), served.item(version=2)) == ["KEY_VERSION_RETIRED"] * 2


async def test_of_two_rotations_at_once_one_wins_and_the_other_is_aborted(served: ServedKeyVault) -> None:
    await served.create()
    for number in range(5):
        before = await served.get()
        outcomes = await asyncio.gather(
            *(rotate(served, f"sk-canary-{number}-{each}-0123456789", overlap=HOUR) for each in "ab"),
            return_exceptions=True,
        )
        failures = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
        after = await served.get()
        assert after.version == before.version + 2 - len(failures)
        assert all(each.code() is grpc.StatusCode.ABORTED for each in failures)
        if failures:
            return
    pytest.fail("no two rotations ever met")


async def test_every_change_is_idempotent_by_its_request_id_and_guarded_by_its_etag(served: ServedKeyVault) -> None:
    key = await served.create()
    changes: list[tuple[Any, Any]] = [
        (served.keys.RotateKey, pb.RotateKeyRequest(name=NAME, api_key=OTHER_CANARY.encode(), overlap=HOUR)),
        (served.keys.RollbackKey, pb.RollbackKeyRequest(name=NAME, version=1)),
        (served.keys.DestroyKeyVersion, pb.DestroyKeyVersionRequest(name=NAME, version=2)),
        (served.keys.DisableKey, pb.DisableKeyRequest(name=NAME)),
        (served.keys.EnableKey, pb.EnableKeyRequest(name=NAME)),
        (served.keys.UpdateKey, pb.UpdateKeyRequest(key=key_pb2.Key(name=NAME, display_name="Other"))),
        (served.keys.DeleteKey, pb.DeleteKeyRequest(name=NAME)),
    ]
    etag, stale = key.etag, "0123456789abcdef"
    for method, request in changes:
        guarded = request.key if isinstance(request, pb.UpdateKeyRequest) else request
        guarded.etag = stale
        assert (await error_of(method(request, metadata=served.admin))).reason == "ETAG_MISMATCH"
        guarded.etag = etag
        request.request_id = str(uuid.uuid4())
        first = await method(request, metadata=served.admin)
        assert await method(request, metadata=served.admin) == first
        if not isinstance(request, pb.DeleteKeyRequest):
            etag = first.key.etag
            assert (await served.get()).etag == etag


async def test_a_dry_run_of_a_rotation_says_what_would_be_and_changes_nothing(served: ServedKeyVault) -> None:
    key = await served.create()
    would = await rotate(served, overlap=HOUR, validate_only=True, request_id=str(uuid.uuid4()))
    assert (would.key.version, would.key.mask) == (2, "…" + OTHER_CANARY[-4:])
    assert would.key.versions[1].retire_time.seconds > would.key.update_time.seconds + 3500
    assert await served.get() == key
    assert await served.open(served.item()) == [CANARY]


async def test_the_same_material_is_refused_for_a_rotation_and_noticed_elsewhere(served: ServedKeyVault) -> None:
    await served.create()
    with pytest.raises(grpc.aio.AioRpcError) as unchanged:
        await rotate(served, CANARY)
    assert unchanged.value.code() is grpc.StatusCode.FAILED_PRECONDITION

    twin = await served.keys.CreateKey(create_request(key_id="twin"), metadata=served.admin)
    assert (list(twin.duplicate_keys), twin.hidden_duplicate_count) == ([NAME], 0)
    bob = served.identities.bearer("member", user="bob")
    own = create_request(parent="tenants/acme/users/bob", key_id="own")
    hidden = await served.keys.CreateKey(own, metadata=bob)
    assert (list(hidden.duplicate_keys), hidden.hidden_duplicate_count) == ([], 2)
    rival = served.identities.bearer("tenant_admin", tenant="rival")
    strange = await served.keys.CreateKey(create_request(parent="tenants/rival"), metadata=rival)
    assert (list(strange.duplicate_keys), strange.hidden_duplicate_count) == ([], 0)
    assert strange.key.fingerprint != twin.key.fingerprint


async def test_an_update_changes_what_people_see_and_never_the_material(served: ServedKeyVault) -> None:
    key = await served.create()
    update = pb.UpdateKeyRequest(key=key_pb2.Key(name=NAME, labels={"team": "cv"}), api_key=b"")
    changed = (await served.keys.UpdateKey(update, metadata=served.admin)).key
    assert (changed.display_name, dict(changed.labels), changed.version) == ("Ours", {"team": "cv"}, 1)
    assert changed.etag != key.etag
    assert await served.open(served.item()) == [CANARY]
    update.update_mask.paths.append("*")
    cleared = (await served.keys.UpdateKey(update, metadata=served.admin)).key
    assert cleared.display_name == ""
    for wrong, field in (
        (pb.UpdateKeyRequest(key=key_pb2.Key(name=NAME), api_key=OTHER_CANARY.encode()), "api_key"),
        (pb.UpdateKeyRequest(key=key_pb2.Key(name=NAME), api_key="sk-…a1b2".encode()), "api_key"),
    ):
        error = await error_of(served.keys.UpdateKey(wrong, metadata=served.admin))
        assert [violation.field for violation in error.field_violations] == [field]
    masked = pb.UpdateKeyRequest(key=key_pb2.Key(name=NAME, origin="https://evil.example"))
    masked.update_mask.paths.append("origin")
    error = await error_of(served.keys.UpdateKey(masked, metadata=served.admin))
    assert [violation.field for violation in error.field_violations] == ["update_mask"]


async def test_keys_are_listed_by_type_state_and_with_those_of_users(served: ServedKeyVault) -> None:
    await served.create("a")
    await served.create("b", key=key_pb2.Key(provider_type="anthropic", origin="https://api.anthropic.com"))
    await served.create("c", parent="tenants/acme/users/bob")
    await served.keys.DisableKey(pb.DisableKeyRequest(name="tenants/acme/keys/a"), metadata=served.admin)

    async def listed(**wanted: Any) -> list[str]:
        names: list[str] = []
        token = ""
        while True:
            request = pb.ListKeysRequest(parent="tenants/acme", page_size=1, page_token=token, **wanted)
            page = await served.keys.ListKeys(request, metadata=served.admin)
            names += [key.name for key in page.keys]
            token = page.next_page_token
            if not token:
                return names

    assert await listed() == ["tenants/acme/keys/a", "tenants/acme/keys/b"]
    assert await listed(include_users=True) == [
        "tenants/acme/keys/a",
        "tenants/acme/keys/b",
        "tenants/acme/users/bob/keys/c",
    ]
    assert await listed(provider_type="anthropic") == ["tenants/acme/keys/b"]
    assert await listed(state=key_pb2.KEY_STATE_DISABLED) == ["tenants/acme/keys/a"]
    assert await listed(condition=key_pb2.KEY_CONDITION_REJECTED) == []


async def test_the_keys_of_a_tenant_whose_own_tokens_are_dead_can_still_be_revoked(served: ServedKeyVault) -> None:
    await served.create()
    token = served.identities.token("tenant_admin", expires_in_s=-3600)
    dead = (("authorization", f"Bearer {token}"),)
    disable = pb.DisableKeyRequest(name=NAME)
    assert (await error_of(served.keys.DisableKey(disable, metadata=dead))).reason == "TOKEN_EXPIRED"
    await served.keys.DisableKey(disable, metadata=served.operator)
    assert await served.open(served.item()) == ["KEY_DISABLED"]
    await served.keys.DeleteKey(pb.DeleteKeyRequest(name=NAME), metadata=served.operator)
    assert await served.open(served.item()) == ["KEY_NOT_FOUND"]


@pytest.mark.parametrize("seconds", [-1, 30 * 86_400 + 1])
async def test_an_overlap_out_of_range_is_refused(world: ServedKeyVault, seconds: int) -> None:
    await world.create()
    request = pb.RotateKeyRequest(name=NAME, api_key=OTHER_CANARY.encode(), overlap=Duration(seconds=seconds))
    error: GatehouseError = await error_of(world.keys.RotateKey(request, metadata=world.admin))
    assert [violation.field for violation in error.field_violations] == ["overlap"]


async def test_a_key_that_does_not_open_any_more_is_mended_by_entering_it_again(world: ServedKeyVault) -> None:
    await world.create()
    with contextlib.closing(sqlite3.connect(world.database)) as database:
        database.execute("UPDATE key_versions SET ciphertext = (SELECT replace(ciphertext, ':v1:', ':v1:AAAA'))")
        database.commit()
    assert await world.open(world.item()) == ["KEY_UNREADABLE"]
    assert (await rotate(world, CANARY)).key.version == 2
    assert await world.open(world.item()) == [CANARY]
    with pytest.raises(grpc.aio.AioRpcError) as unchanged:
        await rotate(world, CANARY)
    assert unchanged.value.code() is grpc.StatusCode.FAILED_PRECONDITION
