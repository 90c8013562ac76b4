"""The local token issuer."""

import json
import stat
import time
from pathlib import Path

import jwt
import pytest

from deploy.local.errors import LauncherError
from deploy.local.issuer import AUDIENCE, ISSUER, Issuer, ensure_issuer
from deploy.local.layout import StateLayout


@pytest.fixture
def layout(tmp_path: Path) -> StateLayout:
    layout = StateLayout.at(tmp_path)
    layout.make()
    return layout


def sign(issuer: Issuer) -> str:
    claims = {"iss": issuer.issuer, "aud": issuer.audience, "sub": "ada", "exp": int(time.time()) + 60}
    return jwt.encode(claims, issuer.key_file.read_bytes(), algorithm="EdDSA", headers={"kid": issuer.kid})


def test_the_jwks_verifies_what_the_key_signs(layout: StateLayout) -> None:
    token = sign(ensure_issuer(layout))
    keys = jwt.PyJWKSet.from_json(layout.jwks.read_text())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key, algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER)["sub"] == "ada"


def test_the_jwks_holds_no_private_part(layout: StateLayout) -> None:
    ensure_issuer(layout)
    (key,) = json.loads(layout.jwks.read_text())["keys"]
    assert set(key) == {"kty", "crv", "x", "alg", "use", "kid"}


def test_the_signing_key_survives_restarts_and_is_private(layout: StateLayout) -> None:
    first = ensure_issuer(layout)
    layout.issuer_key.chmod(0o644)
    assert ensure_issuer(layout) == first
    assert stat.S_IMODE(layout.issuer_key.stat().st_mode) == 0o600


def test_a_lost_jwks_is_written_again(layout: StateLayout) -> None:
    ensure_issuer(layout)
    before = layout.jwks.read_bytes()
    layout.jwks.unlink()
    ensure_issuer(layout)
    assert layout.jwks.read_bytes() == before


def test_a_damaged_signing_key_is_reported_and_left_alone(layout: StateLayout) -> None:
    layout.issuer_key.write_bytes(b"oops")
    with pytest.raises(LauncherError, match=r"issuer\.key does not hold an Ed25519 private key"):
        ensure_issuer(layout)
    assert layout.issuer_key.read_bytes() == b"oops"
