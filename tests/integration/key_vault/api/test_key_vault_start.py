"""What key_vault does by itself, from its start on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import psycopg
import pytest
from gatehouse.keyvault.v1 import key_service_pb2 as pb

from libs.core.errors import GatehouseError
from libs.rpc.settings import WrongSetting
from tests.databases import PostgresServer
from tests.integration.key_vault.api.served_key_vault import (
    CANARY,
    NAME,
    OTHER_CANARY,
    ServedKeyVault,
    create_request,
    error_of,
    served_key_vault,
)
from tests.vault import ThrowAwayVault

PLATFORM_KEY = "platform/keys/anthropic"


async def arrived(served: ServedKeyVault, version: int) -> None:
    async with asyncio.timeout(15):
        while True:
            listed = await served.keys.ListKeys(pb.ListKeysRequest(parent="platform"), metadata=served.operator)
            if any(key.name == PLATFORM_KEY and key.version == version for key in listed.keys):
                return
            await asyncio.sleep(0.05)


async def test_platform_keys_come_from_the_environment_and_follow_it(
    tmp_path: Path, openbao: ThrowAwayVault, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    async with served_key_vault(tmp_path, openbao, database_url, import_environment=True) as served:
        await arrived(served, 1)
        item = served.item(PLATFORM_KEY, origin="https://api.anthropic.com")
        assert await served.open(item) == [CANARY]
    async with served_key_vault(tmp_path, openbao, database_url, import_environment=True) as served:
        await arrived(served, 1)
    monkeypatch.setenv("ANTHROPIC_API_KEY", OTHER_CANARY)
    async with served_key_vault(tmp_path, openbao, database_url, import_environment=True) as served:
        await arrived(served, 2)
        item = served.item(PLATFORM_KEY, origin="https://api.anthropic.com")
        assert await served.open(item) == [OTHER_CANARY]
        assert OTHER_CANARY.encode() not in served.log.getvalue()
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    async with served_key_vault(tmp_path, openbao, database_url, import_environment=True) as served:
        assert await served.open(served.item(PLATFORM_KEY, origin="https://api.anthropic.com")) == [OTHER_CANARY]


async def test_sensitive_actions_ask_for_fresh_mfa_where_the_deployment_does(
    tmp_path: Path, openbao: ThrowAwayVault
) -> None:
    url = f"sqlite:///{tmp_path}/key-vault.db"
    async with served_key_vault(tmp_path, openbao, url, fresh_auth_max_age_s=300) as served:
        now = time.time()
        fresh = {"auth_time": int(now - 10), "amr": ["pwd", "otp"]}
        stale = {"auth_time": int(now - 600), "amr": ["pwd", "otp"]}
        weak = {"auth_time": int(now - 10), "amr": ["pwd"]}
        for claims in ({}, stale, weak):
            bearer = served.identities.bearer("tenant_admin", more=claims)
            error: GatehouseError = await error_of(served.keys.CreateKey(create_request(), metadata=bearer))
            assert error.reason == "FRESH_AUTHENTICATION_REQUIRED"
            assert error.metadata["max_age_s"] == "300"
        bearer = served.identities.bearer("tenant_admin", more=fresh)
        await served.keys.CreateKey(create_request(), metadata=bearer)
        old = served.identities.bearer("tenant_admin", more=stale)
        await served.keys.GetKey(pb.GetKeyRequest(name=NAME), metadata=old)
        await served.keys.DisableKey(pb.DisableKeyRequest(name=NAME), metadata=old)
        for method, request in (
            (served.keys.RotateKey, pb.RotateKeyRequest(name=NAME, api_key=OTHER_CANARY.encode())),
            (served.keys.RollbackKey, pb.RollbackKeyRequest(name=NAME, version=1)),
            (served.keys.DestroyKeyVersion, pb.DestroyKeyVersionRequest(name=NAME, version=1)),
            (served.keys.DeleteKey, pb.DeleteKeyRequest(name=NAME)),
        ):
            assert (await error_of(method(request, metadata=old))).reason == "FRESH_AUTHENTICATION_REQUIRED"
        stranger = served.identities.bearer("tenant_admin", tenant="rival", more=stale)
        assert (await error_of(served.keys.DeleteKey(pb.DeleteKeyRequest(name=NAME), metadata=stranger))).reason == (
            "PERMISSION_DENIED"
        )


async def test_a_role_of_its_own_lets_the_service_add_audit_rows_and_never_change_one(
    tmp_path: Path, openbao: ThrowAwayVault, postgres_server: PostgresServer, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE key_vault_service LOGIN")
    service_url = postgres_url.replace("gatehouse@", "key_vault_service@")
    try:
        async with served_key_vault(tmp_path, openbao, service_url, migration_database_url=postgres_url) as served:
            await served.create()
            assert await served.open(served.item()) == [CANARY]
            await served.keys.DeleteKey(pb.DeleteKeyRequest(name=NAME), metadata=served.admin)
        with psycopg.connect(service_url, autocommit=True) as connection:
            for statement in (
                "UPDATE audit_events SET actor = 'x'",
                "DELETE FROM audit_events",
                "TRUNCATE audit_events",
                "ALTER TABLE audit_events DISABLE TRIGGER ALL",
                "DROP TABLE audit_events",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
            assert connection.execute("SELECT count(*) FROM audit_events").fetchone() == (2,)
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("DROP OWNED BY key_vault_service")
            connection.execute("DROP ROLE key_vault_service")


async def test_retired_versions_are_destroyed_after_their_time(tmp_path: Path, openbao: ThrowAwayVault) -> None:
    url = f"sqlite:///{tmp_path}/key-vault.db"
    async with served_key_vault(tmp_path, openbao, url) as served:
        await served.create()
        await served.keys.RotateKey(
            pb.RotateKeyRequest(name=NAME, api_key=OTHER_CANARY.encode()), metadata=served.admin
        )
        assert not (await served.get()).versions[1].HasField("destroy_time")
    async with served_key_vault(tmp_path, openbao, url, retired_versions_kept_days=0) as served:
        async with asyncio.timeout(15):
            while not (await served.get()).versions[1].HasField("destroy_time"):
                await asyncio.sleep(0.05)
        assert await served.open(served.item()) == [OTHER_CANARY]


async def test_a_replica_with_another_fingerprint_key_does_not_start(
    tmp_path: Path, openbao: ThrowAwayVault, database_url: str
) -> None:
    async with served_key_vault(tmp_path, openbao, database_url) as served:
        await served.create()
    async with served_key_vault(tmp_path, openbao, database_url) as served:
        assert await served.open(served.item()) == [CANARY]
    (tmp_path / "fingerprint.key").write_text("f" * 64)
    with pytest.raises(WrongSetting, match=r"fingerprint\.key is not the key"):
        async with served_key_vault(tmp_path, openbao, database_url):
            pass
