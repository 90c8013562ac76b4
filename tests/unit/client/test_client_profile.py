from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import gatehouse.profile
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from gatehouse import Client, ProfileError
from gatehouse.money import format_nano_usd, micro_usd_of, nano_usd, nano_usd_of
from gatehouse.profile import load_profile
from gatehouse.tokens import DevelopmentTokens, mint_token
from google.type.money_pb2 import Money

from tests.unit.client.fake_gatehouse import FakeGatehouse


def test_a_profile_is_found_by_argument_variable_and_folder(
    fake: FakeGatehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    expected = load_profile(fake.profile)
    monkeypatch.setenv("GATEHOUSE_PROFILE", str(fake.profile))
    assert load_profile() == expected
    monkeypatch.delenv("GATEHOUSE_PROFILE")
    folder = tmp_path / "project"
    (folder / ".gatehouse").mkdir(parents=True)
    (folder / ".gatehouse" / "client.json").write_bytes(fake.profile.read_bytes())
    monkeypatch.chdir(folder)
    assert load_profile() == expected


def test_paths_in_a_profile_are_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "client.json"
    file.write_text(json.dumps({"ca": "tls/ca.pem", "endpoints": {"router": "localhost:7100"}}))
    assert load_profile(file).ca == tmp_path / "tls" / "ca.pem"


def test_a_missing_profile_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEHOUSE_PROFILE", raising=False)
    with pytest.raises(ProfileError, match="make run"):
        load_profile()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"endpoints": []}',
        '{"endpoints": {"router": 1}}',
        '{"endpoints": {"router": "x"}, "issuer": {}}',
    ],
)
def test_a_malformed_profile_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "client.json"
    file.write_text(content)
    with pytest.raises(ProfileError, match=r"not a client\.json"):
        load_profile(file)


def test_a_development_token_carries_its_claims(fake: FakeGatehouse) -> None:
    issuer = load_profile(fake.profile).issuer
    assert issuer is not None
    token = mint_token(issuer, tenant="t1", user="ann", roles=["member"], plan="gold", ttl_s=60)
    key = load_pem_private_key(issuer.key_file.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    claims = jwt.decode(
        token, key.public_key(), algorithms=["EdDSA"], audience="gatehouse", issuer="https://gatehouse.local"
    )
    assert (claims["sub"], claims["tenant"], claims["roles"], claims["plan"]) == ("ann", "t1", ["member"], "gold")
    assert claims["exp"] - claims["iat"] == 60
    assert len(claims["jti"]) == 36
    assert jwt.get_unverified_header(token)["kid"] == "k1"


def test_development_tokens_are_kept_and_renewed(fake: FakeGatehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_800_000_000.0]
    monkeypatch.setattr("gatehouse.tokens.time.time", lambda: now[0])
    issuer = load_profile(fake.profile).issuer
    assert issuer is not None
    tokens = DevelopmentTokens(issuer)
    first = tokens()
    now[0] += 2_000
    assert tokens() == first
    now[0] += 1_000
    assert tokens() != first


def test_an_unusable_issuer_key_is_explained_and_not_quoted(fake: FakeGatehouse) -> None:
    issuer = load_profile(fake.profile).issuer
    assert issuer is not None
    issuer.key_file.write_text("secret rubbish")
    with pytest.raises(ProfileError, match="Ed25519") as caught:
        mint_token(issuer)
    assert "rubbish" not in str(caught.value)


def test_the_token_of_the_environment_comes_before_development_tokens(
    fake: FakeGatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEHOUSE_TOKEN", "mine")
    with Client.from_profile(fake.profile) as client:
        client.generate("x")
    with Client.from_profile(fake.profile, token="given") as client:
        client.generate("x")
    assert [call.metadata["authorization"] for call in fake.received] == ["Bearer mine", "Bearer given"]


def test_without_token_and_issuer_the_client_says_what_it_needs(fake: FakeGatehouse) -> None:
    content = json.loads(fake.profile.read_text())
    del content["issuer"]
    fake.profile.write_text(json.dumps(content))
    with pytest.raises(ProfileError, match="GATEHOUSE_TOKEN"):
        Client.from_profile(fake.profile)


def test_money_is_exact() -> None:
    assert nano_usd(Money(currency_code="USD", units=1, nanos=5)) == 1_000_000_005
    assert nano_usd(Money()) == 0
    with pytest.raises(ValueError, match="EUR"):
        nano_usd(Money(currency_code="EUR"))
    assert [format_nano_usd(nano) for nano in (12_450, 0, 12_500_000_000, -1, 1_234_000_000_000)] == [
        "$0.00001245",
        "$0.00",
        "$12.50",
        "-$0.000000001",
        "$1,234.00",
    ]
    assert (nano_usd_of(Decimal("0.1")), micro_usd_of(Decimal("0.15"))) == (100_000_000, 150_000)
    for wrong in ("0.0000000001", "NaN", "Infinity"):
        with pytest.raises(ValueError, match=r"decimals|number"):
            nano_usd_of(Decimal(wrong))


def test_the_package_imports_nothing_of_the_services() -> None:
    package = Path(gatehouse.profile.__file__).parent
    hand_written = [file for file in package.rglob("*.py") if "v1" not in file.parts]
    assert len(hand_written) > 20
    for file in hand_written:
        lines = file.read_text().splitlines()
        assert not [line for line in lines if line.strip().startswith(("from libs", "import libs", "from services"))]
