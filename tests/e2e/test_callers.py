"""Who is let in: the token decides, and what is another's looks the same whether it is there or not."""

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from gatehouse import AsyncClient, PermissionDenied, Unauthenticated

from tests.local_stack import LocalStack

Forge = Callable[[LocalStack, dict[str, Any]], str]


def claims_of(stack: LocalStack) -> dict[str, Any]:
    now = int(time.time())
    issuer = stack.issuer
    return {
        "iss": issuer.issuer,
        "aud": issuer.audience,
        "sub": "dev",
        "tenant": "callers",
        "roles": ["tenant_admin"],
        "iat": now,
        "exp": now + 600,
        "jti": str(uuid.uuid4()),
    }


def signed(stack: LocalStack, claims: dict[str, Any]) -> str:
    key: Any = load_pem_private_key(stack.issuer.key_file.read_bytes(), password=None)
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": stack.issuer.kid})


def signed_by_another(stack: LocalStack, claims: dict[str, Any]) -> str:
    key: Any = ed25519.Ed25519PrivateKey.generate()
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": stack.issuer.kid})


def signed_by_nobody(stack: LocalStack, claims: dict[str, Any]) -> str:
    return signing_input("none", stack, claims) + "."


def signed_with_the_public_key(stack: LocalStack, claims: dict[str, Any]) -> str:
    text = signing_input("HS256", stack, claims)
    return f"{text}.{base64url(hmac.digest(stack.layout.jwks.read_bytes(), text.encode(), 'sha256'))}"


def signing_input(algorithm: str, stack: LocalStack, claims: dict[str, Any]) -> str:
    header = {"alg": algorithm, "kid": stack.issuer.kid, "typ": "JWT"}
    return ".".join(base64url(json.dumps(each).encode()) for each in (header, claims))


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def changed(**changes: object) -> Forge:
    return lambda stack, claims: signed(stack, {**claims, **changes})


def without(claim: str) -> Forge:
    return lambda stack, claims: signed(stack, {name: value for name, value in claims.items() if name != claim})


async def test_the_token_of_these_tests_is_good(stack: LocalStack) -> None:
    async with stack.client(tenant="callers", token=signed(stack, claims_of(stack))) as client:
        assert (await client.generate("May I?")).text


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        pytest.param(lambda stack, claims: "", "TOKEN_MISSING", id="no token"),
        pytest.param(lambda stack, claims: "rubbish", "TOKEN_MALFORMED", id="rubbish"),
        pytest.param(changed(exp=1_700_000_000, iat=1_600_000_000), "TOKEN_EXPIRED", id="expired"),
        pytest.param(changed(aud="another"), "TOKEN_AUDIENCE", id="audience"),
        pytest.param(changed(iss="https://another.example"), "TOKEN_ISSUER", id="issuer"),
        pytest.param(signed_by_another, "TOKEN_SIGNATURE", id="signature"),
        pytest.param(signed_by_nobody, "TOKEN_ALGORITHM", id="no algorithm"),
        pytest.param(signed_with_the_public_key, "TOKEN_ALGORITHM", id="symmetric algorithm"),
        pytest.param(without("sub"), "TOKEN_CLAIMS", id="no user"),
        pytest.param(without("exp"), "TOKEN_CLAIMS", id="no end"),
    ],
)
async def test_a_token_that_is_not_good_is_refused_by_every_service(
    stack: LocalStack, forge: Forge, reason: str
) -> None:
    refused: list[str] = []
    async with stack.client(tenant="callers", token=forge(stack, claims_of(stack))) as client:
        for call in (
            lambda: client.generate("May I?"),
            lambda: client.keys.get("tenants/callers/keys/main"),
            lambda: client.providers.get("tenants/callers/providers/main"),
            lambda: client.quotas.get("tenants/callers/quotas/daily"),
        ):
            with pytest.raises(Unauthenticated) as failure:
                await call()
            refused.append(failure.value.reason)
    assert refused == [reason] * 4


async def test_what_is_anothers_looks_the_same_whether_it_exists_or_not(stack: LocalStack) -> None:
    async with stack.client(tenant="owner") as owner:
        revision = await stack.give_provider(owner, "owner", "sk-sandbox-of-the-owner")
        await owner.quotas.create("tenants/owner/quotas/main", metric="tokens", window="day", limit=1000)
    async with stack.client(tenant="stranger") as stranger:
        answers = {name: await _refusals(stranger, name, revision) for name in ("main", "missing")}
    assert [each.replace("missing", "main") for each in answers["missing"]] == answers["main"]
    assert len(set(answers["main"])) == 1
    assert "owner" not in answers["main"][0]


async def _refusals(stranger: AsyncClient, name: str, revision: int) -> list[str]:
    """What a stranger is told about each thing of the tenant `owner` with this id."""
    texts = []
    for call in (
        stranger.keys.get(f"tenants/owner/keys/{name}"),
        stranger.keys.rotate(f"tenants/owner/keys/{name}", "sk-sandbox-of-the-stranger"),
        stranger.keys.delete(f"tenants/owner/keys/{name}"),
        stranger.providers.get(f"tenants/owner/providers/{name}"),
        stranger.providers.update(f"tenants/owner/providers/{name}", active=False),
        stranger.models.get(f"tenants/owner/providers/main/models/{name}"),
        stranger.quotas.state(f"tenants/owner/quotas/{name}"),
        stranger.generate("For me?", provider=f"tenants/owner/providers/{name}", revision=revision),
    ):
        with pytest.raises(PermissionDenied) as failure:
            await call
        texts.append(f"{failure.value.reason}: {failure.value.message}")
    return texts
