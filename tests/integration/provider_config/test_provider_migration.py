"""What becomes of the providers and models of a database that the first release made."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, MetaData, Table, insert

from libs.core.provider_types import Capabilities
from libs.core.resource_names import KeyName, ModelName, Owner, ProviderName
from libs.storage.database import Database
from libs.storage.engines import backend_for
from libs.storage.migrations import differences, upgrade
from services.provider_config.domain.look_up import get_model
from services.provider_config.domain.model import Model, ModelSettings
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.scope_size import model_bytes, provider_bytes
from services.provider_config.domain.update_provider import RollbackProvider, rollback_provider
from services.provider_config.domain.versions import Version
from services.provider_config.storage.store import MIGRATIONS, SqlConfigStore
from services.provider_config.storage.tables import metadata
from tests.unit.provider_config.builders import RULES, act, list_provider_versions
from tests.unit.provider_config.memory_store import SEAL

_CREATED, _CHANGED = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
_CREATED_US, _CHANGED_US = 1767323045000006, 1770091506000007
_BOB = Owner("acme", "bob")
_NAME = ProviderName(_BOB, "openai")
_PLAIN = ProviderName(Owner(), "own")
# As revision 0001 wrote them, the sizes included.
_PROVIDER = {
    "uid": "p1",
    "version": 5,
    "scope": "tenants/acme",
    "owner": "tenants/acme/users/bob",
    "id": "openai",
    "type": "openai",
    "display_name": "Für uns",
    "description": "two\nlines",
    "base_url": "https://api.openai.com/v1",
    "key": "prod",
    "default_model": "gpt-4o",
    "active": False,
    "is_default": True,
    "priority": 7,
    "labels": '{"env":"prod"}',
    "created_by": "tenants/acme/users/ann",
    "create_time": _CREATED_US,
    "update_time": _CHANGED_US,
    "snapshot_bytes": 386,
}
_OTHER = _PROVIDER | {
    "uid": "p2",
    "version": 1,
    "scope": "platform",
    "owner": "platform",
    "id": "own",
    "type": "openai_compatible",
    "key": None,
    "update_time": _CREATED_US,
}
_MODEL = {
    "uid": "m1",
    "version": 2,
    "provider_uid": "p1",
    "id": "gpt-4o",
    "display_name": "",
    "provider_model_id": "gpt-4o",
    "enabled": True,
    "context_tokens": 5,
    "max_output_tokens": 0,
    "streaming": True,
    "tools": True,
    "json_schema": False,
    "images": True,
    "create_time": _CREATED_US,
    "update_time": _CHANGED_US,
    "snapshot_bytes": 228,
}
_SETTINGS = ProviderSettings(
    display_name="Für uns",
    description="two\nlines",
    base_url="https://api.openai.com/v1",
    key=KeyName(_BOB, "prod"),
    default_model="gpt-4o",
    active=False,
    is_default=True,
    priority=7,
    labels={"env": "prod"},
)


@pytest.fixture
def old_url(database_url: str, tmp_path: Path) -> str:
    """A database as revision 0001 left it, with two providers and a model."""
    scripts = tmp_path / "provider_config" / "storage" / "migrations"
    (scripts / "versions").mkdir(parents=True)
    for file in ("env.py", "versions/0001_providers_and_models.py"):
        shutil.copy(MIGRATIONS / file, scripts / file)
    upgrade(database_url, scripts)
    engine = backend_for(database_url).writer()
    with engine.begin() as connection:
        for table, rows in (("providers", [_PROVIDER, _OTHER]), ("models", [_MODEL])):
            connection.execute(insert(_as_it_is(connection, table)), rows)
    engine.dispose()
    return database_url


def _as_it_is(connection: Connection, name: str) -> Table:
    return Table(name, MetaData(), autoload_with=connection, resolve_fks=False)


def test_an_older_schema_becomes_that_of_the_tables(old_url: str) -> None:
    upgrade(old_url, MIGRATIONS)
    assert differences(old_url, metadata) == []


async def test_what_was_stored_is_all_there_and_has_a_version_to_go_back_to(old_url: str) -> None:
    upgrade(old_url, MIGRATIONS)
    async with Database.open(old_url, name="config") as database:
        store = SqlConfigStore(database, SEAL, changed=lambda: None)
        provider, versions = await store.read(partial(list_provider_versions, name=_NAME))
        other, first = await store.read(partial(list_provider_versions, name=_PLAIN))
        model = await store.read(partial(get_model, name=ModelName(_NAME, "gpt-4o")))
        back = await store.write(
            partial(rollback_provider, command=RollbackProvider(name=_NAME, version=5, act=act()), rules=RULES)
        )
        counted = await store.read(lambda transaction: transaction.scope_bytes(Owner("acme")))
    assert provider == Provider(
        name=_NAME,
        uid="p1",
        version=5,
        type="openai",
        settings=_SETTINGS,
        created_by="tenants/acme/users/ann",
        create_time=_CREATED,
        update_time=_CHANGED,
    )
    # Who made it so is known of the very first version only.
    assert versions == [Version(version=5, changed_by="", change_time=_CHANGED, settings=_SETTINGS)]
    assert [(each.version, each.changed_by, each.settings.key) for each in first] == [(1, other.created_by, None)]
    assert model == Model(
        name=ModelName(_NAME, "gpt-4o"),
        uid="m1",
        version=2,
        provider_type="openai",
        settings=ModelSettings(
            provider_model_id="gpt-4o",
            context_tokens=5,
            max_output_tokens=0,
            capabilities=Capabilities(streaming=True, tools=True, images=True),
        ),
        create_time=_CREATED,
        update_time=_CHANGED,
    )
    assert back.resource == provider
    assert counted >= provider_bytes(provider) + model_bytes(model)
