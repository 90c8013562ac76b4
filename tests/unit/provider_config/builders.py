"""Commands and messages that are right unless a test says otherwise."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from libs.core.audit_authors import Author
from libs.core.endpoints import EndpointRules
from libs.core.money import TokenPrices
from libs.core.resource_names import KeyName, ModelName, Owner, ProviderName, RouteName
from services.provider_config.api.provider_options import option_problems
from services.provider_config.domain.changes import Act, Changed
from services.provider_config.domain.create_model import CreateModel, create_model
from services.provider_config.domain.create_provider import CreateProvider
from services.provider_config.domain.delete_model import DeleteModel, delete_model
from services.provider_config.domain.delete_provider import DeleteProvider, delete_provider
from services.provider_config.domain.deletions import Deleted
from services.provider_config.domain.model import Model, ModelSettings
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.provider_rules import ProviderRules
from services.provider_config.domain.provider_versions import provider_versions
from services.provider_config.domain.route import Route, RouteSettings
from services.provider_config.domain.routing_look_up import route_versions
from services.provider_config.domain.versions import Version
from tests.unit.provider_config.memory_store import NOW

ACME = Owner("acme")
ANN = Author(actor="tenants/acme/users/ann", roles=("tenant_admin",), address="192.0.2.7", request_id="r-1")

RULES = ProviderRules(endpoint_problem=EndpointRules().url_problem, option_problems=option_problems)


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """What is known of a model."""

    context_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] | None = None
    token_price: TokenPrices | None = None


class FakeCatalogue:
    """Knows these models of the type `openai`."""

    def __init__(self, **models: KnownModel) -> None:
        self._models = models

    def facts(self, provider_type: str, provider_model_id: str) -> KnownModel:
        return self._models.get(provider_model_id, KnownModel()) if provider_type == "openai" else KnownModel()

    def price(self, provider_type: str, provider_model_id: str) -> TokenPrices | None:
        return self.facts(provider_type, provider_model_id).token_price


NOTHING_KNOWN = FakeCatalogue()


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


def add_model(name: str = "gpt-4o", **values: Any) -> Callable[[Transaction], Changed[Model]]:
    """The work of a model's creation, of which nothing is known; `values` as for `model_creation`."""
    return partial(create_model, command=model_creation(name, **values), catalogue=NOTHING_KNOWN)


def drop_provider(name: ProviderName, *, etag: str = "", force: bool = False) -> Callable[[Transaction], Deleted]:
    """The work of a provider's deletion."""
    command = DeleteProvider(name=name, etag=etag, force=force, act=act("DeleteProvider"))
    return partial(delete_provider, command=command)


def drop_model(name: ModelName, *, etag: str = "", force: bool = False) -> Callable[[Transaction], Deleted]:
    """The work of a model's deletion."""
    command = DeleteModel(name=name, etag=etag, force=force, act=act("DeleteModel"))
    return partial(delete_model, command=command)


def list_provider_versions(
    transaction: Transaction, name: ProviderName, before: int | None = None, size: int = 999
) -> tuple[Provider, list[Version[ProviderSettings]]]:
    """The provider and a page of its versions, as one transaction sees them."""
    provider, versions = provider_versions(transaction, name, before=before)
    return provider, list(islice(versions, size))


def list_route_versions(
    transaction: Transaction, name: RouteName, before: int | None = None, size: int = 999
) -> tuple[Route, list[Version[RouteSettings]]]:
    """The route and a page of its versions, as one transaction sees them."""
    route, versions = route_versions(transaction, name, before=before)
    return route, list(islice(versions, size))
