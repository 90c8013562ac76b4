"""Bad requests: every wrong field is named, with what would be right."""

from __future__ import annotations

from typing import Any

import pytest
from gatehouse.providerconfig.v1 import model_service_pb2, provider_service_pb2, snapshot_service_pb2
from google.protobuf import json_format

from libs.core.errors import InvalidArgument
from libs.core.resource_names import KeyName, Owner
from services.provider_config.api import read_models, read_providers
from services.provider_config.api.read_names import page_in, scopes_in
from services.provider_config.api.request_ids import remembered_as
from services.provider_config.domain.create_model import CreateModel
from services.provider_config.domain.create_provider import CreateProvider
from services.provider_config.domain.model import ModelPrice, ModelSettings
from services.provider_config.domain.provider import ProviderSettings
from services.provider_config.domain.provider_types import Capabilities
from tests.unit.provider_config.builders import ANN, act

_NAME = "tenants/acme/providers/openai"
_UUID = "0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d"


def _provider(**changes: Any) -> CreateProvider:
    request: dict[str, Any] = {
        "parent": "tenants/acme",
        "provider_id": "openai",
        "provider": {"type": "openai", "key": "tenants/acme/keys/prod"},
    }
    request["provider"] |= changes.pop("provider", {})
    message = json_format.ParseDict(request | changes, provider_service_pb2.CreateProviderRequest())
    return read_providers.create_command(message, uid="u", act=act(), allow_loopback=False)


def _update(mask: str | None = None, **provider: Any) -> Any:
    request: dict[str, Any] = {"provider": {"name": _NAME} | provider}
    message = json_format.ParseDict(request, provider_service_pb2.UpdateProviderRequest())
    message.update_mask.paths.extend(mask.split(",") if mask else ())
    return read_providers.update_command(message, act=act(), allow_loopback=False)


def _model(**changes: Any) -> CreateModel:
    request: dict[str, Any] = {"parent": _NAME, "model_id": "gpt-4o", "model": {}}
    message = json_format.ParseDict(request | changes, model_service_pb2.CreateModelRequest())
    return read_models.create_command(message, uid="u", act=act())


def _fields(error: InvalidArgument) -> list[str]:
    return [violation.field for violation in error.field_violations]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parent": ""}, "parent"),
        ({"parent": "tenants/Acme"}, "parent"),
        ({"parent": "tenants/acme/users/"}, "parent"),
        ({"parent": _NAME}, "parent"),
        ({"provider_id": ""}, "provider_id"),
        ({"provider_id": "Open AI"}, "provider_id"),
        ({"provider_id": "x" * 64}, "provider_id"),
        ({"provider_id": "a/models/b"}, "provider_id"),
        ({"request_id": "1"}, "request_id"),
        ({"request_id": "{0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d}"}, "request_id"),
        ({"provider": {"type": ""}}, "provider.type"),
        ({"provider": {"type": "OpenAI"}}, "provider.type"),
        ({"provider": {"display_name": "x" * 201}}, "provider.display_name"),
        ({"provider": {"display_name": "a\x00b"}}, "provider.display_name"),
        ({"provider": {"description": "x" * 2001}}, "provider.description"),
        ({"provider": {"description": "\x1b[2J"}}, "provider.description"),
        ({"provider": {"base_url": "https://example.com/" + "x" * 2030}}, "provider.base_url"),
        ({"provider": {"base_url": "example.com"}}, "provider.base_url"),
        ({"provider": {"base_url": "http://example.com"}}, "provider.base_url"),
        ({"provider": {"base_url": "http://localhost:1"}}, "provider.base_url"),
        ({"provider": {"base_url": "https://169.254.169.254/latest"}}, "provider.base_url"),
        ({"provider": {"type": "openai_compatible"}}, "provider.base_url"),
        ({"provider": {"key": ""}}, "provider.key"),
        ({"provider": {"key": "prod"}}, "provider.key"),
        ({"provider": {"key": "tenants/other/keys/prod"}}, "provider.key"),
        ({"provider": {"key": "tenants/acme/users/ann/keys/prod"}}, "provider.key"),
        ({"provider": {"key": "platform/keys/prod"}}, "provider.key"),
        ({"provider": {"default_model": "GPT 4"}}, "provider.default_model"),
        ({"provider": {"priority": -1}}, "provider.priority"),
        ({"provider": {"priority": 1001}}, "provider.priority"),
        ({"provider": {"labels": {f"l{number}": "" for number in range(65)}}}, "provider.labels"),
        ({"provider": {"labels": {"Team": "x"}}}, "provider.labels['Team']"),
        ({"provider": {"labels": {"team": "x" * 257}}}, "provider.labels['team']"),
    ],
)
def test_a_wrong_field_of_a_new_provider_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _provider(**changes)
    assert _fields(caught.value) == [field]
    assert caught.value.reason == "INVALID_FIELD"


