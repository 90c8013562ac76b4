"""Keys that stay in the operator's own KV v2 engine."""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import TaskGroup
from typing import Any

import pytest

from libs.core.errors import FailedPrecondition, GatehouseError, Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.ports import Ciphertext, SecretReference
from services.key_vault.vault.client import VaultClient
from services.key_vault.vault.session import VaultSession
from tests.integration.key_vault.conftest import Connect
from tests.integration.key_vault.fake_vault import FakeVault, Received, Reply, b64, behaves, on, vault_errors
from tests.unit.key_vault.memory import HandClock
from tests.vault import ThrowAwayVault

DELETED = Reply(
    404, {"data": {"data": None, "metadata": {"deletion_time": "2026-01-01T00:00:00Z", "destroyed": False}}}
)

SEALED = Ciphertext(text="vault:v1:" + b64(b"sk-1"), context=b"context")


def reference(path: str = "gatehouse/acme", **changes: Any) -> SecretReference:
    values = {"secret_id": path.rpartition("/")[2], "mount": "secret", "path": path, "field": "api_key"}
    return SecretReference(**(values | changes))


def shown(values: Any) -> list[bytes | str]:
    """The material, or the reason why there is none."""
    return [value.reason if isinstance(value, GatehouseError) else value.reveal() for value in values]


async def test_secrets_are_read_by_the_reader_and_by_nothing_but_get(fake_vault: FakeVault, connect: Connect) -> None:
    client = connect(fake_vault.address)
    assert shown(await client.read_secrets([reference()])) == [b"sk-gatehouse-acme"]
    request = fake_vault.received[-1]
    assert (request.method, request.path, request.token) == (
        "GET",
        "/v1/secret/data/gatehouse/acme",
        "token-reader-role_id",
    )


async def test_a_version_is_asked_for_by_its_number(fake_vault: FakeVault, connect: Connect) -> None:
    await connect(fake_vault.address).read_secrets([reference(version=3)])
    assert fake_vault.received[-1].path == "/v1/secret/data/gatehouse/acme?version=3"


async def test_a_round_reads_each_secret_once_whatever_is_wanted_of_it(fake_vault: FakeVault, connect: Connect) -> None:
    answer = Reply(body={"data": {"data": {"api_key": "sk-1", "other": "sk-2"}, "metadata": {}}})
    fake_vault.answer = on("/v1/secret/data/gatehouse/acme", answer)
    wanted = [
        reference(),
        reference(field="other"),
        reference("gatehouse/globex"),
        reference(secret_id="alias"),
        reference(version=1),
    ]
    assert shown(await connect(fake_vault.address).read_secrets(wanted)) == [
        b"sk-1",
        b"sk-2",
        b"sk-gatehouse-globex",
        b"sk-1",
        b"sk-1",
    ]
    read = sorted(request.path for request in fake_vault.received if request.path.startswith("/v1/secret"))
    assert read == [
        "/v1/secret/data/gatehouse/acme",
        "/v1/secret/data/gatehouse/acme?version=1",
        "/v1/secret/data/gatehouse/globex",
    ]


async def test_the_secrets_of_a_round_are_read_at_the_same_time(fake_vault: FakeVault, connect: Connect) -> None:
    together = threading.Barrier(3, timeout=10)

    def answer(request: Received) -> Reply:
        if request.path.startswith("/v1/secret"):
            together.wait()
        return behaves(request)

    fake_vault.answer = answer
    wanted = [reference(f"gatehouse/t{number}") for number in range(3)]
    assert shown(await connect(fake_vault.address).read_secrets(wanted)) == [
        b"sk-gatehouse-t0",
        b"sk-gatehouse-t1",
        b"sk-gatehouse-t2",
    ]


