"""How key_vault's identities come to their tokens and keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.app import open_vault
from services.key_vault.domain.ports import Ciphertext
from services.key_vault.settings import Settings
from services.key_vault.vault.connection import KubernetesRole, VaultAddress
from services.key_vault.vault.session import VaultSession
from services.key_vault.vault.token import SharedToken
from tests.integration.key_vault.conftest import Connect, approle
from tests.integration.key_vault.fake_vault import FakeVault, Received, Reply, b64, behaves, on, vault_errors
from tests.unit.key_vault.memory import HandClock

SECRET = Secret(b"sk-canary-0123456789")
SEALED = Ciphertext(text="vault:v1:" + b64(SECRET.reveal()), context=b"tenants/acme|uid|1")
DECRYPT = "/v1/transit/decrypt/provider-keys"
RENEW = "/v1/auth/token/renew-self"


class Revoking:
    """A Vault that works, and takes only tokens of its latest login."""

    def __init__(self) -> None:
        self.logins = 0
        self.revoked = False

    def __call__(self, request: Received) -> Reply:
        if request.path == "/v1/auth/approle/login":
            self.logins += 1
            self.revoked = False
            auth = {"client_token": f"token-{self.logins}", "lease_duration": 3600, "renewable": True}
            return Reply(body={"auth": auth})
        if request.token is not None and (self.revoked or request.token != f"token-{self.logins}"):
            return vault_errors(403, "permission denied")
        return behaves(request)


@pytest.mark.parametrize("age_s", [0, 120])
def test_a_revoked_token_costs_one_login_and_one_repetition(
    fake_vault: FakeVault, session: VaultSession, clock: HandClock, age_s: float
) -> None:
    fake_vault.answer = vault = Revoking()
    session.open([SEALED])
    fake_vault.received.clear()
    clock.seconds += age_s
    vault.revoked = True
    assert session.open([SEALED]).materials == [SECRET]
    assert [path for path in fake_vault.paths() if path != "lookup-self"] == ["decrypt", "login", "decrypt"]


def test_the_sessions_of_an_identity_share_the_login_after_a_revocation(
    fake_vault: FakeVault, session: VaultSession, token: SharedToken, tmp_path: Path
) -> None:
    fake_vault.answer = vault = Revoking()
    address = VaultAddress(url=fake_vault.address, ca_file=tmp_path)
    other = VaultSession(address, approle(tmp_path, "reader"), token)
    session.open([SEALED])
    vault.revoked = True
    assert [each.open([SEALED]).materials for each in (session, other)] == [[SECRET], [SECRET]]
    assert vault.logins == 2
    other.close()


def test_what_the_policy_refuses_does_not_log_in_over_and_over(
    fake_vault: FakeVault, session: VaultSession, clock: HandClock
) -> None:
    fake_vault.answer = on(DECRYPT, vault_errors(403))
    for _ in range(50):
        with pytest.raises(Unavailable) as caught:
            session.open([SEALED])
        assert caught.value.reason == "VAULT_DENIED"
        clock.seconds += 6
    assert fake_vault.paths().count("login") == 5, "once a minute: the role may have got another policy"


def test_what_a_new_token_may_not_either_is_denied_after_one_login(
    fake_vault: FakeVault, session: VaultSession, clock: HandClock
) -> None:
    session.open([SEALED])
    fake_vault.received.clear()
    clock.seconds += 120
    fake_vault.answer = on(DECRYPT, vault_errors(403))
    with pytest.raises(Unavailable):
        session.open([SEALED])
    assert fake_vault.paths() == ["decrypt", "login", "decrypt"]


def test_a_refusal_of_something_before_vault_costs_no_login(fake_vault: FakeVault, session: VaultSession) -> None:
    fake_vault.answer = on(DECRYPT, Reply(403, b"<html>canary of vault</html>"))
    with pytest.raises(Unavailable) as caught:
        session.open([SEALED])
    assert caught.value.reason == "VAULT_UNREACHABLE"
    assert fake_vault.paths() == ["login", "decrypt"]


def test_a_vault_that_cannot_look_a_token_up_is_told_as_that(fake_vault: FakeVault, session: VaultSession) -> None:
    def answer(request: Received) -> Reply:
        match request.path:
            case "/v1/transit/decrypt/provider-keys":
                return vault_errors(403)
            case "/v1/auth/token/lookup-self":
                return vault_errors(503)
        return behaves(request)

    fake_vault.answer = answer
    with pytest.raises(Unavailable) as caught:
        session.open([SEALED])
    assert caught.value.reason == "VAULT_SEALED"


async def test_readiness_renews_both_tokens_and_no_call_waits_for_it(
    fake_vault: FakeVault, connect: Connect, clock: HandClock
) -> None:
    client = connect(fake_vault.address, clock=clock)
    await client.ping()
    clock.seconds += 3600 * 0.7
    fake_vault.received.clear()
    await client.open([SEALED])
    await client.ping()
    await client.ping()
    await client.open([SEALED])
    assert fake_vault.paths() == ["decrypt", "health", "renew-self", "renew-self", "health", "decrypt"]
    assert {request.body.get("increment") for request in fake_vault.received[2:4]} == {"3600s"}
    assert [request.token for request in fake_vault.received[2:4]] == ["token-reader-role_id", "token-writer-role_id"]


@pytest.mark.parametrize(
    "reply",
    [
        vault_errors(403, "permission denied"),
        vault_errors(400, "lease is not renewable"),
        Reply(body={"auth": {"client_token": "token-reader-role_id", "lease_duration": 60, "renewable": True}}),
    ],
)
def test_a_token_that_vault_renews_no_more_is_replaced(
    fake_vault: FakeVault, session: VaultSession, clock: HandClock, reply: Reply
) -> None:
    session.keep_token()
    clock.seconds += 3600 * 0.7
    fake_vault.answer = on(RENEW, reply)
    session.keep_token()
    assert fake_vault.paths() == ["login", "renew-self", "login"]


def test_a_vault_in_trouble_is_asked_again_for_the_renewal(
    fake_vault: FakeVault, session: VaultSession, clock: HandClock
) -> None:
    session.keep_token()
    clock.seconds += 3600 * 0.7
    fake_vault.answer = on(RENEW, vault_errors(500), behaves(Received(RENEW, "token-reader-role_id", {})))
    session.keep_token()
    session.keep_token()
    assert fake_vault.paths() == ["login", "renew-self"]
    clock.seconds += 61
    session.keep_token()
    assert fake_vault.paths() == ["login", "renew-self", "renew-self"]


async def test_kubernetes_logs_in_with_the_service_accounts_token_as_it_is_then(
    fake_vault: FakeVault, connect: Connect, tmp_path: Path, clock: HandClock
) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("first.jwt.token")
    client = connect(
        fake_vault.address,
        clock=clock,
        writer=KubernetesRole(role="gatehouse-writer", token_file=token_file, mount="k8s-prod"),
        reader=KubernetesRole(role="gatehouse-reader", token_file=token_file, mount="k8s-prod"),
    )
    await client.seal(SECRET, b"context")
    token_file.write_text("second.jwt.token\n")
    await client.open([SEALED])
    assert [(request.path, request.body) for request in fake_vault.received if request.token is None] == [
        ("/v1/auth/k8s-prod/login", {"role": "gatehouse-writer", "jwt": "first.jwt.token"}),
        ("/v1/auth/k8s-prod/login", {"role": "gatehouse-reader", "jwt": "second.jwt.token"}),
    ]
    assert fake_vault.received[-1].token == "token-k8s-prod-gatehouse-reader"


async def test_without_the_service_accounts_token_vault_is_not_even_asked(
    fake_vault: FakeVault, connect: Connect, tmp_path: Path
) -> None:
    role = KubernetesRole(role="reader", token_file=tmp_path / "missing")
    with pytest.raises(Unavailable) as caught:
        await connect(fake_vault.address, reader=role).open([SEALED])
    assert caught.value.reason == "VAULT_DENIED"
    assert fake_vault.received == []


@pytest.mark.parametrize(
    ("method", "logins"),
    [
        ("approle", [("/v1/auth/ours/login", {"role_id": "reader-role_id", "secret_id": "reader-secret_id"})]),
        ("kubernetes", [("/v1/auth/k8s/login", {"role": "gatehouse-reader", "jwt": "a.jwt.token"})]),
    ],
)
async def test_the_settings_say_how_to_log_in(
    fake_vault: FakeVault,
    tmp_path: Path,
    method: Literal["approle", "kubernetes"],
    logins: list[tuple[str, dict[str, str]]],
) -> None:
    (tmp_path / "jwt").write_text("a.jwt.token")
    files = {role: approle(tmp_path, role) for role in ("writer", "reader")}
    settings = Settings(
        public_address="127.0.0.1:1",
        internal_address="127.0.0.1:2",
        tls_cert_file=tmp_path,
        tls_key_file=tmp_path,
        tls_ca_file=tmp_path,
        jwt_issuer="https://issuer.example",
        jwt_audience="gatehouse",
        jwt_jwks="/jwks.json",
        database_url="sqlite:////none.db",
        fingerprint_key_file=tmp_path,
        vault_addr=fake_vault.address,
        vault_ca_file=tmp_path,
        vault_auth_method=method,
        vault_approle_mount="ours",
        vault_writer_role_id_file=files["writer"].role_id,
        vault_writer_secret_id_file=files["writer"].secret_id,
        vault_reader_role_id_file=files["reader"].role_id,
        vault_reader_secret_id_file=files["reader"].secret_id,
        vault_kubernetes_mount="k8s",
        vault_writer_kubernetes_role="gatehouse-writer",
        vault_reader_kubernetes_role="gatehouse-reader",
        vault_kubernetes_token_file=tmp_path / "jwt",
    )
    client = open_vault(settings)
    await client.open([SEALED])
    await client.close()
    assert [(each.path, each.body) for each in fake_vault.received if each.token is None] == logins
