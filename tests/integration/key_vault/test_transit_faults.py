"""Every way Vault can fail, against a server that does it."""

from __future__ import annotations

import gc
import json
import logging
import socket
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.ports import Ciphertext, OpenedBatch
from services.key_vault.vault.client import VaultClient
from services.key_vault.vault.session import VaultSession
from tests.integration.key_vault.conftest import Connect
from tests.integration.key_vault.fake_vault import (
    REQUEST_ID,
    FakeVault,
    Received,
    Reply,
    b64,
    behaves,
    on,
    vault_errors,
)

SECRET = Secret(b"sk-canary-0123456789")
SEALED = Ciphertext(text="vault:v1:" + b64(SECRET.reveal()), context=b"tenants/acme|uid|1")
HTML = b"<html>canary of vault</html>"
DECRYPT = "/v1/transit/decrypt/provider-keys"
OPENING = Received(DECRYPT, None, {"batch_input": [{"ciphertext": SEALED.text}]})


async def reason_of(client: VaultClient) -> str:
    """Why a key cannot be opened now; nothing on the error leads to the request or to Vault's text."""
    with pytest.raises(Unavailable) as caught:
        await client.open([SEALED])
    shown = "".join(traceback.format_exception(caught.value))
    assert "canary of vault" not in shown
    assert b64(SECRET.reveal()) not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or isinstance(caught.value.__context__, TimeoutError)
    return caught.value.reason


async def test_sealing_and_opening_use_the_two_identities(fake_vault: FakeVault, connect: Connect) -> None:
    client = connect(fake_vault.address)
    ciphertext = await client.seal(SECRET, b"context")
    opened = await client.open([Ciphertext(text=ciphertext, context=b"context")])
    assert opened == OpenedBatch(materials=[SECRET], request_id=REQUEST_ID)
    assert [request.token for request in fake_vault.received] == [
        None,
        "token-writer-role_id",
        None,
        "token-reader-role_id",
    ]
    assert fake_vault.received[1].body["context"] == b64(b"context")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (vault_errors(503), "VAULT_SEALED"),
        (vault_errors(501), "VAULT_SEALED"),
        *((vault_errors(status), "VAULT_UNREACHABLE") for status in (412, 429, 472, 473, 500, 502)),
        *((Reply(status, HTML), "VAULT_UNREACHABLE") for status in (200, 400, 403, 404, 500, 503)),
        (Reply(200, b'{"data": {"batch_results": []}}'), "VAULT_UNREACHABLE"),
        (Reply(200, b"{" * 100_000), "VAULT_UNREACHABLE"),
        (Reply(cut=True), "VAULT_UNREACHABLE"),
        (vault_errors(400), "VAULT_DENIED"),
        (vault_errors(404), "VAULT_DENIED"),
    ],
)
@pytest.mark.parametrize("path", [DECRYPT, "/v1/auth/approle/login"])
async def test_what_vault_answers_is_told_as_this_services_trouble(
    fake_vault: FakeVault, connect: Connect, path: str, reply: Reply, reason: str
) -> None:
    fake_vault.answer = on(path, reply)
    assert await reason_of(connect(fake_vault.address)) == reason


async def test_a_redirect_is_not_followed_and_no_token_leaves(fake_vault: FakeVault, connect: Connect) -> None:
    elsewhere = FakeVault()
    try:
        for status in (301, 302, 307, 308):
            target = Reply(status, headers={"Location": elsewhere.address + DECRYPT})
            for path in (DECRYPT, "/v1/auth/approle/login"):
                fake_vault.answer = on(path, target)
                assert await reason_of(connect(fake_vault.address)) == "VAULT_UNREACHABLE"
        assert elsewhere.received == []
    finally:
        elsewhere.stop()


