"""What the environment may say about fresh authentication."""

from __future__ import annotations

import pytest
from pydantic_settings import SettingsConfigDict

from libs.identity.freshness import SECOND_FACTORS
from libs.rpc.settings import ServerSettings, load_settings


class Settings(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="X_", frozen=True, extra="ignore", hide_input_in_errors=True)


REQUIRED = {
    "PUBLIC_ADDRESS": "127.0.0.1:1",
    "INTERNAL_ADDRESS": "127.0.0.1:2",
    **dict.fromkeys(("TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_CA_FILE"), "none.pem"),
    **dict.fromkeys(("JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS"), "x"),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(f"X_{name}", value)


def test_fresh_authentication_is_not_demanded_unless_asked_for() -> None:
    settings = load_settings(Settings)
    assert settings.fresh_auth_max_age_s is None
    assert settings.fresh_auth_amr == SECOND_FACTORS
    assert settings.fresh_auth_acr_values == frozenset()


def test_names_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_FRESH_AUTH_MAX_AGE_S", "300")
    monkeypatch.setenv("X_FRESH_AUTH_AMR", "otp, hwk,,sms ")
    monkeypatch.setenv("X_FRESH_AUTH_ACR_VALUES", "urn:mace:incommon:iap:silver,http://example.test/acr#2")
    settings = load_settings(Settings)
    assert settings.fresh_auth_max_age_s == 300
    assert settings.fresh_auth_amr == {"otp", "hwk", "sms"}
    assert settings.fresh_auth_acr_values == {"urn:mace:incommon:iap:silver", "http://example.test/acr#2"}


def test_levels_alone_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_FRESH_AUTH_AMR", "")
    monkeypatch.setenv("X_FRESH_AUTH_ACR_VALUES", "2")
    assert load_settings(Settings).fresh_auth_amr == frozenset()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FRESH_AUTH_MAX_AGE_S", "0"),
        ("FRESH_AUTH_MAX_AGE_S", "nan"),
        ("FRESH_AUTH_MAX_AGE_S", "inf"),
        ("FRESH_AUTH_MAX_AGE_S", "five minutes"),
        ("FRESH_AUTH_AMR", "otp hwk"),
        ("FRESH_AUTH_AMR", '"otp"'),
        ("FRESH_AUTH_AMR", ","),
        ("FRESH_AUTH_AMR", ",".join(f"m{number}" for number in range(17))),
        ("FRESH_AUTH_ACR_VALUES", "x" * 129),
        ("FRESH_AUTH_ACR_VALUES", "lével"),
    ],
)
def test_a_wrong_value_ends_the_start_and_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(f"X_{name}", value)
    with pytest.raises(SystemExit) as caught:
        load_settings(Settings)
    assert caught.value.code == 2
    assert f"X_{name}" in capsys.readouterr().err
