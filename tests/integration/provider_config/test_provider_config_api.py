"""The running service, called over TLS with tokens."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gatehouse.providerconfig.v1 import model_pb2, provider_pb2
from gatehouse.providerconfig.v1 import model_service_pb2 as models_pb
from gatehouse.providerconfig.v1 import provider_service_pb2 as providers_pb
from google.protobuf.field_mask_pb2 import FieldMask

from tests.integration.provider_config.conftest import Replica, Stack
from tests.integration.provider_config.person import NAME, Person, refused

_ID = "0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d"


@pytest.fixture
async def replica(stack: Stack) -> Replica:
    return await stack.start()


@pytest.fixture
def admin(stack: Stack, replica: Replica) -> Person:
    return Person(replica, stack.token("acme", "ann", "tenant_admin"))


async def test_a_provider_lives_from_creation_to_deletion(admin: Person) -> None:
    created = await admin.create(display_name="OpenAI", labels={"team": "core"})
    provider = created.provider
    assert provider.name == NAME
    assert (provider.base_url, provider.priority) == ("https://api.openai.com/v1", 100)
    assert provider.active
    assert provider.created_by == "tenants/acme/users/ann"
    assert (await admin("GetProvider", providers_pb.GetProviderRequest(name=NAME))).provider == provider
    changed = await admin.update("active,labels", etag=provider.etag, active=False)
    assert (changed.provider.active, changed.provider.display_name, dict(changed.provider.labels)) == (
        False,
        "OpenAI",
        {},
    )
    assert changed.provider.etag != provider.etag
    deleted = await admin("DeleteProvider", providers_pb.DeleteProviderRequest(name=NAME, etag=changed.provider.etag))
    assert [created.revision, changed.revision, deleted.revision] == [1, 2, 3]
    gone = await refused(admin("GetProvider", providers_pb.GetProviderRequest(name=NAME)))
    assert (gone.reason, gone.domain, gone.metadata) == (
        "PROVIDER_NOT_FOUND",
        "providerconfig.gatehouse",
        {"name": NAME},
    )


async def test_a_model_lives_from_creation_to_deletion(admin: Person) -> None:
    await admin.create()
    created = await admin.create_model(price=model_pb2.ModelPrice(input_micro_usd_per_million=150_000))
    model = created.model
    assert (model.name, model.provider_model_id) == (f"{NAME}/models/gpt-4o", "gpt-4o")
    assert model.enabled
    assert model.capabilities == provider_pb2.Capabilities(
        streaming=True, tools=True, json_schema=True, images=True, documents=True
    )
    assert (await admin("GetModel", models_pb.GetModelRequest(name=model.name))).model == model
    changed = await admin(
        "UpdateModel",
        models_pb.UpdateModelRequest(
            model=model_pb2.Model(name=model.name, etag=model.etag), update_mask=FieldMask(paths=["price"])
        ),
    )
    assert not changed.model.HasField("price")
    stale = await refused(admin("DeleteModel", models_pb.DeleteModelRequest(name=model.name, etag=model.etag)))
    assert stale.reason == "ETAG_MISMATCH"
    deleted = await admin("DeleteModel", models_pb.DeleteModelRequest(name=model.name))
    assert [created.revision, changed.revision, deleted.revision] == [2, 3, 4]
    listed = await admin("ListModels", models_pb.ListModelsRequest(parent=NAME))
    assert list(listed.models) == []


async def test_what_was_read_can_be_written_back(admin: Person) -> None:
    provider = (await admin.create(is_default=True)).provider
    provider.description = "edited"
    for mask in ([], ["*"]):
        request = providers_pb.UpdateProviderRequest(provider=provider, update_mask=FieldMask(paths=mask))
        provider = (await admin("UpdateProvider", request)).provider
        assert provider.description == "edited"
        assert provider.is_default


async def test_a_repeated_request_is_answered_as_the_first_time(admin: Person, stack: Stack, replica: Replica) -> None:
    first, second = await asyncio.gather(admin.create(request_id=_ID), admin.create(request_id=_ID))
    assert first == second
    await admin.update("display_name", display_name="later")
    assert await admin.create(request_id=_ID.upper()) == first
    reused = await refused(admin.create("other", request_id=_ID))
    assert reused.reason == "REQUEST_ID_REUSED"
    bob = Person(replica, stack.token("acme", "bob", "tenant_admin"))
    assert (await refused(bob.create(request_id=_ID))).reason == "PROVIDER_EXISTS"
    model = await admin.create_model(request_id=_ID)
    assert await admin.create_model(request_id=_ID) == model


async def test_a_refused_request_may_be_repeated_with_the_same_id(admin: Person) -> None:
    assert (await refused(admin.create(request_id=_ID, type="nonsense"))).reason == "INVALID_FIELD"
    assert (await admin.create(request_id=_ID)).revision == 1


async def test_validating_stores_nothing_and_does_not_use_up_the_request_id(admin: Person) -> None:
    validated = await admin.create(validate_only=True, request_id=_ID)
    assert (validated.revision, validated.provider.name) == (0, NAME)
    assert (await admin.create(request_id=_ID)).revision == 1
    assert (await admin.create_model(validate_only=True)).revision == 0
    assert (await refused(admin.create(validate_only=True))).reason == "PROVIDER_EXISTS"


async def test_lists_go_page_by_page(admin: Person) -> None:
    for number in range(5):
        await admin.create(f"p{number}")
    seen: list[str] = []
    token = ""
    while True:
        request = providers_pb.ListProvidersRequest(parent="tenants/acme", page_size=2, page_token=token)
        page = await admin("ListProviders", request)
        seen += [provider.name.rpartition("/")[2] for provider in page.providers]
        token = page.next_page_token
        if not token:
            break
        elsewhere = providers_pb.ListProvidersRequest(parent="platform", page_token=token)
        assert (await refused(admin("ListProviders", elsewhere))).metadata == {"field": "page_token"}
    assert seen == ["p0", "p1", "p2", "p3", "p4"]


async def test_the_provider_types_are_listed_the_best_known_first(admin: Person) -> None:
    types = (await admin("ListProviderTypes", providers_pb.ListProviderTypesRequest())).provider_types
    assert [(each.id, each.default_base_url, each.requires_key) for each in types] == [
        ("openai", "https://api.openai.com/v1", True),
        ("anthropic", "https://api.anthropic.com", True),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta", True),
        ("ollama", "http://localhost:11434", False),
        ("azure_openai", "", True),
        ("openai_compatible", "", False),
    ]


async def test_every_wrong_field_is_in_the_status(admin: Person) -> None:
    error = await refused(admin.create("No", base_url="http://10.0.0.1", key="x", priority=-1))
    assert [violation.field for violation in error.field_violations] == [
        "provider_id",
        "provider.base_url",
        "provider.key",
        "provider.priority",
    ]
    assert error.reason == "INVALID_FIELD"


@pytest.mark.parametrize("method", ["GetProvider", "DeleteProvider", "GetModel", "DeleteModel"])
async def test_a_name_that_is_none_is_refused(admin: Person, method: str) -> None:
    request_type = getattr(models_pb if "Model" in method else providers_pb, f"{method}Request")
    for name in ("", "x", "tenants/acme", "tenants/acme/keys/x", f"{NAME}/models/m/x"):
        error = await refused(admin(method, request_type(name=name)))
        assert (error.reason, error.metadata) == ("INVALID_FIELD", {"field": "name"}), name


async def test_loopback_needs_the_setting(stack: Stack, admin: Person) -> None:
    local: dict[str, Any] = {"type": "openai_compatible", "key": "", "base_url": "http://127.0.0.1:7120/v1"}
    assert (await refused(admin.create(**local))).metadata == {"field": "provider.base_url"}
    allowing = Person(await stack.start(allow_loopback_endpoints=True), stack.token("acme", "ann", "tenant_admin"))
    assert (await allowing.create(**local)).provider.base_url == "http://127.0.0.1:7120/v1"
    # Where it is not allowed any more, it can still be switched off.
    assert not (await admin.update("active", active=False)).provider.active
    assert (await refused(admin.update("base_url", base_url=local["base_url"]))).reason == "INVALID_FIELD"


async def test_who_may_not_is_refused_alike_whether_it_exists_or_not(
    stack: Stack, replica: Replica, admin: Person
) -> None:
    await admin.create()
    stranger = Person(replica, stack.token("other", "eve", "tenant_admin"))
    member = Person(replica, stack.token("acme", "bob", "member"))
    texts = set()
    for call in (
        stranger("GetProvider", providers_pb.GetProviderRequest(name=NAME)),
        stranger("GetProvider", providers_pb.GetProviderRequest(name="tenants/acme/providers/none")),
        stranger.update("active", active=False),
        stranger.create(),
        stranger.create_model(),
        member.update("active", active=False),
        member("DeleteProvider", providers_pb.DeleteProviderRequest(name=NAME)),
        admin.create(parent="platform"),
        Person(replica, stack.token("acme", "bot", "service")).create(parent="tenants/acme/users/bot"),
    ):
        error = await refused(call)
        assert error.reason == "PERMISSION_DENIED"
        texts.add(error.message)
    assert len(texts) == 1
    assert (await member("GetProvider", providers_pb.GetProviderRequest(name=NAME))).provider.name == NAME
    assert (await member.create(parent="tenants/acme/users/bob")).provider.created_by == "tenants/acme/users/bob"
    operator = Person(replica, stack.token(None, "root", "super_admin"))
    assert (await operator.create(parent="platform")).provider.created_by == "platform/users/root"
