"""Bad requests: every wrong field is named, with what would be right."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from gatehouse.providerconfig.v1 import model_service_pb2, provider_service_pb2, snapshot_service_pb2
from google.protobuf import json_format
from jsonschema import Draft202012Validator

from libs.core.errors import InvalidArgument
from libs.core.page_tokens import encode_page_token
from libs.core.provider_types import Capabilities, ProviderType
from libs.core.resource_names import KeyName, Owner
from services.provider_config.api import read_models, read_providers
from services.provider_config.api.provider_options import option_problems, schema_json
from services.provider_config.api.read_names import page_in, version_page_in
from services.provider_config.api.read_scopes import ScopesAsked, scopes_in
from services.provider_config.api.request_ids import remembered_as
from services.provider_config.domain.create_model import CreateModel
from services.provider_config.domain.create_provider import CreateProvider
from services.provider_config.domain.model import ModelPrice, ModelSettings
from services.provider_config.domain.provider import ProviderLimits, ProviderSettings, ProviderTimeouts
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from tests.unit.provider_config.builders import ANN, RULES, act

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
    return read_providers.create_command(message, uid="u", act=act(), rules=RULES)


def _update(mask: str | None = None, **provider: Any) -> Any:
    request: dict[str, Any] = {"provider": {"name": _NAME} | provider}
    message = json_format.ParseDict(request, provider_service_pb2.UpdateProviderRequest())
    message.update_mask.paths.extend(mask.split(",") if mask else ())
    return read_providers.update_command(message, act=act(), rules=RULES)


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
        # Its default is on this machine, where this deployment lets nobody live.
        ({"provider": {"type": "ollama"}}, "provider.base_url"),
        ({"provider": {"key": ""}}, "provider.key"),
        ({"provider": {"key": "prod"}}, "provider.key"),
        ({"provider": {"key": "tenants/other/keys/prod"}}, "provider.key"),
        ({"provider": {"key": "tenants/acme/users/ann/keys/prod"}}, "provider.key"),
        ({"provider": {"key": "platform/keys/prod"}}, "provider.key"),
        ({"provider": {"default_model": "GPT 4"}}, "provider.default_model"),
        ({"provider": {"priority": -1}}, "provider.priority"),
        ({"provider": {"priority": 1001}}, "provider.priority"),
        ({"provider": {"weight": -1}}, "provider.weight"),
        ({"provider": {"weight": 1_000_001}}, "provider.weight"),
        ({"provider": {"max_retries": -1}}, "provider.max_retries"),
        ({"provider": {"max_retries": 11}}, "provider.max_retries"),
        ({"provider": {"default_temperature": -0.1}}, "provider.default_temperature"),
        ({"provider": {"default_temperature": 2.01}}, "provider.default_temperature"),
        ({"provider": {"default_temperature": "NaN"}}, "provider.default_temperature"),
        ({"provider": {"default_temperature": "Infinity"}}, "provider.default_temperature"),
        ({"provider": {"default_max_output_tokens": 0}}, "provider.default_max_output_tokens"),
        ({"provider": {"default_max_output_tokens": 10_000_001}}, "provider.default_max_output_tokens"),
        ({"provider": {"default_for_tasks": ["CV draft"]}}, "provider.default_for_tasks[0]"),
        ({"provider": {"default_for_tasks": ["a", "b", "a"]}}, "provider.default_for_tasks[2]"),
        ({"provider": {"default_for_tasks": [f"t{number}" for number in range(33)]}}, "provider.default_for_tasks"),
        ({"provider": {"limits": {"requests_per_minute": -1}}}, "provider.limits.requests_per_minute"),
        ({"provider": {"limits": {"requests_per_minute": 10_000_001}}}, "provider.limits.requests_per_minute"),
        ({"provider": {"limits": {"tokens_per_minute": -1}}}, "provider.limits.tokens_per_minute"),
        ({"provider": {"limits": {"tokens_per_minute": 10_000_000_001}}}, "provider.limits.tokens_per_minute"),
        ({"provider": {"limits": {"concurrent_requests": -1}}}, "provider.limits.concurrent_requests"),
        ({"provider": {"limits": {"concurrent_requests": 100_001}}}, "provider.limits.concurrent_requests"),
        *(
            ({"provider": {"timeouts": {name: value}}}, f"provider.timeouts.{name}")
            for name in ("connect", "first_event", "idle", "total")
            for value in ("0s", "-1s", "0.009999s", "86400.000001s", "315576000000s")
        ),
        ({"provider": {"options": {"colour": "red"}}}, "provider.options.colour"),
        ({"provider": {"options": {"Colour!": "red"}}}, "provider.options['Colour!']"),
        ({"provider": {"options": {"stream_usage": True}}}, "provider.options.stream_usage"),
        ({"provider": {"options": {"organization": 5}}}, "provider.options.organization"),
        ({"provider": {"options": {"organization": None}}}, "provider.options.organization"),
        ({"provider": {"options": {"organization": ["org-a"]}}}, "provider.options.organization"),
        ({"provider": {"options": {"organization": ""}}}, "provider.options.organization"),
        ({"provider": {"options": {"organization": "org a"}}}, "provider.options.organization"),
        ({"provider": {"options": {"organization": "org-a\n"}}}, "provider.options.organization"),
        ({"provider": {"options": {"organization": "x" * 129}}}, "provider.options.organization"),
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


def test_all_a_provider_can_say_is_taken() -> None:
    settings = _provider(
        provider={
            "weight": 0,
            "default_for_tasks": ["extraction", "cv_draft"],
            "limits": {"requests_per_minute": 10_000_000, "tokens_per_minute": 10**10, "concurrent_requests": 100_000},
            "timeouts": {"connect": "0.010s", "first_event": "1.5s", "idle": "0.0123456s", "total": "86400s"},
            "max_retries": 0,
            "default_temperature": 0,
            "default_max_output_tokens": 1,
            "options": {"organization": "org-a", "project": "proj_b"},
        }
    ).settings
    assert (settings.weight, settings.max_retries, settings.default_temperature) == (0, 0, 0)
    assert (settings.default_for_tasks, settings.default_max_output_tokens) == (("extraction", "cv_draft"), 1)
    assert settings.limits == ProviderLimits(
        requests_per_minute=10_000_000, tokens_per_minute=10**10, concurrent_requests=100_000
    )
    assert settings.timeouts == ProviderTimeouts(
        connect=timedelta(milliseconds=10),
        first_event=timedelta(seconds=1.5),
        idle=timedelta(microseconds=12_345),
        total=timedelta(days=1),
    )
    assert settings.options == {"organization": "org-a", "project": "proj_b"}


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({}, []),
        ({"output_limit_field": "max_tokens", "stream_usage": False}, []),
        ({"output_limit_field": "max_completion_tokens"}, []),
        ({"output_limit_field": "tokens"}, ["provider.options.output_limit_field"]),
        (
            {"stream_usage": "yes", "organization": "x"},
            ["provider.options.organization", "provider.options.stream_usage"],
        ),
    ],
)
def test_a_compatible_server_has_options_of_its_own(options: dict[str, Any], refused: list[str]) -> None:
    changes = {"type": "openai_compatible", "base_url": "https://x.example", "options": options}
    if not refused:
        assert _provider(provider=changes).settings.options == options
        return
    with pytest.raises(InvalidArgument) as caught:
        _provider(provider=changes)
    assert _fields(caught.value) == refused


def test_no_refusal_of_an_option_quotes_its_value() -> None:
    for name, value in (("organization", "sk-secret value"), ("stream_usage", "sk-secret")):
        with pytest.raises(InvalidArgument) as caught:
            _provider(provider={"type": "openai_compatible", "base_url": "https://x.example", "options": {name: value}})
        assert "sk-secret" not in repr(caught.value) + repr(caught.value.field_violations)


@pytest.mark.parametrize(
    ("provider_type", "name", "told"), [("ollama", "num_ctx", "an integer"), ("ollama", "keep_alive", "a string")]
)
def test_an_option_of_the_wrong_type_is_told_the_right_one(provider_type: str, name: str, told: str) -> None:
    problems = option_problems(PROVIDER_TYPES[provider_type], {name: []})
    assert [each.description for each in problems] == [f"must be {told}"]


@pytest.mark.parametrize("provider_type", PROVIDER_TYPES.values(), ids=PROVIDER_TYPES)
def test_the_schema_of_a_types_options_is_a_closed_one(provider_type: ProviderType) -> None:
    schema = json.loads(schema_json(provider_type))
    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    for name, option in schema["properties"].items():
        assert option["description"], name
        # Whatever is stored is bounded.
        assert option["type"] in {"boolean", "number", "integer"} or {"enum", "pattern", "maxLength"} & set(option), (
            name
        )
        good = option.get("examples", option.get("enum", [option.get("default", "x")]))
        assert [list(option_problems(provider_type, {name: each})) for each in good] == [[] for _ in good], name


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
        read_providers.update_command(request, act=act(), rules=RULES)
    assert _fields(caught.value) == ["update_mask"]
    assert text in caught.value.message


def test_a_mask_of_very_many_paths_is_refused_without_naming_them_all() -> None:
    request = provider_service_pb2.UpdateProviderRequest()
    request.provider.name = _NAME
    request.update_mask.paths.extend(["active"] * 100 + ["x"])
    with pytest.raises(InvalidArgument) as caught:
        read_providers.update_command(request, act=act(), rules=RULES)
    assert caught.value.message == "update_mask must have at most 100 entries, has 101"
    del request.update_mask.paths[100:]
    assert read_providers.update_command(request, act=act(), rules=RULES).fields == {"active"}


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


def test_a_key_is_removed_or_named_but_not_both() -> None:
    request = provider_service_pb2.UpdateProviderRequest(remove_key=True)
    request.provider.name = _NAME
    assert read_providers.update_command(request, act=act(), rules=RULES).remove_key
    request.provider.key = "tenants/acme/keys/prod"
    with pytest.raises(InvalidArgument) as caught:
        read_providers.update_command(request, act=act(), rules=RULES)
    assert _fields(caught.value) == ["remove_key"]


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": "x", "version": 1}, ["name"]),
        ({"name": _NAME}, ["version"]),
        ({"name": _NAME, "version": -1, "etag": "x" * 101}, ["version", "etag"]),
    ],
)
def test_a_wrong_field_of_a_rollback_is_named(fields: dict[str, Any], wrong: list[str]) -> None:
    request = provider_service_pb2.RollbackProviderRequest(**fields)
    with pytest.raises(InvalidArgument) as caught:
        read_providers.rollback_command(request, act=act())
    assert _fields(caught.value) == wrong


def test_a_wrong_field_of_a_deletion_is_named() -> None:
    with pytest.raises(InvalidArgument) as caught:
        read_providers.delete_command(provider_service_pb2.DeleteProviderRequest(name="x", etag="x" * 101), act=act())
    assert _fields(caught.value) == ["name", "etag"]
    with pytest.raises(InvalidArgument) as caught:
        read_models.delete_command(model_service_pb2.DeleteModelRequest(name=_NAME, etag="x" * 101), act=act())
    assert _fields(caught.value) == ["name", "etag"]


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
        ({"model": {"provider_model_id": "gpt-4o\n"}}, "model.provider_model_id"),
        ({"model": {"provider_model_id": "gpt\u200b-4o"}}, "model.provider_model_id"),
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
    zero = _model(model={"context_tokens": 0, "max_output_tokens": 0}).settings
    assert (zero.context_tokens, zero.max_output_tokens) == (0, 0)
    able = _model(model={"capabilities": dict.fromkeys(Capabilities.__dataclass_fields__, True)}).settings
    assert able.capabilities == Capabilities.named(frozenset(Capabilities.__dataclass_fields__))


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


@pytest.mark.parametrize("cursor", ["", "a\x00", "A", "a/b", "x" * 64])
def test_a_page_begins_after_an_id(cursor: str) -> None:
    bound_to = {"parent": "tenants/acme"}
    assert page_in(7, encode_page_token("gpt-4o", bound_to), bound_to) == (7, "gpt-4o")
    with pytest.raises(InvalidArgument) as caught:
        page_in(0, encode_page_token(cursor, bound_to), bound_to)
    assert _fields(caught.value) == ["page_token"]


@pytest.mark.parametrize("cursor", ["", "0", "-1", "1.5", "x", "\u0661", "9" * 19])
def test_a_page_of_versions_begins_before_a_number(cursor: str) -> None:
    bound_to = {"name": _NAME}
    assert version_page_in(0, "", bound_to) == (50, None)
    assert version_page_in(7, encode_page_token("12", bound_to), bound_to) == (7, 12)
    with pytest.raises(InvalidArgument) as caught:
        version_page_in(0, encode_page_token(cursor, bound_to), bound_to)
    assert _fields(caught.value) == ["page_token"]


def test_scopes_are_the_platform_and_tenants() -> None:
    request = snapshot_service_pb2.WatchSnapshotsRequest(watch=["platform", "tenants/acme"], forget=["tenants/b"])
    assert scopes_in(request) == ScopesAsked(forget=[Owner("b")], resume={}, watch=[Owner(), Owner("acme")])


@pytest.mark.parametrize(
    ("watch", "forget", "fields"),
    [
        (["tenants/acme/users/ann"], [], ["watch[0]"]),
        (["platform", ""], ["tenants/A"], ["forget[0]", "watch[1]"]),
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