def data(values: Any) -> Reply:
    return Reply(body={"data": {"data": values, "metadata": {"version": 1}}})


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (vault_errors(404), "VAULT_SECRET_MISSING"),
        (Reply(404, {"errors": []}), "VAULT_SECRET_MISSING"),
        (DELETED, "VAULT_SECRET_MISSING"),
        (data({"another": "sk-1"}), "VAULT_SECRET_MISSING"),
        *((data({"api_key": value}), "VAULT_SECRET_MISSING") for value in (None, 5, True, ["sk-1"], {"a": "b"}, "")),
        (data(None), "VAULT_SECRET_MISSING"),
        (Reply(body={"data": {"api_key": "sk of an engine of version 1"}}), "VAULT_SECRET_MISSING"),
        (vault_errors(403), "VAULT_SECRET_DENIED"),
        (Reply(404, b"<html>canary</html>"), "VAULT_UNREACHABLE"),
        (Reply(200, b"<html>canary</html>"), "VAULT_UNREACHABLE"),
        (vault_errors(500), "VAULT_UNREACHABLE"),
        (vault_errors(429), "VAULT_UNREACHABLE"),
        (vault_errors(503), "VAULT_SEALED"),
        (data({"api_key": " sk with spaces\n"}), b" sk with spaces\n"),
        (data({"api_key": "schl\u00fcssel"}), "schl\u00fcssel".encode()),
    ],
)
async def test_what_one_secret_is_like_says_nothing_about_the_others(
    fake_vault: FakeVault, connect: Connect, reply: Reply, expected: str | bytes
) -> None:
    fake_vault.answer = on("/v1/secret/data/gatehouse/acme", reply)
    client = connect(fake_vault.address)
    wanted = [reference(), reference("gatehouse/globex")]
    for _ in range(2):
        values = await client.read_secrets(wanted)
        assert shown(values) == [expected, b"sk-gatehouse-globex"]
    assert shown(await client.read_secrets(wanted[1:])) == [b"sk-gatehouse-globex"]


async def test_an_error_names_the_secret_as_the_operator_does_and_not_where_it_lies(
    fake_vault: FakeVault, connect: Connect
) -> None:
    fake_vault.answer = on("/v1/secret", vault_errors(404, "canary"))
    error = (await connect(fake_vault.address).read_secrets([reference("gatehouse/deep/down", secret_id="ours")]))[0]
    assert isinstance(error, FailedPrecondition)
    assert error.metadata == {"vault_secret": "ours"}
    for hidden in ("gatehouse", "deep", "api_key", "canary"):
        assert hidden not in error.message


def test_a_refused_secret_costs_one_login_a_minute_at_most(
    fake_vault: FakeVault, session: VaultSession, clock: HandClock
) -> None:
    fake_vault.answer = on("/v1/secret", vault_errors(403))
    for _ in range(10):
        assert session.read_secret("secret", "gatehouse/acme", None, ("api_key",)) is None
        clock.seconds += 10
    assert fake_vault.paths().count("login") == 2


async def test_a_slow_secret_holds_no_sealed_key_up(fake_vault: FakeVault, connect: Connect) -> None:
    client = connect(fake_vault.address, read_timeout_s=3)
    await client.ping()
    fake_vault.answer = on("/v1/secret", Reply(delay_s=1))
    async with TaskGroup() as group:
        group.create_task(client.read_secrets([reference(f"gatehouse/t{number}") for number in range(8)]))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await client.open([SEALED])
        assert time.monotonic() - began < 0.5


async def test_the_sealed_keys_of_a_batch_do_not_wait_for_a_slow_secret_for_long(
    fake_vault: FakeVault, connect: Connect
) -> None:
    client = connect(fake_vault.address, read_timeout_s=3)
    await client.ping()
    # Far longer than the half second it is given, and shorter than any other bound.
    fake_vault.answer = on("/v1/secret", Reply(delay_s=2.5))
    began = time.monotonic()
    (found,) = await client.read_secrets([reference("gatehouse/slow")])
    assert time.monotonic() - began < 2
    assert isinstance(found, Unavailable)
    assert found.reason == "VAULT_UNREACHABLE"


async def test_real_secrets_are_read_as_they_are_now(openbao: ThrowAwayVault, vault: VaultClient) -> None:
    openbao.put_secret("gatehouse/real", {"api_key": "sk-1", "other": 5})
    openbao.put_secret("gatehouse/real", {"api_key": "sk-2"})
    wanted = [
        reference("gatehouse/real"),
        reference("gatehouse/real", version=1),
        reference("gatehouse/real", version=1, field="other"),
        reference("gatehouse/real", version=9),
        reference("gatehouse/none"),
        reference("elsewhere/acme"),
        reference("gatehouse"),
        reference("gatehouse/real", mount="transit"),
        reference("x", mount="sys"),
    ]
    denied, missing = "VAULT_SECRET_DENIED", "VAULT_SECRET_MISSING"
    expected = [b"sk-2", b"sk-1", missing, missing, missing, denied, denied, denied, denied]
    assert shown(await vault.read_secrets(wanted)) == expected
    openbao.put_secret("gatehouse/real", {"api_key": "sk-3"})
    assert await vault.read_secrets(wanted[:1]) == [Secret(b"sk-3")]


async def test_a_deleted_real_secret_is_missing(openbao: ThrowAwayVault, vault: VaultClient) -> None:
    openbao.put_secret("gatehouse/gone", {"api_key": "sk-1"})
    openbao.delete_secret("gatehouse/gone")
    assert shown(await vault.read_secrets([reference("gatehouse/gone")])) == ["VAULT_SECRET_MISSING"]
