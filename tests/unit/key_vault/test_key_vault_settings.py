"""What key_vault accepts as its settings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from libs.rpc.settings import load_settings
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


@pytest.mark.parametrize(
    "field",
    [
        "vault_transit_mount",
        "vault_transit_key",
        "vault_anchor_key",
        "vault_approle_mount",
        "vault_kubernetes_mount",
        "vault_writer_kubernetes_role",
    ],
)
@pytest.mark.parametrize("value", ["", "../sys", "a/b", "a?b", ".."])
def test_parts_of_vaults_paths_are_plain_names(field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        settings(**{field: value})


def test_a_password_in_the_database_url_is_not_shown() -> None:
    assert "canary" not in repr(settings())


def test_the_environment_is_read_with_the_services_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_VAULT_VAULT_READ_TIMEOUT_S", "0.5")
    assert settings().vault_read_timeout_s == 0.5


APPROLE_FILES = [f"vault_{role}_{part}_id_file" for role in ("writer", "reader") for part in ("role", "secret")]
KUBERNETES = {"vault_writer_kubernetes_role": "gatehouse-writer", "vault_reader_kubernetes_role": "gatehouse-reader"}


@pytest.mark.parametrize("missing", APPROLE_FILES)
def test_approle_needs_all_its_files(missing: str) -> None:
    with pytest.raises(ValidationError, match="is required to log in to Vault by AppRole") as caught:
        settings(**{missing: None})
    assert [error["loc"] for error in caught.value.errors()] == [(missing,)]


def test_kubernetes_needs_roles_and_no_files() -> None:
    kubernetes: dict[str, Any] = dict.fromkeys(APPROLE_FILES) | {"vault_auth_method": "kubernetes"}
    taken = settings(**kubernetes, **KUBERNETES)
    assert str(taken.vault_kubernetes_token_file) == "/var/run/secrets/kubernetes.io/serviceaccount/token"
    for missing in KUBERNETES:
        with pytest.raises(ValidationError, match="is required to log in to Vault by Kubernetes") as caught:
            settings(**kubernetes, **(KUBERNETES | {missing: None}))
        assert [error["loc"] for error in caught.value.errors()] == [(missing,)]


@pytest.mark.parametrize("method", ["approle", "kubernetes"])
def test_what_is_missing_is_told_by_its_variable(
    method: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {**settings().model_dump(), "vault_auth_method": method}.items():
        if value is not None and "role" not in name and "secret" not in name:
            monkeypatch.setenv(f"KEY_VAULT_{name.upper()}", str(value))
    with pytest.raises(SystemExit):
        load_settings(Settings)
    told = capsys.readouterr().err
    missing = APPROLE_FILES if method == "approle" else KUBERNETES
    assert [line.partition(":")[0].strip() for line in told.splitlines()[1:]] == [
        f"KEY_VAULT_{name.upper()}" for name in missing
    ]
