"""What a service with an audit log in its database is told about it, and says when it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import SettingsConfigDict

from libs.rpc.databases import open_database, wrong_seal
from libs.rpc.settings import DatabaseSettings, WrongSetting, read_key_file, variable


class Settings(DatabaseSettings):
    model_config = SettingsConfigDict(env_prefix="X_", frozen=True, extra="ignore", hide_input_in_errors=True)

    seal_key_file: Path


def settings(tmp_path: Path, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "public_address": "127.0.0.1:1",
        "internal_address": "127.0.0.1:2",
        **dict.fromkeys(("tls_cert_file", "tls_key_file", "tls_ca_file"), tmp_path / "none.pem"),
        **dict.fromkeys(("jwt_issuer", "jwt_audience", "jwt_jwks"), "x"),
        "database_url": "postgresql://service:hunter2@db/x",
        "migration_database_url": "postgresql://owner:hunter3@db/x",
        "seal_key_file": tmp_path / "seal.key",
    }
    return Settings(**(values | changes))


def test_no_password_of_a_database_is_shown(tmp_path: Path) -> None:
    assert "hunter" not in repr(settings(tmp_path))


def test_a_variable_has_the_services_prefix(tmp_path: Path) -> None:
    assert variable(settings(tmp_path), "seal_key_file") == "X_SEAL_KEY_FILE"


def test_a_key_is_read_without_the_white_space_around_it(tmp_path: Path) -> None:
    (tmp_path / "seal.key").write_text(f"  {'k' * 32}\n")
    assert read_key_file(settings(tmp_path), "seal_key_file").reveal() == b"k" * 32


def test_a_short_key_is_refused_by_its_variable_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "seal.key").write_text("k" * 31 + "\n")
    with pytest.raises(WrongSetting, match=r"^X_SEAL_KEY_FILE: .*seal\.key must hold at least 32") as caught:
        read_key_file(settings(tmp_path), "seal_key_file")
    assert "kkk" not in str(caught.value)


def test_a_key_that_is_not_there_is_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_key_file(settings(tmp_path), "seal_key_file")


def test_the_seal_of_another_deployment_is_named_by_its_variable(tmp_path: Path) -> None:
    assert str(wrong_seal(settings(tmp_path), "seal_key_file")).startswith("X_SEAL_KEY_FILE: ")


async def test_an_owner_without_a_role_to_grant_rights_to_is_refused(tmp_path: Path) -> None:
    nameless = settings(tmp_path, database_url="postgresql://db/x")
    not_reached: Any = None
    with pytest.raises(WrongSetting, match=r"^X_DATABASE_URL: must name the role"):
        await open_database(nameless, not_reached, name="x", migrations=tmp_path, append_only=())