def test_all_wrong_fields_are_named_at_once() -> None:
    with pytest.raises(InvalidArgument) as caught:
        _provider(parent="nobody", provider_id="-", provider={"priority": -1, "base_url": "x"}, request_id="x")
    assert _fields(caught.value) == [
        "parent",
        "provider_id",
        "request_id",
        "provider.base_url",
        "provider.priority",
    ]


def test_a_new_provider_gets_defaults() -> None:
    assert _provider().settings == ProviderSettings(
        base_url="https://api.openai.com/v1",
        key=KeyName(Owner("acme"), "prod"),
        active=True,
        priority=100,
    )
    explicit = _provider(provider={"active": False, "priority": 0}).settings
    assert (explicit.active, explicit.priority) == (False, 0)


def test_a_compatible_server_needs_no_key() -> None:
    assert (
        _provider(provider={"type": "openai_compatible", "key": "", "base_url": "https://x.example"}).settings.key
        is None
    )


def test_output_only_fields_of_a_new_provider_are_ignored() -> None:
    command = _provider(provider={"name": "nonsense", "uid": "mine", "etag": "x" * 999, "created_by": "me"})
    assert (str(command.name), command.uid, command.act.author) == (_NAME, "u", ANN)


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        ("colour", "'colour', which is not a field"),
        ("", "'', which is not a field"),
        ("x" * 500, f"'{'x' * 64}', which is not a field"),
        ("uid", "'uid', which cannot be changed"),
        ("name", "'name', which cannot be changed"),
        ("type", "'type', which cannot be changed"),
        ("etag", "'etag', which cannot be changed"),
        ("created_by", "'created_by', which cannot be changed"),
        ("create_time", "'create_time', which cannot be changed"),
        ("update_time", "'update_time', which cannot be changed"),
        ("labels.team", "'labels.team': only whole fields can be changed"),
        ("*,active", "'*' alone"),
        ("displayName", "'displayName', which is not a field"),
    ],
)
def test_a_wrong_mask_path_is_named(mask: str, text: str) -> None:
    request = provider_service_pb2.UpdateProviderRequest()
    request.provider.name = _NAME
    request.update_mask.paths.extend(mask.split(","))
    with pytest.raises(InvalidArgument) as caught:
        read_providers.update_command(request, act=act(), allow_loopback=False)
    assert _fields(caught.value) == ["update_mask"]
    assert text in caught.value.message


def test_a_mask_selects_what_changes_and_is_checked() -> None:
    command = _update("active,priority", active=False, base_url="nonsense", type="nonsense")
    assert command.fields == {"active", "priority"}
    assert (command.settings.active, command.settings.priority, command.type) == (False, 100, "")


def test_an_empty_mask_selects_the_fields_that_are_set() -> None:
    assert _update(active=False, description="", display_name="x", uid="u").fields == {"active", "display_name"}
    assert _update().fields == set()


def test_a_star_selects_everything_that_can_change() -> None:
    command = _update("*", display_name="x", type="openai")
    assert command.fields == set(ProviderSettings.__dataclass_fields__)
    assert (command.settings.active, command.settings.priority, command.type) == (True, 100, "openai")


