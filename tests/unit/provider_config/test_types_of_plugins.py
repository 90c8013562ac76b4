"""Provider types that are not built in: those of plugins, also of one that is gone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import MappingProxyType

import pytest
from gatehouse.providerconfig.v1 import provider_service_pb2
from google.protobuf import json_format

from libs.core.errors import InvalidArgument
from libs.core.provider_types import Capabilities, ProviderType
from libs.core.resource_names import ModelName
from services.provider_config.api import read_providers
from services.provider_config.domain.create_model import create_model
from services.provider_config.domain.create_provider import CreateProvider, create_provider
from services.provider_config.domain.model import ModelSettings
from services.provider_config.domain.provider import ProviderSettings
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from services.provider_config.domain.update_model import UpdateModel, update_model
from services.provider_config.domain.update_provider import (
    RollbackProvider,
    UpdateProvider,
    rollback_provider,
    update_provider,
)
from tests.unit.provider_config.builders import NOTHING_KNOWN, RULES, act, creation, model_creation, provider_name
from tests.unit.provider_config.memory_store import MemoryStore

_ACME_AI = ProviderType(
    id="acme_ai",
    display_name="Acme AI",
    description="A type of a plugin's.",
    default_base_url="https://api.acme.example",
    requires_key=True,
    capabilities=Capabilities(streaming=True, audio=True),
    options={"region": {"type": "string", "description": "Where.", "enum": ["eu", "us"]}},
)
_TYPES = MappingProxyType({**PROVIDER_TYPES, "acme_ai": _ACME_AI})
_RULES = replace(RULES, types=_TYPES)
_NAME = provider_name("openai")


def _create(**provider: object) -> CreateProvider:
    request = {"parent": "tenants/acme", "provider_id": "a", "provider": {"type": "acme_ai"} | provider}
    message = json_format.ParseDict(request, provider_service_pb2.CreateProviderRequest())
    return read_providers.create_command(message, uid="u", act=act(), rules=_RULES)


@pytest.fixture
async def store() -> MemoryStore:
    """Holds a provider of the plugin's type."""
    store = MemoryStore()
    await store.write(partial(create_provider, command=replace(creation(), type="acme_ai")))
    return store


def test_a_plugins_type_is_as_good_as_a_built_in_one() -> None:
    settings = _create(key="tenants/acme/keys/a", options={"region": "eu"}).settings
    assert (settings.base_url, settings.options) == ("https://api.acme.example", {"region": "eu"})


def test_its_rules_are_kept() -> None:
    with pytest.raises(InvalidArgument) as caught:
        _create(options={"region": "mars", "stream_usage": True})
    fields = [each.field for each in caught.value.field_violations]
    assert fields == ["provider.key", "provider.options.stream_usage", "provider.options.region"]


async def test_its_models_can_do_what_the_type_carries(store: MemoryStore) -> None:
    made = await store.write(partial(create_model, command=model_creation("m"), catalogue=NOTHING_KNOWN, types=_TYPES))
    assert made.resource.settings.capabilities == _ACME_AI.capabilities


async def test_without_its_plugin_a_provider_is_there_but_cannot_be_changed(store: MemoryStore) -> None:
    made = await store.write(partial(create_model, command=model_creation("m"), catalogue=NOTHING_KNOWN, types=_TYPES))
    assert await store.read(lambda transaction: transaction.providers.get(_NAME)) is not None
    changes = (
        partial(
            update_provider,
            command=UpdateProvider(name=_NAME, fields=frozenset(), settings=ProviderSettings(), act=act()),
            rules=RULES,
        ),
        partial(rollback_provider, command=RollbackProvider(name=_NAME, version=1, act=act()), rules=RULES),
        partial(create_model, command=model_creation("n"), catalogue=NOTHING_KNOWN),
        partial(
            update_model,
            command=UpdateModel(
                name=ModelName(_NAME, made.resource.name.model),
                fields=frozenset(),
                settings=ModelSettings(),
                act=act(),
            ),
            catalogue=NOTHING_KNOWN,
        ),
    )
    for change in changes:
        with pytest.raises(InvalidArgument, match="acme_ai, whose plugin is not installed or did not load"):
            await store.write(change)
