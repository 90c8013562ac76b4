"""The whole service on two ports, with a real Vault: what callers and the router see, and what nobody ever sees."""

from __future__ import annotations

import asyncio
import io
import secrets
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_pb2
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import KeyAccessServiceStub
from gatehouse.keyvault.v1.key_service_pb2_grpc import KeyServiceStub
from google.rpc import status_pb2

from libs.core.errors import GatehouseError
from libs.rpc.service import Service
from libs.rpc.status import DETAILS_KEY, from_item_status
from libs.telemetry.telemetry import configure
from services.key_vault import app
from services.key_vault.settings import Settings
from tests.identities import Identities, Metadata
from tests.vault import ThrowAwayVault

CANARY = "sk-canary-" + secrets.token_hex(16)
OTHER_CANARY = "sk-canary-" + secrets.token_hex(16)
ORIGIN = "https://api.openai.com"
REQUEST_ID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"


class World:
    """A served key_vault with its clients, its database file and its log."""

    def __init__(self, identities: Identities, settings: Settings, log: io.BytesIO, stack: AsyncExitStack) -> None:
        self.identities = identities
        self.settings = settings
        self.log = log
        self._stack = stack
        self.admin = identities.bearer("tenant_admin", user="ann")
        self.seen: list[str] = []

    async def connect(self) -> None:
        public = await self._channel(self.settings.public_address, self.identities.anonymous())
        internal = await self._channel(self.settings.internal_address, self.identities.peer("router"))
        self.keys: Any = KeyServiceStub(public)
        self.access: Any = KeyAccessServiceStub(internal)
        self.public_access: Any = KeyAccessServiceStub(public)

    async def _channel(self, address: str, credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
        target = address.replace("127.0.0.1", "localhost")
        return await self._stack.enter_async_context(grpc.aio.secure_channel(target, credentials))

    async def stranger(self, service: str) -> Any:
        """Another service's view of `AccessKeys`."""
        return KeyAccessServiceStub(await self._channel(self.settings.internal_address, self.identities.peer(service)))

    async def create(self, key_id: str = "openai", **changes: Any) -> key_pb2.Key:
        request = create_request(key_id=key_id, **changes)
        response: pb.CreateKeyResponse = await self.keys.CreateKey(request, metadata=self.admin)
        self.seen.append(str(response))
        return response.key

    async def open(self, *items: access_pb.KeyAccess) -> list[str]:
        """The material or the reason of each item."""
        response = await self.access.AccessKeys(access_pb.AccessKeysRequest(items=items), timeout=10)
        return [
            result.material.api_key.decode() if result.HasField("material") else from_item_status(result.error).reason
            for result in response.results
        ]

    def item(
        self, name: str = "tenants/acme/keys/openai", *, tenant: str = "acme", user: str = "bob", origin: str = ORIGIN
    ) -> access_pb.KeyAccess:
        return access_pb.KeyAccess(
            name=name,
            origin=origin,
            caller_token=self.identities.token("member", tenant=tenant, user=user).encode(),
            purpose=access_pb.KEY_PURPOSE_GENERATE,
        )

    @property
    def database(self) -> Path:
        return Path(self.settings.database_url.removeprefix("sqlite:///"))


def create_request(**changes: Any) -> pb.CreateKeyRequest:
    values: dict[str, Any] = {
        "parent": "tenants/acme",
        "key_id": "openai",
        "key": key_pb2.Key(provider_type="openai", origin=ORIGIN, display_name="Ours"),
        "api_key": CANARY.encode(),
    }
    return pb.CreateKeyRequest(**(values | changes))


@pytest.fixture
async def world(tmp_path: Path, openbao: ThrowAwayVault) -> AsyncIterator[World]:
    identities = Identities(tmp_path / "state", ("key-vault", "router", "usage-accounting"))
    fingerprint_key = tmp_path / "fingerprint.key"
    fingerprint_key.write_text(secrets.token_hex(32))
    ports = free_ports(2)
    settings = Settings(
        **identities.settings("key-vault"),  # type: ignore[arg-type]
        public_address=f"127.0.0.1:{ports[0]}",
        internal_address=f"127.0.0.1:{ports[1]}",
        database_url=f"sqlite:///{tmp_path}/key-vault.db",
        fingerprint_key_file=fingerprint_key,
        vault_addr=openbao.bao.address,
        vault_ca_file=openbao.layout.ca_certificate,
        vault_writer_role_id_file=openbao.writer_files[0],
        vault_writer_secret_id_file=openbao.writer_files[1],
        vault_reader_role_id_file=openbao.reader_files[0],
        vault_reader_secret_id_file=openbao.reader_files[1],
        shutdown_grace_s=0.5,
    )
    log = io.BytesIO()
    telemetry = configure("key-vault", log_level="debug", stream=log)
    async with AsyncExitStack() as stack:
        stack.callback(telemetry.restore_logs)
        service = Service(app.NAME, settings, domain=app.DOMAIN, telemetry=telemetry, longest_s={})
        await stack.enter_async_context(service)
        await app.compose(settings, service)
        await service.start()
        stack.push_async_callback(service.stop)
        served = World(identities, settings, log, stack)
        await served.connect()
        yield served


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


async def error_of(call: Any) -> GatehouseError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert CANARY not in str(caught.value)
    for key, value in caught.value.trailing_metadata() or ():
        if key == DETAILS_KEY:
            return from_item_status(status_pb2.Status.FromString(value))
    raise AssertionError(caught.value)


async def test_a_created_key_shows_metadata_and_opens_for_the_router(world: World) -> None:
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


async def test_rotating_and_deleting_act_on_the_next_access(world: World) -> None:
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


async def test_no_call_that_starts_after_a_rotation_returned_gets_the_old_key(world: World) -> None:
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


async def test_many_at_once_get_each_their_own_key(world: World) -> None:
    materials = {f"k{number}": f"sk-canary-{number}-0123456789" for number in range(32)}
    await asyncio.gather(*(world.create(key, api_key=material.encode()) for key, material in materials.items()))

    async def call(key: str) -> None:
        for _ in range(5):
            assert await world.open(world.item(f"tenants/acme/keys/{key}")) == [materials[key]]

    async with asyncio.timeout(60):
        await asyncio.gather(*(call(key) for key in materials for _ in range(2)))


async def test_the_largest_batch_is_opened(world: World) -> None:
    await asyncio.gather(*(world.create(f"k{number}") for number in range(256)))
    items = [world.item(f"tenants/acme/keys/k{number}") for number in range(256)]
    assert await world.open(*items) == [CANARY] * 256


async def test_nobody_but_the_router_opens_keys(world: World) -> None:
    await world.create()
    request = access_pb.AccessKeysRequest(items=[world.item()])
    strangers = await world.stranger("usage-accounting")
    assert (await error_of(strangers.AccessKeys(request))).reason == "PERMISSION_DENIED"
    everybody: Iterable[Metadata] = (world.identities.bearer(role) for role in ("super_admin", "tenant_admin"))
    for bearer in everybody:
        assert (await error_of(world.public_access.AccessKeys(request, metadata=bearer))).reason == "PERMISSION_DENIED"
    assert (await error_of(world.public_access.AccessKeys(request))).reason == "TOKEN_MISSING"


async def test_the_router_opens_only_what_its_caller_owns(world: World) -> None:
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


async def test_a_ciphertext_moved_to_another_row_does_not_open_there(world: World) -> None:
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


async def test_a_repeated_request_answers_as_the_first_time(world: World) -> None:
    first = await world.create(request_id=REQUEST_ID)
    assert await world.create(request_id=REQUEST_ID) == first
    other = create_request(request_id=REQUEST_ID, api_key=OTHER_CANARY.encode())
    error = await error_of(world.keys.CreateKey(other, metadata=world.admin))
    assert error.reason == "REQUEST_ID_REUSED"


async def test_keys_of_an_owner_are_listed_in_pages(world: World) -> None:
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
async def test_a_wrong_field_is_named_and_nothing_stored(world: World, changes: dict[str, Any], field: str) -> None:
    request = create_request(**changes)
    error = await error_of(world.keys.CreateKey(request, metadata=world.admin))
    assert [violation.field for violation in error.field_violations] == [field]
    listed = await world.keys.ListKeys(pb.ListKeysRequest(parent="tenants/acme"), metadata=world.admin)
    assert list(listed.keys) == []


async def test_the_material_is_in_no_answer_no_log_and_no_file(world: World) -> None:
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
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.create()

    def broken(*_: object, **__: object) -> Callable[..., object]:
        raise RuntimeError(f"could not decode {CANARY}")

    monkeypatch.setattr("services.key_vault.api.convert.access_response", broken)
    error = await error_of(world.access.AccessKeys(access_pb.AccessKeysRequest(items=[world.item()])))
    assert error.reason == "INTERNAL"
    assert CANARY.encode() not in world.log.getvalue()
    assert b"rpc_crashed" in world.log.getvalue()
