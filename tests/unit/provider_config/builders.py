"""Commands and messages that are right unless a test says otherwise."""

from __future__ import annotations

import uuid
from typing import Any

from libs.core.resource_names import KeyName, ModelName, Owner, ProviderName
from services.provider_config.domain.create_model import CreateModel
from services.provider_config.domain.create_provider import CreateProvider
from services.provider_config.domain.model import ModelSettings
from services.provider_config.domain.provider import ProviderSettings
from tests.unit.provider_config.memory_store import NOW

ACME = Owner("acme")


def provider_name(name: str, owner: Owner = ACME) -> ProviderName:
    return ProviderName(owner, name)


def creation(
    name: str = "openai", *, owner: Owner = ACME, validate_only: bool = False, **settings: Any
) -> CreateProvider:
    values: dict[str, Any] = {"base_url": "https://api.openai.com/v1", "key": KeyName(owner, "prod")}
    return CreateProvider(
        name=ProviderName(owner, name),
        type="openai",
        settings=ProviderSettings(**(values | settings)),
        created_by="tenants/acme/users/ann",
        uid=str(uuid.uuid4()),
        now=NOW,
        validate_only=validate_only,
    )


def model_creation(
    name: str = "gpt-4o", *, provider: ProviderName | None = None, validate_only: bool = False, **settings: Any
) -> CreateModel:
    return CreateModel(
        name=ModelName(provider or provider_name("openai"), name),
        settings=ModelSettings(**settings),
        uid=str(uuid.uuid4()),
        now=NOW,
        validate_only=validate_only,
    )
