"""Which tokens are believed, and what is said about the others."""

from __future__ import annotations

import json
import re
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import Unauthenticated, Unavailable
from libs.core.resource_names import Owner
from libs.identity.caller import Caller, Role
from libs.identity.tokens import MAX_TOKEN_BYTES, TokenVerifier, bearer_token

NOW = 1_800_000_000


async def refusal(verifier: TokenVerifier, token: bytes | str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(token)
    return caught.value


@pytest.mark.parametrize("kid", ["ed", "ec", "rsa"])
async def test_a_good_token_becomes_its_caller(issuer: Any, verifier: TokenVerifier, kid: str) -> None:
    token = issuer.token(kid)
    caller = await verifier.verify(token)
    assert (caller.tenant, caller.user, caller.plan) == ("acme", "ann", "pro")
    assert caller.roles == {Role.MEMBER}
    assert caller.expires_at == NOW + 600
    assert caller.owner == Owner("acme", "ann")
    assert not caller.is_service_peer
    assert caller.token is not None
    assert caller.token.reveal() == token
    assert token.decode() not in repr(caller)


async def test_the_caller_says_when_and_how_it_authenticated(issuer: Any, verifier: TokenVerifier) -> None:
    caller = await verifier.verify(issuer.token(auth_time=NOW - 5, amr=["pwd", "otp", "x-own"], acr="urn:level:2"))
    assert (caller.auth_time, caller.amr, caller.acr) == (
        NOW - 5,
        frozenset({"pwd", "otp", "x-own"}),
        "urn:level:2",
    )


@pytest.mark.parametrize("nothing", [{}, {"auth_time": None, "amr": None, "acr": None}, {"amr": [], "acr": ""}])
async def test_an_issuer_need_not_tell_when_and_how(
    issuer: Any, verifier: TokenVerifier, nothing: dict[str, object]
) -> None:
    caller = await verifier.verify(issuer.token(**nothing))
    assert (caller.auth_time, caller.amr, caller.acr) == (None, frozenset(), None)


def test_the_actor_is_a_resource_name() -> None:
    member = frozenset({Role.MEMBER})
    assert Caller(tenant="acme", user="ann", roles=member).actor == "tenants/acme/users/ann"
    assert Caller(user="root", roles=frozenset({Role.SUPER_ADMIN})).actor == "platform/users/root"
    assert Caller(service="router").actor == "services/router"


async def test_unknown_roles_grant_nothing(issuer: Any, verifier: TokenVerifier) -> None:
    caller = await verifier.verify(issuer.token(roles=["emperor", "member", "SUPER_ADMIN"]))
    assert caller.roles == {Role.MEMBER}


async def test_a_super_admin_needs_no_tenant(issuer: Any, verifier: TokenVerifier) -> None:
    caller = await verifier.verify(issuer.token(roles=["super_admin"], tenant=...))
    assert caller.tenant is None
    assert caller.owner == Owner()


async def test_one_of_several_audiences_is_enough(issuer: Any, verifier: TokenVerifier) -> None:
    assert (await verifier.verify(issuer.token(aud=["other", "gatehouse"]))).user == "ann"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - 31}, "TOKEN_EXPIRED"),
        ({"exp": NOW - 30}, "TOKEN_EXPIRED"),
        ({"iss": "https://other.test"}, "TOKEN_ISSUER"),
        ({"iss": "https://issuer.test/"}, "TOKEN_ISSUER"),
        ({"iss": ...}, "TOKEN_ISSUER"),
        ({"aud": "other"}, "TOKEN_AUDIENCE"),
        ({"aud": ["gatehouse2", "xgatehouse"]}, "TOKEN_AUDIENCE"),
        ({"aud": []}, "TOKEN_AUDIENCE"),
        ({"aud": ...}, "TOKEN_AUDIENCE"),
        ({"exp": ...}, "TOKEN_CLAIMS"),
        ({"exp": 1e300}, "TOKEN_CLAIMS"),
        ({"exp": True}, "TOKEN_CLAIMS"),
        ({"nbf": NOW + 31}, "TOKEN_CLAIMS"),
        ({"iat": NOW + 31}, "TOKEN_CLAIMS"),
        ({"tenant": "../x"}, "TOKEN_CLAIMS"),
        ({"tenant": "acme/users/bob"}, "TOKEN_CLAIMS"),
        ({"tenant": "acme\n"}, "TOKEN_CLAIMS"),
        ({"tenant": "Acme"}, "TOKEN_CLAIMS"),
        ({"tenant": ""}, "TOKEN_CLAIMS"),
        ({"tenant": ["acme"]}, "TOKEN_CLAIMS"),
        ({"tenant": ...}, "TOKEN_CLAIMS"),
        ({"sub": "auth0|7"}, "TOKEN_CLAIMS"),
        ({"sub": ...}, "TOKEN_CLAIMS"),
        ({"roles": "super_admin"}, "TOKEN_CLAIMS"),
        ({"roles": [["super_admin"]]}, "TOKEN_CLAIMS"),
        ({"roles": ["member"] * 33}, "TOKEN_CLAIMS"),
        ({"plan": "x" * 65}, "TOKEN_CLAIMS"),
        ({"plan": "pro\n"}, "TOKEN_CLAIMS"),
        ({"plan": 1}, "TOKEN_CLAIMS"),
        ({"auth_time": str(NOW)}, "TOKEN_CLAIMS"),
        ({"auth_time": True}, "TOKEN_CLAIMS"),
        ({"auth_time": -1}, "TOKEN_CLAIMS"),
        ({"auth_time": 1e300}, "TOKEN_CLAIMS"),
        ({"auth_time": [NOW]}, "TOKEN_CLAIMS"),
        ({"amr": "otp"}, "TOKEN_CLAIMS"),
        ({"amr": {"otp": True}}, "TOKEN_CLAIMS"),
        ({"amr": [["otp"]]}, "TOKEN_CLAIMS"),
        ({"amr": [1]}, "TOKEN_CLAIMS"),
        ({"amr": ["otp\n"]}, "TOKEN_CLAIMS"),
        ({"amr": ["x" * 65]}, "TOKEN_CLAIMS"),
        ({"amr": ["otp"] * 33}, "TOKEN_CLAIMS"),
        ({"acr": ["2"]}, "TOKEN_CLAIMS"),
        ({"acr": 2}, "TOKEN_CLAIMS"),
        ({"acr": "x" * 257}, "TOKEN_CLAIMS"),
        ({"acr": "2\0"}, "TOKEN_CLAIMS"),
    ],
)
async def test_a_wrong_claim_is_refused(
    issuer: Any, verifier: TokenVerifier, changes: dict[str, object], reason: str
) -> None:
    # Signed over the JSON itself, since the library refuses to write some of these.
    assert (await refusal(verifier, issuer.raw(json.dumps(issuer.claims(**changes)).encode()))).reason == reason


