"""Every state a real Vault can be in: the right reason at once, and service again within two seconds of its return.

OpenBao with Shamir's seal and a root token; each test has its own.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local.openbao import READER, WRITER
from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.ports import Ciphertext
from services.key_vault.vault.client import VaultClient
from services.key_vault.vault.connection import KubernetesRole
from tests.integration.key_vault.conftest import Connect
from tests.vault import RootedVault

SECRET = Secret(b"sk-canary-0123456789")
CONTEXT = b"tenants/acme|uid|1"
RECOVERY_S = 2.0


async def seal(client: VaultClient) -> Ciphertext:
    return Ciphertext(text=await client.seal(SECRET, CONTEXT), context=CONTEXT)


async def outcome(call: Awaitable[object]) -> str:
    try:
        await call
    except Unavailable as error:
        return error.reason
    return "OK"


async def outcomes_at_once(client: VaultClient, ciphertext: Ciphertext, *, calls: int = 50) -> Counter[str]:
    """What many calls get; together they may not take as long as it takes to wait for anything."""
    began = time.monotonic()
    counted = Counter([await outcome(client.open([ciphertext])) for _ in range(calls)])
    assert time.monotonic() - began < 1, "at once"
    return counted


async def recovers(client: VaultClient, ciphertext: Ciphertext) -> bool:
    began = time.monotonic()
    while await outcome(client.ping()) != "OK" or await outcome(client.open([ciphertext])) != "OK":
        if time.monotonic() - began > RECOVERY_S:
            return False
        await asyncio.sleep(0.05)
    return (await client.open([ciphertext])).materials == [SECRET]


async def test_a_vault_that_was_never_initialised(rooted: RootedVault, rooted_client: VaultClient) -> None:
    nothing = Ciphertext(text="vault:v1:AAAA", context=CONTEXT)
    assert await outcomes_at_once(rooted_client, nothing) == {"VAULT_SEALED": 50}
    assert await outcome(rooted_client.ping()) == "VAULT_SEALED"
    await asyncio.to_thread(rooted.initialise)
    assert await outcome(rooted_client.ping()) in {"OK", "VAULT_SEALED"}
    ciphertext = await seal(rooted_client)
    assert await recovers(rooted_client, ciphertext)


async def test_a_vault_that_is_sealed_and_unsealed(rooted: RootedVault, rooted_client: VaultClient) -> None:
    await asyncio.to_thread(rooted.initialise)
    ciphertext = await seal(rooted_client)
    for _ in range(3):
        await asyncio.to_thread(rooted.seal)
        assert await outcomes_at_once(rooted_client, ciphertext) == {"VAULT_SEALED": 50}
        assert await outcome(rooted_client.ping()) == "VAULT_SEALED"
        await asyncio.to_thread(rooted.unseal)
        assert await recovers(rooted_client, ciphertext)


async def test_a_rate_limit_quota_that_is_used_up(rooted: RootedVault, rooted_client: VaultClient) -> None:
    await asyncio.to_thread(rooted.initialise)
    ciphertext = await seal(rooted_client)
    rooted.call("sys/quotas/rate-limit/ours", {"rate": 0.01, "path": "transit/decrypt/provider-keys"})
    await outcome(rooted_client.open([ciphertext]))
    with pytest.raises(Unavailable, match="rate-limit quota") as caught:
        await rooted_client.open([ciphertext])
    assert caught.value.reason == "VAULT_UNREACHABLE"
    assert await outcomes_at_once(rooted_client, ciphertext) == {"VAULT_UNREACHABLE": 50}
    rooted.call("sys/quotas/rate-limit/ours", method="DELETE")
    assert await recovers(rooted_client, ciphertext)


async def test_tokens_that_were_revoked_fail_no_call(rooted: RootedVault, rooted_client: VaultClient) -> None:
    await asyncio.to_thread(rooted.initialise)
    ciphertext = await seal(rooted_client)
    for _ in range(3):
        await asyncio.to_thread(rooted.revoke_tokens)
        calls = [rooted_client.open([ciphertext]) for _ in range(8)]
        assert Counter(await asyncio.gather(*map(outcome, calls))) == {"OK": 8}
        assert await outcome(rooted_client.seal(SECRET, CONTEXT)) == "OK"
    assert tokens(rooted) == {"root": 1, WRITER: 1, READER: 1}


async def test_tokens_that_end_and_cannot_live_longer_fail_no_call(
    rooted: RootedVault, rooted_client: VaultClient
) -> None:
    await asyncio.to_thread(rooted.initialise)
    for role in (WRITER, READER):
        rooted.set_role(role, token_ttl="1s", token_max_ttl="2s", token_period="0")
    ciphertext = await seal(rooted_client)
    began = time.monotonic()
    counted: Counter[str] = Counter()
    while time.monotonic() - began < 5:
        counted.update([await outcome(rooted_client.open([ciphertext])), await outcome(rooted_client.ping())])
        await asyncio.sleep(0.1)
    assert set(counted) == {"OK"}


async def test_periodic_tokens_live_for_ever_by_renewal(rooted: RootedVault, rooted_client: VaultClient) -> None:
    await asyncio.to_thread(rooted.initialise)
    for role in (WRITER, READER):
        rooted.set_role(role, token_period="2s")
    await rooted_client.ping()
    before = accessors(rooted)
    for _ in range(30):
        await rooted_client.ping()
        await asyncio.sleep(0.2)
    assert accessors(rooted) == before, "three leases later these are the same tokens"
    assert len(before) == 3


async def test_a_policy_taken_away_and_given_back(rooted: RootedVault, rooted_client: VaultClient) -> None:
    await asyncio.to_thread(rooted.initialise)
    ciphertext = await seal(rooted_client)
    await rooted_client.open([ciphertext])
    policy = rooted.call(f"sys/policies/acl/{READER}")["data"]["policy"]
    lesser = 'path "auth/token/lookup-self" { capabilities = ["read"] }'
    rooted.call(f"sys/policies/acl/{READER}", {"policy": lesser}, method="PUT")
    assert await outcomes_at_once(rooted_client, ciphertext) == {"VAULT_DENIED": 50}
    assert await outcome(rooted_client.seal(SECRET, CONTEXT)) == "OK"
    assert tokens(rooted)[READER] == 1, "a policy's refusal is no reason to log in over and over"
    rooted.call(f"sys/policies/acl/{READER}", {"policy": policy}, method="PUT")
    assert await recovers(rooted_client, ciphertext)


async def test_a_mount_taken_away(rooted: RootedVault, rooted_client: VaultClient) -> None:
    await asyncio.to_thread(rooted.initialise)
    ciphertext = await seal(rooted_client)
    rooted.call("sys/mounts/transit", method="DELETE")
    assert await outcomes_at_once(rooted_client, ciphertext) == {"VAULT_DENIED": 50}
    assert await outcome(rooted_client.ping()) == "VAULT_DENIED"


async def test_an_audit_log_that_cannot_be_written(rooted: RootedVault, rooted_client: VaultClient) -> None:
    await asyncio.to_thread(rooted.initialise)
    ciphertext = await seal(rooted_client)
    await rooted_client.open([ciphertext])
    kept = rooted.audit_log.rename(rooted.audit_log.with_suffix(".kept"))
    rooted.audit_log.symlink_to("/dev/full")
    rooted.reopen_audit_log()
    while await outcome(rooted_client.open([ciphertext])) == "OK":
        await asyncio.sleep(0.02)
    assert await outcomes_at_once(rooted_client, ciphertext) == {"VAULT_UNREACHABLE": 50}
    assert await outcome(rooted_client.ping()) == "VAULT_UNREACHABLE", "its health is fine, its work is not"
    rooted.audit_log.unlink()
    kept.rename(rooted.audit_log)
    rooted.reopen_audit_log()
    assert await recovers(rooted_client, ciphertext)


def service_account_token(signature: str) -> str:
    """As Kubernetes makes them; Vault asks Kubernetes whether the signature is good."""
    claims = {
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:gatehouse:key-vault",
        "kubernetes.io/serviceaccount/namespace": "gatehouse",
        "kubernetes.io/serviceaccount/service-account.name": "key-vault",
        "kubernetes.io/serviceaccount/service-account.uid": "42",
    }
    parts = (json.dumps({"alg": "RS256", "kid": "1"}), json.dumps(claims), signature)
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


TOKEN = service_account_token("good")


@pytest.fixture
def token_reviews() -> Iterator[str]:
    """Kubernetes, as far as Vault asks it: whose token this is."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            user = {"username": "system:serviceaccount:gatehouse:key-vault", "uid": "42", "groups": []}
            authenticated = review["spec"]["token"] == TOKEN
            answer = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "status": {"authenticated": authenticated, "user": user if authenticated else {}},
            }
            body = json.dumps(answer).encode()
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_a_service_account_of_kubernetes_is_let_in_by_its_token(
    rooted: RootedVault, connect: Connect, token_reviews: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(rooted.initialise)
    rooted.call("sys/auth/kubernetes", {"type": "kubernetes"})
    authority = rooted.layout.ca_certificate.read_text()
    config = {"kubernetes_host": token_reviews, "kubernetes_ca_cert": authority, "disable_local_ca_jwt": True}
    rooted.call("auth/kubernetes/config", config)
    for role in (WRITER, READER):
        bound = {"bound_service_account_names": "key-vault", "bound_service_account_namespaces": "gatehouse"}
        rooted.call(f"auth/kubernetes/role/{role}", {**bound, "token_policies": [role], "token_period": "1h"})
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    client = connect(
        rooted.address,
        ca_file=rooted.layout.ca_certificate,
        writer=KubernetesRole(role=WRITER, token_file=token_file),
        reader=KubernetesRole(role=READER, token_file=token_file),
    )
    ciphertext = await seal(client)
    assert (await client.open([ciphertext])).materials == [SECRET]
    await asyncio.to_thread(rooted.revoke_tokens, "kubernetes")
    token_file.write_text(service_account_token("stolen"))
    assert await outcome(client.open([ciphertext])) == "VAULT_DENIED"
    token_file.write_text(TOKEN)
    assert await recovers(client, ciphertext)


def accessors(rooted: RootedVault) -> set[str]:
    return set(rooted.call("auth/token/accessors", method="LIST")["data"]["keys"])


def tokens(rooted: RootedVault) -> Counter[str]:
    """How many tokens there are of each policy."""
    counted: Counter[str] = Counter()
    for accessor in accessors(rooted):
        counted.update(rooted.call("auth/token/lookup-accessor", {"accessor": accessor})["data"]["policies"])
    return counted
