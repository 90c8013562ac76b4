"""Every way Vault can fail, against a server that does it."""

from __future__ import annotations

import gc
import json
import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.ports import Ciphertext
from services.key_vault.vault.client import VaultClient
from services.key_vault.vault.connection import AppRoleFiles, VaultAddress
from services.key_vault.vault.transit import TransitSession
from tests.integration.key_vault.fake_vault import FakeVault, Received, Reply, b64, behaves, vault_errors
from tests.unit.key_vault.memory import HandClock

Connect = Callable[..., VaultClient]

SECRET = Secret(b"sk-canary-0123456789")
SEALED = Ciphertext(text="vault:v1:" + b64(SECRET.reveal()), context=b"tenants/acme|uid|1")
HTML = b"<html>canary of vault</html>"
DECRYPT = "/v1/transit/decrypt/provider-keys"
OPENING = Received(DECRYPT, None, {"batch_input": [{"ciphertext": SEALED.text}]})


def on(path: str, *replies: Reply) -> Callable[[Received], Reply]:
    """A Vault that works but for `path`, which answers with `replies` one after the other, the last one for ever."""
    remaining = list(replies)

    def answer(request: Received) -> Reply:
        if not request.path.startswith(path):
            return behaves(request)
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return answer


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


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def session(fake_vault: FakeVault, tmp_path: Path, clock: HandClock) -> Iterator[TransitSession]:
    """What one thread has; a client could serve the next call from the other thread, with another token."""
    for part in ("role_id", "secret_id"):
        (tmp_path / part).write_text(part)
    role = AppRoleFiles(role_id=tmp_path / "role_id", secret_id=tmp_path / "secret_id")
    session = TransitSession(VaultAddress(url=fake_vault.address, ca_file=tmp_path), role, clock)
    yield session
    session.close()


async def test_sealing_and_opening_use_the_two_identities(fake_vault: FakeVault, connect: Connect) -> None:
    client = connect(fake_vault.address)
    ciphertext = await client.seal(SECRET, b"context")
    assert await client.open([Ciphertext(text=ciphertext, context=b"context")]) == [SECRET]
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
        *((vault_errors(status), "VAULT_UNREACHABLE") for status in (429, 472, 473, 412, 500, 502)),
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
        assert await connect(fake_vault.address).open([SEALED]) == [SECRET]
        assert proxy.received == []
        assert fake_vault.received[0].token is None
    finally:
        proxy.stop()


def test_an_expired_token_costs_one_login_and_one_repetition(fake_vault: FakeVault, session: TransitSession) -> None:
    session.open([SEALED])
    fake_vault.received.clear()
    fake_vault.answer = on(DECRYPT, vault_errors(403), behaves(OPENING))
    assert session.open([SEALED]) == [SECRET]
    assert fake_vault.paths() == ["decrypt", "approle", "decrypt"]


async def test_a_refusal_that_stays_is_denied_after_one_login(fake_vault: FakeVault, connect: Connect) -> None:
    client = connect(fake_vault.address)
    fake_vault.answer = on(DECRYPT, vault_errors(403))
    assert await reason_of(client) == "VAULT_DENIED"
    assert fake_vault.paths() == ["approle", "decrypt", "approle", "decrypt"]


def test_a_token_is_exchanged_before_it_ends(fake_vault: FakeVault, session: TransitSession, clock: HandClock) -> None:
    session.open([SEALED])
    clock.seconds += 3600 * 0.6
    session.open([SEALED])
    assert fake_vault.paths() == ["approle", "decrypt", "decrypt"]
    clock.seconds += 3600 * 0.1
    session.open([SEALED])
    assert fake_vault.paths()[3:] == ["approle", "decrypt"]


async def test_missing_credentials_are_the_operators_to_mend(
    fake_vault: FakeVault, connect: Connect, tmp_path: Path
) -> None:
    client = connect(fake_vault.address)
    (tmp_path / "reader.secret_id").unlink()
    assert await reason_of(client) == "VAULT_DENIED"


async def test_a_partly_failed_batch_is_taken_item_by_item(fake_vault: FakeVault, connect: Connect) -> None:
    results = [{"error": "canary of vault"}, {"plaintext": b64(SECRET.reveal())}]
    fake_vault.answer = on(DECRYPT, Reply(400, {"data": {"batch_results": results}}))
    assert await connect(fake_vault.address).open([SEALED, SEALED]) == [None, SECRET]


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


async def test_a_connection_that_vault_closed_is_made_anew(fake_vault: FakeVault, connect: Connect) -> None:
    client = connect(fake_vault.address)
    await client.open([SEALED])
    fake_vault.answer = on(DECRYPT, Reply(cut=True), behaves(OPENING))
    assert await client.open([SEALED]) == [SECRET]


async def test_after_a_failure_everybody_is_answered_at_once_until_a_probe_succeeds(
    fake_vault: FakeVault, connect: Connect
) -> None:
    clock = HandClock()
    client = connect(fake_vault.address, clock=clock)
    fake_vault.answer = on(DECRYPT, vault_errors(503))
    assert await reason_of(client) == "VAULT_SEALED"
    asked = len(fake_vault.received)
    assert [await reason_of(client) for _ in range(20)] == ["VAULT_SEALED"] * 20
    assert len(fake_vault.received) == asked
    fake_vault.answer = behaves
    clock.seconds += 1
    assert await client.open([SEALED]) == [SECRET]
    assert await client.open([SEALED]) == [SECRET]


async def test_a_reader_in_trouble_does_not_stop_the_writer(fake_vault: FakeVault, connect: Connect) -> None:
    client = connect(fake_vault.address)
    fake_vault.answer = on(DECRYPT, vault_errors(503))
    await reason_of(client)
    assert await client.seal(SECRET, b"context")


async def test_readiness_asks_for_health_and_for_both_logins(fake_vault: FakeVault, connect: Connect) -> None:
    client = connect(fake_vault.address)
    await client.ping()
    assert fake_vault.paths() == ["health", "approle", "health", "approle"]
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