@pytest.mark.parametrize("changes", [{"exp": NOW - 29}, {"nbf": NOW + 30}, {"iat": NOW + 30}])
async def test_clocks_may_differ_by_the_leeway(
    issuer: Any, verifier: TokenVerifier, changes: dict[str, object]
) -> None:
    assert (await verifier.verify(issuer.token(**changes))).user == "ann"


async def test_an_hmac_with_a_public_key_as_secret_is_refused(issuer: Any, verifier: TokenVerifier) -> None:
    for kid in ("rsa", "ec", "ed"):
        public = issuer.private[kid].public_key()
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
            secret = public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
            for algorithm in ("HS256", "RS256" if kid != "rsa" else "ES256"):
                error = await refusal(verifier, issuer.hmac_with(secret, kid, algorithm))
                assert error.reason == "TOKEN_ALGORITHM"
    # With the right algorithm's name it is simply a bad signature.
    assert (await refusal(verifier, issuer.hmac_with(b"x", "rsa", "RS256"))).reason == "TOKEN_SIGNATURE"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS256", "ES384", "PS256", None, 7, ["EdDSA"]])
async def test_other_algorithms_are_refused(issuer: Any, verifier: TokenVerifier, algorithm: object) -> None:
    token = issuer.raw(json.dumps(issuer.claims()).encode(), {"alg": algorithm, "typ": "JWT", "kid": "ed"})
    assert (await refusal(verifier, token)).reason == "TOKEN_ALGORITHM"
    assert (await refusal(verifier, token.rpartition(b".")[0] + b".")).reason == "TOKEN_ALGORITHM"


async def test_the_algorithm_is_the_keys_not_the_headers(issuer: Any, verifier: TokenVerifier) -> None:
    payload = json.dumps(issuer.claims()).encode()
    assert (await refusal(verifier, issuer.raw(payload, {"alg": "EdDSA", "kid": "rsa"}))).reason == "TOKEN_ALGORITHM"
    assert (await refusal(verifier, issuer.raw(payload, {"alg": "RS256", "kid": "ed"}))).reason == "TOKEN_ALGORITHM"


