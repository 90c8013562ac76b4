from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from gatehouse.providerconfig.v1.model_service_pb2 import (
    CreateModelResponse,
    DeleteModelResponse,
    GetModelResponse,
    ListModelsResponse,
    UpdateModelResponse,
)
from gatehouse.providerconfig.v1.provider_service_pb2 import (
    CreateProviderResponse,
    DeleteProviderResponse,
    GetProviderResponse,
    ListProvidersResponse,
    ListProviderTypesResponse,
    UpdateProviderResponse,
)

from tests.unit.client.fake_gatehouse import FakeGatehouse
from tests.unit.client.samples import MODEL, PROVIDER, TYPES

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse) -> None:
    fake.answers |= {
        "CreateProvider": lambda _: CreateProviderResponse(provider=PROVIDER, revision=41),
        "GetProvider": lambda _: GetProviderResponse(provider=PROVIDER),
        "ListProviders": lambda _: ListProvidersResponse(providers=[PROVIDER]),
        "UpdateProvider": lambda _: UpdateProviderResponse(provider=PROVIDER, revision=42),
        "DeleteProvider": lambda _: DeleteProviderResponse(revision=43),
        "ListProviderTypes": lambda _: ListProviderTypesResponse(provider_types=TYPES),
        "CreateModel": lambda _: CreateModelResponse(model=MODEL, revision=44),
        "GetModel": lambda _: GetModelResponse(model=MODEL),
        "ListModels": lambda _: ListModelsResponse(models=[MODEL]),
        "UpdateModel": lambda _: UpdateModelResponse(model=MODEL, revision=45),
        "DeleteModel": lambda _: DeleteModelResponse(revision=46),
    }


def test_a_provider_is_created_with_a_key_of_its_owner(fake: FakeGatehouse, run: Run) -> None:
    result = run("providers", "create", "openai", "--type", "openai", "--key", "openai", "--default", "--priority", "0")
    assert result.exit_code == 0
    request = fake.last("CreateProvider").request
    assert (request.parent, request.provider_id) == ("tenants/acme", "openai")
    assert (request.provider.key, request.provider.is_default) == ("tenants/acme/keys/openai", True)
    assert (request.provider.HasField("priority"), request.provider.HasField("active")) == (True, False)
    assert "revision 41" in result.stderr
    mine = "tenants/acme/users/ann/providers/mine"
    result = run("providers", "create", mine, "--type", "openai", "--key", "k")
    assert f"gatehouse providers test {mine}" in " ".join(result.stderr.split()), "an id would mean the tenant's"
    assert fake.last("CreateProvider").request.provider.key == "tenants/acme/users/ann/keys/k"


def test_an_update_changes_only_what_is_given(fake: FakeGatehouse, run: Run) -> None:
    assert run("providers", "update", "openai", "--inactive", "--key", "").exit_code == 0
    request = fake.last("UpdateProvider").request
    assert list(request.update_mask.paths) == ["active", "key"]
    assert (request.provider.active, request.provider.key) == (False, "")
    nothing = run("providers", "update", "openai")
    assert nothing.exit_code == 2
    assert "say what to change" in nothing.stderr


def test_providers_are_shown(fake: FakeGatehouse, run: Run) -> None:
    assert "active, default" in run("providers", "list").stdout
    assert json.loads(run("providers", "list", "--json").stdout)[0]["active"] is True
    assert fake.last("ListProviders").request.parent == "tenants/acme"
    run("providers", "list", "--owner", "platform")
    assert fake.last("ListProviders").request.parent == "platform"
    assert "by dev" in run("providers", "get", "openai").stdout
    assert "streaming, tools" in run("providers", "types").stdout


def test_a_provider_is_deleted_once_agreed(fake: FakeGatehouse, run: Run) -> None:
    assert run("providers", "delete", "openai").exit_code == 2
    assert fake.received == []
    assert "revision 43" in run("providers", "delete", "openai", "--yes").stderr


def test_a_number_no_message_can_hold_is_a_usage_error(run: Run) -> None:
    result = run("providers", "update", "openai", "--priority", "99999999999")
    assert result.exit_code == 2
    assert "99999999999" in result.stderr


def test_a_name_of_something_else_is_a_usage_error(fake: FakeGatehouse, run: Run) -> None:
    assert run("providers", "get", "tenants/acme/keys/x").exit_code == 2
    assert run("models", "get", "tenants/acme/providers/x").exit_code == 2
    assert fake.received == []


def test_a_model_is_created_with_exact_prices(fake: FakeGatehouse, run: Run) -> None:
    prices = ["--input-price", "0.15", "--output-price", "$0.6", "--cache-read-price", "0.075"]
    result = run("models", "create", "mini", "--provider", "openai", *prices, "--can", "streaming, tools")
    assert result.exit_code == 0
    request = fake.last("CreateModel").request
    assert (request.parent, request.model_id) == (PROVIDER.name, "mini")
    price = request.model.price
    assert (price.input_micro_usd_per_million, price.output_micro_usd_per_million) == (150_000, 600_000)
    assert (price.cache_read_micro_usd_per_million, price.HasField("reasoning_micro_usd_per_million")) == (
        75_000,
        False,
    )
    can = request.model.capabilities
    assert (can.streaming, can.tools, can.images) == (True, True, False)
    assert not request.model.HasField("enabled")


@pytest.mark.parametrize(
    "options",
    [
        ("--input-price", "0.15"),
        ("--input-price", "cheap", "--output-price", "1"),
        ("--input-price", "-1", "--output-price", "1"),
        ("--input-price", "0.0000001", "--output-price", "1"),
        ("--can", "fly"),
    ],
)
def test_wrong_values_of_a_model_are_usage_errors(fake: FakeGatehouse, run: Run, options: tuple[str, ...]) -> None:
    assert run("models", "create", "mini", "--provider", "openai", *options).exit_code == 2
    assert fake.received == []


def test_models_are_shown_changed_and_deleted(fake: FakeGatehouse, run: Run) -> None:
    assert "$0.15 in, $0.60 out" in run("models", "list", "--provider", "openai").stdout
    assert fake.last("ListModels").request.parent == PROVIDER.name
    assert "gpt-4o-mini" in run("models", "get", MODEL.name).stdout
    assert run("models", "update", "gpt-4o-mini", "--provider", "openai", "--disabled").exit_code == 0
    assert list(fake.last("UpdateModel").request.update_mask.paths) == ["enabled"]
    assert run("models", "delete", "gpt-4o-mini", "--provider", "openai", "--yes").exit_code == 0
    assert fake.last("DeleteModel").request.name == MODEL.name
    assert run("models", "list").exit_code == 2
    assert run("models", "get", "mini").exit_code == 2
