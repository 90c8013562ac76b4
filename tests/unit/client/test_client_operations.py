from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import gatehouse
import pytest
from gatehouse import AsyncClient, Client
from gatehouse.keyvault.v1.audit_service_pb2 import AuditEvent, ExportAuditEventsResponse
from gatehouse.keyvault.v1.key_maintenance_service_pb2 import GetRewrapProgressResponse, RewrapProgress
from gatehouse.keyvault.v1.key_pb2 import Key
from gatehouse.keyvault.v1.key_service_pb2 import CreateKeyResponse, ListKeysResponse, RotateKeyResponse
from gatehouse.operations import (
    audit,
    config_audit,
    embedding,
    generation,
    health,
    key_maintenance,
    keys,
    models,
    preferences,
    providers,
    quotas,
    routes,
    usage,
)
from gatehouse.operations.operation import Listing, Operation, Stream
from gatehouse.providerconfig.v1.preference_pb2 import Choice
from gatehouse.providerconfig.v1.provider_service_pb2 import UpdateProviderResponse
from gatehouse.router.v1 import generation_service_pb2 as router_pb2
from gatehouse.router.v1.generation_pb2 import Outcome, RouteTrace
from gatehouse.router.v1.generation_service_pb2 import GenerateResponse

from tests.unit.client.fake_gatehouse import SERVICES, FakeGatehouse

KEY, PROVIDER, MODEL, QUOTA = (
    "tenants/acme/keys/k",
    "tenants/acme/providers/p",
    "tenants/acme/providers/p/models/m",
    "tenants/acme/quotas/q",
)
ROUTE, USER, PROFILE = "tenants/acme/routes/r", "tenants/acme/users/ann", "tenants/acme/users/ann/profiles/work"
ALL: list[Operation[Any] | Listing[Any] | Stream[Any]] = [
    generation.generate("x"),
    generation.stream("x"),
    embedding.embed("x"),
    generation.explain("x"),
    generation.estimate("x"),
    generation.available_models(),
    health.health(),
    keys.create(KEY, provider_type="openai", origin="https://x", api_key="k"),
    keys.get(KEY),
    keys.list_("tenants/acme"),
    keys.update(KEY, display_name="d"),
    keys.rotate(KEY, "k"),
    keys.rollback(KEY, 1),
    keys.disable(KEY),
    keys.enable(KEY),
    keys.destroy_version(KEY, 1),
    keys.delete(KEY),
    keys.notifications("tenants/acme"),
    key_maintenance.rewrap(),
    key_maintenance.rewrap_progress(),
    audit.list_("tenants/acme"),
    audit.export("tenants/acme"),
    audit.verify("tenants/acme"),
    audit.key_use("tenants/acme"),
    providers.create(PROVIDER, type="openai"),
    providers.get(PROVIDER),
    providers.list_("tenants/acme"),
    providers.update(PROVIDER, active=True),
    providers.delete(PROVIDER),
    providers.types(),
    providers.try_out(PROVIDER),
    providers.versions(PROVIDER),
    providers.rollback(PROVIDER, 1),
    models.create(MODEL),
    models.get(MODEL),
    models.list_(PROVIDER),
    models.update(MODEL, enabled=True),
    models.delete(MODEL),
    models.sync(PROVIDER),
    routes.create(ROUTE, strategy="priority"),
    routes.get(ROUTE),
    routes.list_("tenants/acme"),
    routes.update(ROUTE, active=True),
    routes.delete(ROUTE),
    routes.versions(ROUTE),
    routes.rollback(ROUTE, 1),
    routes.get_policy("tenants/acme"),
    routes.update_policy("tenants/acme", platform_fallback="last"),
    preferences.get(USER),
    preferences.update(USER, preferred=None),
    preferences.create_profile(PROFILE),
    preferences.get_profile(PROFILE),
    preferences.list_profiles(USER),
    preferences.update_profile(PROFILE, display_name="d"),
    preferences.delete_profile(PROFILE),
    preferences.activate_profile(PROFILE),
    preferences.deactivate_profile(USER),
    config_audit.list_("tenants/acme"),
    config_audit.export("tenants/acme"),
    config_audit.verify("tenants/acme"),
    usage.records("tenants/acme"),
    usage.stats("tenants/acme", group_by=["provider", "model", "rule"]),
    usage.experiment(f"{ROUTE}/experiments/e"),
    quotas.create(QUOTA, metric="tokens", window="day", limit=1),
    quotas.get(QUOTA),
    quotas.list_("tenants/acme"),
    quotas.update(QUOTA, limit=2),
    quotas.delete(QUOTA),
    quotas.state(QUOTA),
]


def first_call(of: Operation[Any] | Listing[Any] | Stream[Any]) -> Operation[Any]:
    match of:
        case Listing():
            return of.first
        case Stream():
            return of.parts
        case Operation():
            return of