async def test_a_key_in_the_header_is_not_used(issuer: Any, verifier: TokenVerifier) -> None:
    stranger = type(issuer)()
    for header in ({"jwk": stranger.jwks["keys"][0]}, {"jku": "https://evil.test/jwks.json"}):
        assert (await refusal(verifier, stranger.token(headers=header))).reason == "TOKEN_SIGNATURE"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "EdDSA", "kid": "ed", "crit": ["exp"]},
        {"alg": "EdDSA", "kid": "ed", "b64": False, "crit": ["b64"]},
        {"alg": "EdDSA", "kid": "ed", "typ": "logout+jwt"},
        {"alg": "EdDSA", "kid": 1},
    ],
)
async def test_headers_that_mean_something_else_are_refused(
    issuer: Any, verifier: TokenVerifier, header: dict[str, object]
) -> None:
    token = issuer.raw(json.dumps(issuer.claims()).encode(), header)
    assert (await refusal(verifier, token)).reason == "TOKEN_MALFORMED"


async def test_any_changed_part_breaks_the_signature(issuer: Any, verifier: TokenVerifier) -> None:
    head, payload, signature = issuer.token().split(b".")
    other = issuer.token(tenant="rival").split(b".")[1]
    assert (await refusal(verifier, b".".join((head, other, signature)))).reason == "TOKEN_SIGNATURE"
    flipped = (b"A" if signature[:1] != b"A" else b"B") + signature[1:]
    assert (await refusal(verifier, b".".join((head, payload, flipped)))).reason == "TOKEN_SIGNATURE"
    assert (await refusal(verifier, b".".join((head, payload, b"")))).reason == "TOKEN_SIGNATURE"


@pytest.mark.parametrize(
    "token",
    [
        b"x",
        b"a.b",
        b"a.b.c.d",
        b"a.b.c.d.e",
        b"!!.??.**",
        b"\xff\xfe.a.b",
        "tök.en.x",
        b"W10.W10.",
        b"e30 .e30.",
        b"." * 9000,
        b"a.b.\n",
    ],
)
async def test_what_is_no_token_is_malformed(verifier: TokenVerifier, token: bytes | str) -> None:
    assert (await refusal(verifier, token)).reason == "TOKEN_MALFORMED"


async def test_an_oversize_token_is_refused_though_signed(issuer: Any, verifier: TokenVerifier) -> None:
    token = issuer.token(padding="x" * MAX_TOKEN_BYTES)
    assert (await refusal(verifier, token)).reason == "TOKEN_MALFORMED"
    assert (await verifier.verify(issuer.token(padding="x" * 5000))).user == "ann"


async def test_repeated_names_are_refused(issuer: Any, verifier: TokenVerifier) -> None:
    claims = json.dumps(issuer.claims())
    for twice in ('"tenant": "rival", ', '"roles": ["super_admin"], ', '"sub": "ann", '):
        token = issuer.raw(("{" + twice + claims[1:]).encode())
        assert (await refusal(verifier, token)).reason == "TOKEN_MALFORMED"


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b"null",
        b"{",
        b"[" * 5000,
        b'{"exp": NaN}',
        b'{"exp": Infinity}',
        b'{"exp":' + b"9" * 4400 + b"}",
        b"\xff",
    ],
)
async def test_hostile_json_is_malformed(issuer: Any, verifier: TokenVerifier, payload: bytes) -> None:
    assert (await refusal(verifier, issuer.raw(payload))).reason == "TOKEN_MALFORMED"