@pytest.mark.parametrize(
    ("provider", "field"),
    [
        ({"name": ""}, "provider.name"),
        ({"name": "tenants/acme"}, "provider.name"),
        ({"key": "tenants/other/keys/prod"}, "provider.key"),
        ({"base_url": "http://10.0.0.1"}, "provider.base_url"),
        ({"etag": "x" * 101}, "provider.etag"),
        ({"priority": 2000}, "provider.priority"),
    ],
)
def test_a_wrong_field_of_a_changed_provider_is_named(provider: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _update(**provider)
    assert _fields(caught.value) == [field]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parent": "tenants/acme"}, "parent"),
        ({"parent": ""}, "parent"),
        ({"model_id": ""}, "model_id"),
        ({"model_id": "meta-llama/Llama"}, "model_id"),
        ({"request_id": "x"}, "request_id"),
        ({"model": {"display_name": "x" * 201}}, "model.display_name"),
        ({"model": {"provider_model_id": "x" * 257}}, "model.provider_model_id"),
        ({"model": {"provider_model_id": "a\x00"}}, "model.provider_model_id"),
        ({"model": {"context_tokens": -1}}, "model.context_tokens"),
        ({"model": {"context_tokens": 100_000_001}}, "model.context_tokens"),
        ({"model": {"max_output_tokens": -1}}, "model.max_output_tokens"),
        ({"model": {"max_output_tokens": 10_000_001}}, "model.max_output_tokens"),
        *(
            ({"model": {"price": {f"{bucket}_micro_usd_per_million": value}}},
             f"model.price.{bucket}_micro_usd_per_million")
            for bucket in ("input", "output", "cache_read", "cache_write", "reasoning")
            for value in (-1, 1_000_000_000_001)
        ),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_new_model_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _model(**changes)
    assert _fields(caught.value) == [field]


def test_a_models_unset_fields_stay_unset() -> None:
    assert _model().settings == ModelSettings()
    free = _model(model={"price": {"cache_read_micro_usd_per_million": 0}, "capabilities": {}}).settings
    assert free.price == ModelPrice(input=0, output=0, cache_read=0)
    assert free.capabilities == Capabilities()


@pytest.mark.parametrize("mask", ["uid", "name", "etag", "price.output_micro_usd_per_million", "type"])
def test_a_wrong_mask_path_of_a_model_is_named(mask: str) -> None:
    request = model_service_pb2.UpdateModelRequest()
    request.model.name = f"{_NAME}/models/gpt-4o"
    request.update_mask.paths.append(mask)
    with pytest.raises(InvalidArgument) as caught:
        read_models.update_command(request, act=act())
    assert mask in caught.value.message


@pytest.mark.parametrize(("size", "token", "field"), [(-1, "", "page_size"), (0, "nonsense", "page_token")])
def test_a_wrong_page_is_named(size: int, token: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        page_in(size, token, {"parent": "tenants/acme"})
    assert _fields(caught.value) == [field]


def test_scopes_are_the_platform_and_tenants() -> None:
    request = snapshot_service_pb2.WatchSnapshotsRequest(watch=["platform", "tenants/acme"], forget=["tenants/b"])
    assert scopes_in(request) == ([Owner(), Owner("acme")], [Owner("b")])


@pytest.mark.parametrize(
    ("watch", "forget", "fields"),
    [
        (["tenants/acme/users/ann"], [], ["watch[0]"]),
        (["platform", ""], ["tenants/A"], ["watch[1]", "forget[0]"]),
        (["platform"] * 1001, [], ["watch"]),
        ([], ["platform"] * 1001, ["forget"]),
    ],
)
def test_what_is_no_scope_is_named(watch: list[str], forget: list[str], fields: list[str]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        scopes_in(snapshot_service_pb2.WatchSnapshotsRequest(watch=watch, forget=forget))
    assert _fields(caught.value) == fields


def test_a_request_is_recognised_by_its_id_and_content() -> None:
    def remembered(**changes: Any) -> Any:
        request = provider_service_pb2.CreateProviderRequest(**({"request_id": _UUID, "provider_id": "a"} | changes))
        return remembered_as(request, caller="tenants/acme/users/ann")

    assert remembered() == remembered(request_id=_UUID.upper())
    assert remembered().digest != remembered(provider_id="b").digest
    assert remembered(request_id="") is None
    assert remembered(validate_only=True) is None