async def test_a_proxy_in_the_environment_is_ignored(
    fake_vault: FakeVault, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = FakeVault()
    try:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("VAULT_TOKEN", "token of the environment")
        monkeypatch.setenv("VAULT_ADDR", proxy.address)
        assert (await connect(fake_vault.address).open([SEALED])).materials == [SECRET]
        assert proxy.received == []
        assert fake_vault.received[0].token is None
    finally:
        proxy.stop()


async def test_missing_credentials_are_the_operators_to_mend(
    fake_vault: FakeVault, connect: Connect, tmp_path: Path
) -> None:
    client = connect(fake_vault.address)
    (tmp_path / "reader.secret_id").unlink()
    assert await reason_of(client) == "VAULT_DENIED"


async def test_a_partly_failed_batch_is_taken_item_by_item(fake_vault: FakeVault, connect: Connect) -> None:
    results = [{"error": "canary of vault"}, {"plaintext": b64(SECRET.reveal())}]
    fake_vault.answer = on(DECRYPT, Reply(400, {"data": {"batch_results": results}}))
    assert (await connect(fake_vault.address).open([SEALED, SEALED])).materials == [None, SECRET]


async def test_a_slow_vault_ends_in_time(fake_vault: FakeVault, connect: Connect) -> None:
    fake_vault.answer = on(DECRYPT, Reply(delay_s=3))
    assert await reason_of(connect(fake_vault.address, read_timeout_s=0.2)) == "VAULT_UNREACHABLE"


async def test_a_dripping_answer_is_cut_off(fake_vault: FakeVault, connect: Connect) -> None:
    # In the end it would be a good one.
    fake_vault.answer = on(DECRYPT, replace(behaves(OPENING), drip_s=0.03))
    assert await reason_of(connect(fake_vault.address, read_timeout_s=0.2, timeout_s=30)) == "VAULT_UNREACHABLE"


async def test_an_endless_answer_is_not_read_to_its_end(fake_vault: FakeVault, connect: Connect) -> None:
    good = json.dumps(behaves(OPENING).body).encode()
    fake_vault.answer = on(DECRYPT, Reply(body=b" " * 9_000_000 + good))
    assert await reason_of(connect(fake_vault.address)) == "VAULT_UNREACHABLE"


async def test_a_body_cut_short_is_no_answer(fake_vault: FakeVault, connect: Connect) -> None:
    fake_vault.answer = on(DECRYPT, Reply(body=b'{"data"', headers={"Content-Length": "900"}, hang_up=True))
    assert await reason_of(connect(fake_vault.address)) == "VAULT_UNREACHABLE"


async def test_a_call_is_bounded_in_all(fake_vault: FakeVault, connect: Connect) -> None:
    fake_vault.answer = on("/v1/", Reply(delay_s=2))
    assert await reason_of(connect(fake_vault.address, timeout_s=0.2, read_timeout_s=3)) == "VAULT_UNREACHABLE"


async def test_nobody_listening_is_unreachable(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert await reason_of(connect(f"http://127.0.0.1:{port}")) == "VAULT_UNREACHABLE"


async def test_something_that_speaks_no_tls_is_unreachable(fake_vault: FakeVault, connect: Connect) -> None:
    address = fake_vault.address.replace("http://", "https://")
    assert await reason_of(connect(address)) == "VAULT_UNREACHABLE"


def test_a_connection_that_breaks_in_use_is_made_anew(fake_vault: FakeVault, session: VaultSession) -> None:
    session.open([SEALED])
    fake_vault.answer = on(DECRYPT, Reply(cut=True), behaves(OPENING))
    assert session.open([SEALED]).materials == [SECRET]
    assert fake_vault.paths() == ["login", "decrypt", "decrypt", "decrypt"]


def test_a_connection_that_vault_closed_meanwhile_is_not_used(fake_vault: FakeVault, session: VaultSession) -> None:
    fake_vault.answer = on(DECRYPT, replace(behaves(OPENING), hang_up=True))
    assert [session.open([SEALED]).materials for _ in range(3)] == [[SECRET]] * 3
    assert fake_vault.connections == 3
    assert fake_vault.paths() == ["login", "decrypt", "decrypt", "decrypt"]


def test_requests_share_one_connection(fake_vault: FakeVault, session: VaultSession) -> None:
    for _ in range(3):
        session.open([SEALED])
    assert fake_vault.connections == 1


def test_an_answer_nobody_asked_for_is_not_taken_for_the_next_one(fake_vault: FakeVault, session: VaultSession) -> None:
    forged = json.dumps(behaves(Received(DECRYPT, None, {"batch_input": [{"ciphertext": b64(b"sk-forged")}]})).body)
    second = f"HTTP/1.1 200 OK\r\nContent-Length: {len(forged)}\r\n\r\n{forged}".encode()
    fake_vault.answer = on(DECRYPT, replace(behaves(OPENING), after=second), behaves(OPENING))
    assert session.open([SEALED]).materials == [SECRET]
    time.sleep(0.3)
    assert session.open([SEALED]).materials == [SECRET]
    assert fake_vault.connections == 2


async def test_readiness_asks_for_health_and_for_both_logins(fake_vault: FakeVault, connect: Connect) -> None:
    client = connect(fake_vault.address)
    await client.ping()
    await client.ping()
    assert fake_vault.paths() == ["health", "login", "login", "health"]
    for path, reply in (("/v1/sys/health", Reply(429, {"sealed": False})), ("/v1/sys/health", Reply(200, HTML))):
        fake_vault.answer = on(path, reply)
        with pytest.raises(Unavailable):
            await client.ping()


async def test_a_client_that_is_not_let_in_is_not_ready(fake_vault: FakeVault, connect: Connect) -> None:
    fake_vault.answer = on("/v1/auth", vault_errors(400))
    with pytest.raises(Unavailable, match="refuses"):
        await connect(fake_vault.address).ping()


async def test_no_library_logs_what_was_sent_or_answered(
    fake_vault: FakeVault, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake_vault.answer = on("/v1/transit", vault_errors(500))
    client = connect(fake_vault.address)
    with pytest.raises(Unavailable):
        await client.seal(SECRET, b"context")
    await reason_of(client)
    for canary in ("canary", b64(SECRET.reveal()), "token-", "secret_id"):
        assert canary not in caplog.text


async def test_closing_leaves_no_connection_behind(fake_vault: FakeVault, connect: Connect) -> None:
    client = connect(fake_vault.address)
    await client.open([SEALED])
    await client.close()
    gc.collect()  # an open socket would be a ResourceWarning here, which is an error