FIRST = [first_call(each) for each in ALL]
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
    assert inspect.signature(method).return_annotation == "CreateKeyResponse"
    assert inspect.getdoc(method) == inspect.getdoc(keys.create)
    export = Client(endpoints="x:1").audit.export
    assert list(inspect.signature(export).parameters) == ["parent", "after_sequence", "timeout"]
    assert inspect.signature(export).return_annotation == "Generator[AuditEvent, None, None]"


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


def test_create_and_rotate_answer_with_duplicates_as_well(fake: FakeGatehouse, client: Client) -> None:
    fake.answers["CreateKey"] = lambda _: CreateKeyResponse(key=Key(name=KEY), duplicate_keys=["other"])
    fake.answers["RotateKey"] = lambda _: RotateKeyResponse(key=Key(version=2), hidden_duplicate_count=1)
    created = client.keys.create(KEY, provider_type="openai", origin="https://x", api_key="k", validate_only=True)
    assert (created.key.name, list(created.duplicate_keys)) == (KEY, ["other"])
    assert fake.last("CreateKey").request.validate_only
    rotated = client.keys.rotate(KEY, "k", validate_only=True)
    assert (rotated.key.version, rotated.hidden_duplicate_count) == (2, 1)
    assert fake.last("RotateKey").request.validate_only


@pytest.mark.parametrize(
    ("overlap", "seconds"), [(90, 90.0), (0.5, 0.5), (timedelta(hours=1), 3_600.0), (0, 0.0), (None, None)]
)
def test_an_overlap_is_seconds_or_a_timedelta(
    fake: FakeGatehouse, client: Client, overlap: float | timedelta | None, seconds: float | None
) -> None:
    client.keys.rotate(KEY, "k", overlap=overlap, etag="e", request_id="r")
    request = fake.last("RotateKey").request
    assert (request.etag, request.request_id) == ("e", "r")
    sent = request.overlap.ToTimedelta().total_seconds() if request.HasField("overlap") else None
    assert sent == seconds


@pytest.mark.parametrize(("reference", "sent"), [("acme", ("acme", 0)), (("acme", 3), ("acme", 3)), (None, None)])
def test_a_vault_secret_is_an_id_or_an_id_and_a_version(
    fake: FakeGatehouse, client: Client, reference: str | tuple[str, int] | None, sent: tuple[str, int] | None
) -> None:
    client.keys.rotate(KEY, vault_secret=reference)
    client.keys.create(KEY, provider_type="openai", origin="https://x", vault_secret=reference)
    for request in (fake.last("RotateKey").request, fake.last("CreateKey").request):
        secret = request.vault_secret
        assert ((secret.id, secret.version) if request.HasField("vault_secret") else None) == sent
        assert request.api_key == b""


def test_changes_of_a_key_carry_the_etag_and_the_request_id(fake: FakeGatehouse, client: Client) -> None:
    client.keys.update(KEY, etag="e", request_id="r", labels={"a": "b"})
    update = fake.last("UpdateKey").request
    assert (update.key.etag, update.request_id, list(update.update_mask.paths)) == ("e", "r", ["labels"])
    client.keys.rollback(KEY, 2, etag="e", request_id="r")
    client.keys.destroy_version(KEY, 2, etag="e", request_id="r")
    for method in ("RollbackKey", "DestroyKeyVersion"):
        request = fake.last(method).request
        assert (request.name, request.version, request.etag, request.request_id) == (KEY, 2, "e", "r")
    client.keys.disable(KEY, etag="e", request_id="r")
    client.keys.enable(KEY, etag="e", request_id="r")
    client.keys.delete(KEY, etag="e", request_id="r")
    for method in ("DisableKey", "EnableKey", "DeleteKey"):
        request = fake.last(method).request
        assert (request.name, request.etag, request.request_id) == (KEY, "e", "r")


def test_keys_and_events_are_narrowed(fake: FakeGatehouse, client: Client) -> None:
    list(client.keys.list("tenants/acme", state="disabled", condition="exhausted", include_users=True))
    request = fake.last("ListKeys").request
    assert (request.state, request.condition, request.include_users) == (2, 3, True)
    list(client.audit.list("tenants/acme", outcome="denied", since=datetime(2026, 1, 1, tzinfo=UTC)))
    asked = fake.last("ListAuditEvents").request.filter
    assert (asked.outcome, asked.since.seconds, asked.HasField("until")) == (2, 1_767_225_600, False)
    list(client.audit.key_use("tenants/acme"))
    assert not fake.last("ListKeyUse").request.HasField("since")


