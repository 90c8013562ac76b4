"""Everything a provider and its models can say, over TLS with tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gatehouse.providerconfig.v1 import model_pb2, provider_pb2, route_pb2
from gatehouse.providerconfig.v1 import model_service_pb2 as models_pb
from gatehouse.providerconfig.v1 import provider_service_pb2 as providers_pb
from gatehouse.providerconfig.v1 import route_service_pb2 as routes_pb
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from services.provider_config.api.read_common import capabilities_in
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from tests.integration.provider_config.conftest import Replica, Stack
from tests.integration.provider_config.person import NAME, Person, refused

_WHOLE: dict[str, Any] = {
    "name": NAME,
    "type": "openai",
    "displayName": "OpenAI",
    "description": "For everything.",
    "baseUrl": "https://api.openai.com/v1",
    "key": "tenants/acme/keys/prod",
    "defaultModel": "gpt-4o-mini",
    "active": True,
    "isDefault": True,
    "priority": 7,
    "weight": 3,
    "defaultForTasks": ["extraction", "cv_draft"],
    "limits": {"requestsPerMinute": 60, "tokensPerMinute": "100000", "concurrentRequests": 5},
    "timeouts": {"connect": "2s", "firstEvent": "10.500s", "idle": "0.250s", "total": "120s"},
    "maxRetries": 2,
    "defaultTemperature": 0.2,
    "defaultMaxOutputTokens": 1000,
    "options": {"organization": "org-a", "project": "proj_b"},
    "labels": {"team": "core"},
}


@pytest.fixture
async def replica(stack: Stack) -> Replica:
    return await stack.start()


@pytest.fixture
def admin(stack: Stack, replica: Replica) -> Person:
    return Person(replica, stack.token("acme", "ann", "tenant_admin"))


async def _create_whole(admin: Person) -> Any:
    provider = json_format.ParseDict(_WHOLE, provider_pb2.Provider())
    request = providers_pb.CreateProviderRequest(parent="tenants/acme", provider_id="openai", provider=provider)
    return (await admin("CreateProvider", request)).provider


async def _roll_back(admin: Person, version: int, etag: str = "") -> Any:
    return await admin("RollbackProvider", providers_pb.RollbackProviderRequest(name=NAME, version=version, etag=etag))


def _said(provider: provider_pb2.Provider) -> dict[str, Any]:
    """What an administrator said of it: all but the output only fields."""
    found: dict[str, Any] = json_format.MessageToDict(provider)
    return {name: value for name, value in found.items() if name not in {"uid", "etag", "createdBy"}
            and not name.endswith("Time")}  # fmt: skip


async def test_all_that_is_said_of_a_provider_is_kept(admin: Person) -> None:
    created = await _create_whole(admin)
    assert _said(created) == _WHOLE
    read = (await admin("GetProvider", providers_pb.GetProviderRequest(name=NAME))).provider
    listed = await admin("ListProviders", providers_pb.ListProvidersRequest(parent="tenants/acme"))
    assert read == created == listed.providers[0]
    # Written back as it was read, it changes nothing.
    request = providers_pb.UpdateProviderRequest(provider=read, update_mask=FieldMask(paths=["*"]))
    assert (await admin("UpdateProvider", request)).provider == created


async def test_what_an_update_leaves_unset_is_unset(admin: Person) -> None:
    await _create_whole(admin)
    kept = ("type", "key", "base_url")
    unset = ",".join(name for name in provider_pb2.Provider.DESCRIPTOR.fields_by_name if name not in {
        *kept, "name", "uid", "etag", "created_by", "create_time", "update_time", "last_test",
    })  # fmt: skip
    bare = (await admin.update(unset)).provider
    assert _said(bare) == {name: _WHOLE[name] for name in ("name", "type", "key", "baseUrl")} | {
        "active": True,
        "priority": 100,
    }


async def test_every_wrong_field_is_named_at_once(admin: Person) -> None:
    error = await refused(
        admin.create(
            weight=-1,
            max_retries=11,
            default_temperature=2.5,
            default_for_tasks=["a", "a"],
            limits=provider_pb2.ProviderLimits(tokens_per_minute=-1),
            timeouts=json_format.ParseDict({"idle": "0.001s"}, provider_pb2.ProviderTimeouts()),
            options={"colour": "red"},
        )
    )
    assert [each.field for each in error.field_violations] == [
        "provider.weight",
        "provider.max_retries",
        "provider.default_temperature",
        "provider.default_for_tasks[1]",
        "provider.limits.tokens_per_minute",
        "provider.timeouts.idle",
        "provider.options.colour",
    ]


async def test_options_are_held_against_the_type_that_is_stored(admin: Person) -> None:
    await admin.create()
    error = await refused(admin.update("options", options={"stream_usage": False}))
    assert [each.field for each in error.field_violations] == ["provider.options.stream_usage"]
    assert (await admin.update("options", options={"project": "proj_b"})).provider.options["project"] == "proj_b"


async def test_an_empty_key_keeps_the_key_and_removing_it_is_said(admin: Person) -> None:
    await admin.create()
    for mask in ("key", "*", "key,display_name"):
        assert (await admin.update(mask, display_name="new")).provider.key == "tenants/acme/keys/prod"
    request = providers_pb.UpdateProviderRequest(provider=provider_pb2.Provider(name=NAME), remove_key=True)
    error = await refused(admin("UpdateProvider", request))
    assert [each.field for each in error.field_violations] == ["provider.key"]
    own = (await admin.create("own", type="openai_compatible", base_url="https://llm.example/v1")).provider
    request = providers_pb.UpdateProviderRequest(provider=provider_pb2.Provider(name=own.name), remove_key=True)
    assert not (await admin("UpdateProvider", request)).provider.key


async def test_a_provider_goes_back_to_what_it_was(admin: Person) -> None:
    first = await _create_whole(admin)
    second = (await admin.update("priority,weight,default_for_tasks", priority=1)).provider
    back = await _roll_back(admin, 1, second.etag)
    assert (back.revision, _said(back.provider)) == (3, _WHOLE)
    assert back.provider.etag not in {first.etag, second.etag}
    stale = await refused(_roll_back(admin, 2, second.etag))
    missing = await refused(_roll_back(admin, 9))
    assert (stale.reason, missing.reason) == ("ETAG_MISMATCH", "VERSION_NOT_FOUND")
    assert missing.metadata == {"name": NAME, "version": "9"}


async def test_versions_go_page_by_page_newest_first(admin: Person) -> None:
    await _create_whole(admin)
    for number in range(2, 6):
        await admin.update("display_name", display_name=str(number))
    seen: list[Any] = []
    token = ""
    while True:
        request = providers_pb.ListProviderVersionsRequest(name=NAME, page_size=2, page_token=token)
        page = await admin("ListProviderVersions", request)
        seen += page.versions
        token = page.next_page_token
        if not token:
            break
    assert [each.version for each in seen] == [5, 4, 3, 2, 1]
    assert [each.provider.display_name for each in seen] == ["5", "4", "3", "2", "OpenAI"]
    assert {each.changed_by for each in seen} == {"tenants/acme/users/ann"}
    assert {each.provider.etag for each in seen} == {""}
    assert _said(seen[-1].provider) == _WHOLE
    assert seen[0].change_time == seen[0].provider.update_time
    platform = providers_pb.ListProviderVersionsRequest(name="platform/providers/shared")
    assert (await refused(admin("ListProviderVersions", platform))).reason == "PERMISSION_DENIED"
    wrong = providers_pb.ListProviderVersionsRequest(name="tenants/acme/providers/x", page_token=page.next_page_token)
    assert (await refused(admin("ListProviderVersions", wrong))).reason == "PROVIDER_NOT_FOUND"


async def test_a_page_of_large_versions_fits_into_a_message(admin: Person) -> None:
    labels = {f"label-{number}": "🎉" * 256 for number in range(64)}
    await admin.create(labels=labels, description="🎉" * 2000)
    for number in range(70):
        await admin.update("display_name", display_name=str(number))
    seen: list[int] = []
    token, pages = "", 0
    while True:
        request = providers_pb.ListProviderVersionsRequest(name=NAME, page_size=1000, page_token=token)
        page = await admin("ListProviderVersions", request)
        seen += [each.version for each in page.versions]
        token, pages = page.next_page_token, pages + 1
        if not token:
            break
    assert seen == list(range(71, 0, -1))
    assert pages == 2


async def test_what_a_type_can_carry_and_takes_is_listed(admin: Person) -> None:
    found = (await admin("ListProviderTypes", providers_pb.ListProviderTypesRequest())).provider_types
    options = {each.id: json.loads(each.options_schema_json)["properties"] for each in found}
    assert {name: set(each) for name, each in options.items()} == {
        each.id: set(each.options) for each in PROVIDER_TYPES.values()
    }
    for each in found:
        assert capabilities_in(each.capabilities) == PROVIDER_TYPES[each.id].capabilities
        assert not each.capabilities.fixed_sampling


async def test_a_well_known_model_needs_no_words(admin: Person) -> None:
    await admin.create()
    model = (await admin.create_model("gpt-4o-mini")).model
    assert (model.context_tokens, model.max_output_tokens) == (128_000, 16_384)
    assert model.capabilities.documents
    assert not model.capabilities.audio
    assert not model.HasField("price")
    assert model.catalogue_price.input_micro_usd_per_million == 150_000
    listed = await admin("ListModels", models_pb.ListModelsRequest(parent=NAME))
    assert list(listed.models) == [model]
    own = (await admin.create_model("mine", context_tokens=0)).model
    assert (own.context_tokens, own.HasField("catalogue_price")) == (0, False)


async def test_a_price_that_is_likely_a_slip_has_to_be_meant(admin: Person) -> None:
    await admin.create()
    dear = model_pb2.ModelPrice(input_micro_usd_per_million=15_000_001, output_micro_usd_per_million=1)
    error = await refused(admin.create_model("gpt-4o-mini", price=dear))
    assert [each.field for each in error.field_violations] == ["model.price.input_micro_usd_per_million"]
    request = models_pb.CreateModelRequest(
        parent=NAME, model_id="gpt-4o-mini", model=model_pb2.Model(price=dear), force=True
    )
    model = (await admin("CreateModel", request)).model
    assert model.price == dear
    dear.output_micro_usd_per_million = 10**12
    update = models_pb.UpdateModelRequest(model=model_pb2.Model(name=model.name, price=dear))
    error = await refused(admin("UpdateModel", update))
    assert [each.field for each in error.field_violations] == [
        "model.price.input_micro_usd_per_million",
        "model.price.output_micro_usd_per_million",
    ]
    update.force = True
    assert (await admin("UpdateModel", update)).model.price == dear


async def test_what_is_switched_off_stays_listed(admin: Person) -> None:
    await admin.create(active=False)
    await admin.create_model(enabled=False)
    providers = await admin("ListProviders", providers_pb.ListProvidersRequest(parent="tenants/acme"))
    models = await admin("ListModels", models_pb.ListModelsRequest(parent=NAME))
    assert [each.active for each in providers.providers] == [False]
    assert [each.enabled for each in models.models] == [False]


async def test_what_a_route_names_is_deleted_only_by_force(admin: Person) -> None:
    await admin.create()
    model = (await admin.create_model("gpt-4o")).model.name
    await admin.create_model("unnamed")
    target = route_pb2.RouteTarget(provider=NAME, model="gpt-4o")
    route = route_pb2.Route(strategy=route_pb2.ROUTING_STRATEGY_PRIORITY, targets=[target])
    await admin("CreateRoute", routes_pb.CreateRouteRequest(parent="tenants/acme", route_id="extraction", route=route))
    used = await refused(admin("DeleteModel", models_pb.DeleteModelRequest(name=model)))
    assert (used.reason, used.metadata) == ("MODEL_IN_USE", {"name": model, "count": "1"})
    violations = [(each.type, each.subject) for each in used.precondition_violations]
    assert violations == [("MODEL_IN_USE", "tenants/acme/routes/extraction")]
    used = await refused(admin("DeleteProvider", providers_pb.DeleteProviderRequest(name=NAME)))
    assert (used.reason, used.metadata) == ("PROVIDER_IN_USE", {"name": NAME, "count": "1"})
    unnamed = models_pb.DeleteModelRequest(name=f"{NAME}/models/unnamed")
    assert list((await admin("DeleteModel", unnamed)).still_named_by) == []
    forced = await admin("DeleteModel", models_pb.DeleteModelRequest(name=model, force=True))
    assert list(forced.still_named_by) == ["tenants/acme/routes/extraction"]
    gone = await admin("DeleteProvider", providers_pb.DeleteProviderRequest(name=NAME, force=True))
    assert list(gone.still_named_by) == ["tenants/acme/routes/extraction"]