async def test_a_missing_token_is_named_missing(verifier: TokenVerifier) -> None:
    assert (await refusal(verifier, b"")).reason == "TOKEN_MISSING"
    assert (await refusal(verifier, "")).reason == "TOKEN_MISSING"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "TOKEN_MISSING"),
        ("", "TOKEN_MISSING"),
        ("  ", "TOKEN_MISSING"),
        ("Bearer", "TOKEN_MISSING"),
        ("Bearer  ", "TOKEN_MISSING"),
        ("Basic YTpi", "TOKEN_MALFORMED"),
        ("abc.def.ghi", "TOKEN_MALFORMED"),
    ],
)
def test_a_header_without_a_bearer_token_is_refused(value: str | None, reason: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        bearer_token(value)
    assert caught.value.reason == reason


@pytest.mark.parametrize("value", ["Bearer a.b.c", b"bearer a.b.c", "BEARER   a.b.c "])
def test_the_bearer_scheme_is_read_in_any_case(value: str | bytes) -> None:
    assert bearer_token(value) == b"a.b.c"


async def test_no_text_holds_anything_of_the_token(issuer: Any, verifier: TokenVerifier) -> None:
    tokens = [
        issuer.token(tenant="Canary!"),
        issuer.token(iss="canary"),
        issuer.token(exp=NOW - 100),
        b"canary.canary.canary",
        issuer.raw(b'{"canary": 1, "canary": 2}'),
    ]
    for token in tokens:
        error = await refusal(verifier, token)
        shown = f"{error!r} {error} {error.metadata}".lower()
        assert "canary" not in shown
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None
        assert re.search(r"[A-Za-z0-9_-]{24,}", shown) is None


async def test_a_verified_token_is_recalled_until_it_expires(issuer: Any, verifier: TokenVerifier, clock: Any) -> None:
    token = issuer.token()
    assert verifier.recall(token) is None
    caller = await verifier.verify(token)
    assert verifier.recall(token) is caller
    assert await verifier.verify(token.decode()) is caller
    clock.time = NOW + 629
    assert verifier.recall(token) is caller
    clock.time = NOW + 630
    assert verifier.recall(token) is None
    assert (await refusal(verifier, token)).reason == "TOKEN_EXPIRED"


async def test_a_refused_token_is_never_recalled(issuer: Any, verifier: TokenVerifier) -> None:
    token = issuer.token(aud="other")
    await refusal(verifier, token)
    assert verifier.recall(token) is None


async def test_memory_is_bounded_and_keeps_what_is_used(issuer: Any, keys: Any, clock: Any) -> None:
    verifier = TokenVerifier(keys, issuer="https://issuer.test", audience="gatehouse", remembered=2, clock=clock)
    first, second, third = (issuer.token(jti=str(number)) for number in range(3))
    await verifier.verify(first)
    await verifier.verify(second)
    assert verifier.recall(first) is not None
    await verifier.verify(third)
    assert verifier.recall(second) is None
    assert verifier.recall(first) is not None
    assert verifier.recall(third) is not None


async def test_a_withdrawn_key_ends_the_tokens_it_signed(issuer: Any, verifier: TokenVerifier, keys: Any) -> None:
    token = issuer.token("ed")
    await verifier.verify(token)
    keys.replace(issuer.key_set("rsa"))
    assert verifier.recall(token) is None
    assert (await refusal(verifier, token)).reason == "TOKEN_SIGNATURE"


async def test_an_unknown_key_is_looked_up_once(issuer: Any, verifier: TokenVerifier, keys: Any) -> None:
    keys.replace(issuer.key_set("rsa"))
    keys.on_refresh = issuer.key_set()
    token = issuer.token("ed")
    caller = await verifier.verify(token)
    assert verifier.recall(token) is caller
    assert keys.refreshes == 1


async def test_without_the_issuers_keys_the_service_is_unavailable(
    issuer: Any, verifier: TokenVerifier, keys: Any
) -> None:
    keys.replace(issuer.key_set("rsa"))
    keys.on_refresh = Unavailable("ISSUER_KEYS_UNAVAILABLE", "later")
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token("ed"))


async def test_a_token_without_kid_fits_only_a_single_key(issuer: Any, verifier: TokenVerifier, keys: Any) -> None:
    token = jwt.encode(issuer.claims(), issuer.private["ed"], algorithm="EdDSA")
    assert (await refusal(verifier, token)).reason == "TOKEN_SIGNATURE"
    keys.replace(issuer.key_set("ed"))
    assert (await verifier.verify(token)).user == "ann"


@given(noise=st.binary(max_size=300))
async def test_no_bytes_raise_anything_but_unauthenticated(noise: bytes) -> None:
    class NoKeys:
        def generation(self) -> int:
            return 1

        def find(self, kid: str | None) -> None:
            return None

        async def refresh(self) -> None:
            return None

    verifier = TokenVerifier(NoKeys(), issuer="i", audience="a")
    for token in (noise, b"eyJhbGciOiJFZERTQSJ9." + noise, noise.hex().encode() + b".e30."):
        await refusal(verifier, token)


def test_a_caller_is_a_user_or_a_service_never_both() -> None:
    with pytest.raises(ValueError, match="carries no claims"):
        Caller(service="router", user="ann")
    with pytest.raises(ValueError, match="carries no claims"):
        Caller(service="router", roles=frozenset({Role.SUPER_ADMIN}))
    with pytest.raises(ValueError, match="a user or a service"):
        Caller(tenant="acme", roles=frozenset({Role.MEMBER}))
    with pytest.raises(ValueError, match="owns nothing"):
        _ = Caller(service="router").owner