def test_an_export_gives_event_after_event_as_they_come(fake: FakeGatehouse, client: Client) -> None:
    def answer(_: object) -> Iterator[ExportAuditEventsResponse]:
        number = 0
        while True:
            yield ExportAuditEventsResponse(events=[AuditEvent(sequence=number + 1), AuditEvent(sequence=number + 2)])
            number += 2

    fake.answers["ExportAuditEvents"] = answer
    events = client.audit.export("tenants/acme", after_sequence=7, timeout=90)
    assert [next(events).sequence for _ in range(3)] == [1, 2, 3]
    assert fake.last("ExportAuditEvents").request.after_sequence == 7
    assert fake.last("ExportAuditEvents").seconds_left == pytest.approx(90, abs=10)
    events.close()
    assert fake.ended.wait(10)


def test_progress_of_a_run_that_never_was_is_none(fake: FakeGatehouse, client: Client) -> None:
    assert client.keys.rewrap_progress() is None
    fake.answers["GetRewrapProgress"] = lambda _: GetRewrapProgressResponse(progress=RewrapProgress(total_count=3))
    progress = client.keys.rewrap_progress()
    assert progress is not None
    assert progress.total_count == 3
    client.keys.rewrap(rotate_sealing_key=True)
    assert fake.last("RewrapKeys").request.rotate_sealing_key


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
    with pytest.raises(ValueError, match="time zone"):
        client.audit.list("tenants/acme", until=datetime(2026, 1, 1))  # noqa: DTZ001 - the point


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


def test_a_call_carries_its_session_and_its_answer_the_trace(fake: FakeGatehouse, client: Client) -> None:
    trace = RouteTrace(revision=42, route=ROUTE)
    fake.answers["Generate"] = lambda _: GenerateResponse(outcome=Outcome(trace=trace))
    assert client.generate("hi", task="extraction", session="chat-1").trace == trace
    call = fake.last("Generate").request.generation
    assert (call.task, call.session) == ("extraction", "chat-1")
    fake.answers["Generate"] = lambda _: GenerateResponse()
    assert client.generate("hi").trace == RouteTrace()


def test_a_field_given_as_none_is_unset(fake: FakeGatehouse, client: Client) -> None:
    client.providers.update(PROVIDER, weight=None, limits=None, options={"organization": "org-1"})
    request = fake.last("UpdateProvider").request
    assert list(request.update_mask.paths) == ["limits", "options", "weight"]
    assert (request.provider.HasField("weight"), request.provider.HasField("limits")) == (False, False)
    assert dict(request.provider.options) == {"organization": "org-1"}
    client.routes.update(ROUTE, experiment=None, strategy="least_busy")
    route = fake.last("UpdateRoute").request
    assert (list(route.update_mask.paths), route.route.strategy) == (["experiment", "strategy"], 5)


def test_an_unsaved_provider_is_tried_with_a_key_that_is_kept_nowhere(fake: FakeGatehouse, client: Client) -> None:
    client.providers.test_unsaved(PROVIDER, type="openai", api_key="sk-1", base_url="https://x", model="m", timeout=20)
    request = fake.last("TestProvider").request
    assert (request.provider.name, request.provider.type, request.api_key, request.model) == (
        PROVIDER,
        "openai",
        b"sk-1",
        "m",
    )
    assert fake.last("TestProvider").seconds_left == pytest.approx(20, abs=5)


def test_choices_by_task_are_sent_in_order(fake: FakeGatehouse, client: Client) -> None:
    client.preferences.update(USER, tasks={"b": Choice(provider="p"), "a": Choice(provider="q", model="m")}, etag="e")
    request = fake.last("UpdatePreferences").request
    assert [(each.task, each.choice.provider) for each in request.preferences.tasks] == [("a", "q"), ("b", "p")]
    assert (request.preferences.etag, list(request.update_mask.paths)) == ("e", ["tasks"])


def test_warnings_of_a_list_are_told_once(fake: FakeGatehouse, client: Client) -> None:
    pages = {
        "": router_pb2.ListModelsResponse(
            models=[router_pb2.AvailableModel(model="a")], next_page_token="2", warnings=["w"]
        ),
        "2": router_pb2.ListModelsResponse(models=[router_pb2.AvailableModel(model="b")], warnings=["w", "v"]),
    }
    fake.answers["router.ListModels"] = lambda request: pages[request.page_token]
    told: list[str] = []
    assert [each.model for each in client.models.available(warn=told.append)] == ["a", "b"]
    assert told == ["w", "v"]
    assert len(list(client.models.available())) == 2


def test_every_page_of_a_list_is_asked_for_alike(fake: FakeGatehouse, client: Client) -> None:
    pages = iter([router_pb2.ListModelsResponse(next_page_token="2"), router_pb2.ListModelsResponse()])
    fake.answers["router.ListModels"] = lambda _: next(pages)
    assert list(client.models.available(revision=7)) == []
    assert [call.metadata["gatehouse-revision"] for call in fake.received] == ["7", "7"]
