"""Commands and messages that are right unless a test says otherwise."""

from __future__ import annotations

import uuid
from typing import Any

from libs.core.audit_authors import Author
from libs.core.audit_seal import HeadSeal
from libs.core.resource_names import KeyName, ModelName, Owner, ProviderName
from libs.core.secret import Secret
from services.provider_config.domain.changes import Act
from services.provider_config.domain.create_model import CreateModel
from services.provider_config.domain.create_provider import CreateProvider
from services.provider_config.domain.model import ModelSettings
from services.provider_config.domain.provider import ProviderSettings
from tests.unit.provider_config.memory_store import NOW

ACME = Owner("acme")
SEAL = HeadSeal(Secret(b"seal of audit heads, not a secret"))
ANN = Author(actor="tenants/acme/users/ann", roles=("tenant_admin",), address="192.0.2.7", request_id="r-1")


def act(action: str = "Test") -> Act:
    return Act(author=ANN, action=action, now=NOW, uid=str(uuid.uuid4()))


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
        uid=str(uuid.uuid4()),
        act=act("CreateProvider"),
        validate_only=validate_only,
    )


def model_creation(
    name: str = "gpt-4o", *, provider: ProviderName | None = None, validate_only: bool = False, **settings: Any
) -> CreateModel:
    return CreateModel(
        name=ModelName(provider or provider_name("openai"), name),
        settings=ModelSettings(**settings),
        uid=str(uuid.uuid4()),
        act=act("CreateModel"),
        validate_only=validate_only,
    )
