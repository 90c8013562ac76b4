"""What key_vault accepts as its settings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from services.key_vault.settings import Settings


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "public_address": "127.0.0.1:7101",
        "internal_address": "127.0.0.1:7201",
        **dict.fromkeys(("tls_cert_file", "tls_key_file", "tls_ca_file"), "/tls"),
        "jwt_issuer": "https://issuer.example",
        "jwt_audience": "gatehouse",
        "jwt_jwks": "/jwks.json",
        "database_url": "postgresql://user:canary@host/db",
        "fingerprint_key_file": "/key",
        "vault_addr": "https://vault.example:8200",
        "vault_ca_file": "/ca.pem",
        **{f"vault_{role}_{part}_id_file": "/id" for role in ("writer", "reader") for part in ("role", "secret")},
    }
    return Settings(**(values | changes))


@pytest.mark.parametrize("address", ["https://vault.example:8200", "http://127.0.0.1:8200", "http://localhost:8200/"])
def test_vault_is_reached_over_tls_or_on_this_machine(address: str) -> None:
    assert settings(vault_addr=address).vault_addr == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    ["http://vault.example:8200", "vault:8200", "https://user:pass@vault", "https://vault/v1", "http://127.0.0.1.evil"],
)
def test_other_vault_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="must"):
        settings(vault_addr=address)


@pytest.mark.parametrize("field", ["vault_transit_mount", "vault_transit_key", "vault_approle_mount"])
@pytest.mark.parametrize("value", ["", "../sys", "a/b", "a?b", ".."])
def test_parts_of_vaults_paths_are_plain_names(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        settings(**{field: value})


def test_a_password_in_the_database_url_is_not_shown() -> None:
    assert "canary" not in repr(settings())


def test_the_environment_is_read_with_the_services_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_VAULT_VAULT_READ_TIMEOUT_S", "0.5")
    assert settings().vault_read_timeout_s == 0.5
