from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import gatehouse
import pytest
from gatehouse import AsyncClient, Client
from gatehouse.keyvault.v1.key_pb2 import Key
from gatehouse.keyvault.v1.key_service_pb2 import ListKeysResponse
from gatehouse.operations import generation, keys, models, providers, quotas, usage
from gatehouse.operations.operation import Listing, Operation
from gatehouse.providerconfig.v1.provider_service_pb2 import UpdateProviderResponse

from tests.unit.client.fake_gatehouse import SERVICES, FakeGatehouse

KEY, PROVIDER, MODEL, QUOTA = (
    "tenants/acme/keys/k",
    "tenants/acme/providers/p",
    "tenants/acme/providers/p/models/m",
    "tenants/acme/quotas/q",
)
ALL: list[Operation[Any] | Listing[Any]] = [
    generation.generate("x"),
    generation.stream("x"),
    generation.explain("x"),
    keys.create(KEY, provider_type="openai", origin="https://x", api_key="k"),
    keys.get(KEY),
    keys.list_("tenants/acme"),
    keys.rotate(KEY, "k"),
    keys.delete(KEY),
    providers.create(PROVIDER, type="openai"),
    providers.get(PROVIDER),
    providers.list_("tenants/acme"),
    providers.update(PROVIDER, active=True),
    providers.delete(PROVIDER),
    providers.types(),
    models.create(MODEL),
    models.get(MODEL),
    models.list_(PROVIDER),
    models.update(MODEL, enabled=True),
    models.delete(MODEL),
    usage.records("tenants/acme"),
    usage.stats("tenants/acme", group_by=["provider", "model", "user"]),
    quotas.create(QUOTA, metric="tokens", window="day", limit=1),
    quotas.get(QUOTA),
    quotas.list_("tenants/acme"),
    quotas.update(QUOTA, limit=2),
    quotas.delete(QUOTA),
    quotas.state(QUOTA),
]
FIRST = [each.first if isinstance(each, Listing) else each for each in ALL]
HOMES = {
    "router": "router",
    "keyvault": "key_vault",
    "providerconfig": "provider_config",
    "usage": "usage_accounting",
}


def test_every_public_method_of_the_services_can_be_called() -> None:
    methods = {f"/{service.full_name}/{method.name}" for service in SERVICES for method in service.methods}
    assert {operation.method for operation in FIRST} == methods


@pytest.mark.parametrize("operation", FIRST, ids=lambda operation: operation.method)
def test_a_call_fits_its_method(operation: Operation[Any]) -> None:
    services = {service.full_name: service for service in SERVICES}
    service, name = operation.method.strip("/").split("/")
    method = services[service].methods_by_name[name]
    assert method.input_type == operation.request.DESCRIPTOR
    assert method.output_type == operation.response.DESCRIPTOR
    assert operation.service == HOMES[service.split(".")[1]]
    operation.pick(operation.response())


def test_the_async_client_has_what_the_sync_one_has() -> None:
    def shape(client: object) -> dict[str, list[str]]:
        return {
            name: [each for each in dir(part) if not each.startswith("_")]
            for name, part in vars(client).items()
            if not name.startswith("_")
        }

    assert shape(Client(endpoints="x:1")) == shape(AsyncClient(endpoints="x:1"))


def test_methods_show_their_arguments_and_description() -> None:
    import inspect

    method = Client(endpoints="x:1").keys.create
    assert list(inspect.signature(method).parameters)[:2] == ["name", "provider_type"]
    assert inspect.signature(method).return_annotation == "Key"
    assert inspect.getdoc(method) == inspect.getdoc(keys.create)


def test_create_splits_the_name(fake: FakeGatehouse, client: Client) -> None:
    client.keys.create(KEY, provider_type="openai", origin="https://x", api_key="sk-1", labels={"a": "b"})
    request = fake.last("CreateKey").request
    assert (request.parent, request.key_id, request.api_key) == ("tenants/acme", "k", b"sk-1")
    assert (request.key.provider_type, request.key.origin, dict(request.key.labels)) == (
        "openai",
        "https://x",
        {"a": "b"},
    )
    client.models.create(MODEL)
    assert (fake.last("CreateModel").request.parent, fake.last("CreateModel").request.model_id) == (PROVIDER, "m")


@pytest.mark.parametrize("name", ["k", "tenants/acme/providers/k", "/keys/k", "tenants/acme/keys/", "a/keys/k/x"])
def test_a_name_of_something_else_is_refused(client: Client, name: str) -> None:
    with pytest.raises(ValueError, match="is not a name like"):
        client.keys.create(name, provider_type="openai", origin="https://x", api_key="k")


def test_update_names_exactly_the_given_fields(fake: FakeGatehouse, client: Client) -> None:
    fake.answers["UpdateProvider"] = lambda _: UpdateProviderResponse(revision=9)
    response = client.providers.update(PROVIDER, etag="e1", active=False, priority=0)
    request = fake.last("UpdateProvider").request
    assert list(request.update_mask.paths) == ["active", "priority"]
    assert (request.provider.name, request.provider.etag, request.provider.HasField("active")) == (PROVIDER, "e1", True)
    assert response.revision == 9


def test_lists_read_pages_only_as_they_are_needed(fake: FakeGatehouse, client: Client) -> None:
    pages = {
        "": ListKeysResponse(keys=[Key(name="a"), Key(name="b")], next_page_token="2"),
        "2": ListKeysResponse(keys=[Key(name="c")]),
    }
    fake.answers["ListKeys"] = lambda request: pages[request.page_token]
    found = client.keys.list("tenants/acme", page_size=2)
    assert [next(found).name, next(found).name] == ["a", "b"]
    assert len(fake.received) == 1
    assert [key.name for key in found] == ["c"]
    assert fake.last("ListKeys").request.page_size == 2


def test_times_need_a_zone(fake: FakeGatehouse, client: Client) -> None:
    list(client.usage.records("tenants/acme", start=datetime(2026, 1, 1, tzinfo=UTC)))
    request = fake.last("ListUsageRecords").request
    assert (request.start_time.seconds, request.HasField("end_time")) == (1_767_225_600, False)
    with pytest.raises(ValueError, match="time zone"):
        client.usage.stats("tenants/acme", end=datetime(2026, 1, 1))  # noqa: DTZ001 - the point


def test_a_service_without_an_endpoint_is_named(fake: FakeGatehouse) -> None:
    with (
        Client(endpoints={"router": fake.target}, ca=fake.ca) as client,
        pytest.raises(gatehouse.ProfileError, match="no endpoint of key_vault"),
    ):
        client.keys.get(KEY)


def test_wrong_endpoints_and_authorities_are_refused_at_once(fake: FakeGatehouse) -> None:
    with pytest.raises(gatehouse.ProfileError, match="ruoter"):
        Client(endpoints={"ruoter": "x:1"})
    with pytest.raises(gatehouse.ProfileError, match="PEM"):
        Client(endpoints="x:1", ca=b"rubbish")
    with pytest.raises(gatehouse.ProfileError, match="cannot be read"):
        Client(endpoints="x:1", ca="/does/not/exist.pem")
    with pytest.raises(gatehouse.ProfileError, match="timeout"):
        Client(endpoints="x:1", timeout=0)
