"""Requests about preferences and profiles: ids stay ids until it is known what they mean, wrong fields are named."""

from __future__ import annotations

from typing import Any

import pytest
from gatehouse.providerconfig.v1 import preference_service_pb2 as pb
from google.protobuf import json_format

from libs.core.errors import InvalidArgument
from libs.core.resource_names import Owner, ProfileName, ProviderName
from services.provider_config.api import read_preferences
from services.provider_config.domain.create_profile import CreateProfile
from services.provider_config.domain.preference_choices import WantedChoice, WantedTaskChoice
from services.provider_config.domain.update_preferences import UpdatePreferences
from tests.unit.provider_config.builders import ACME, act

_ANN = "tenants/acme/users/ann"
_MAIN = "tenants/acme/providers/main"


def _preferences(parent: str = _ANN, mask: str | None = None, **preferences: Any) -> UpdatePreferences:
    request = {"parent": parent, "preferences": preferences}
    message = json_format.ParseDict(request, pb.UpdatePreferencesRequest())
    message.update_mask.paths.extend(mask.split(",") if mask else ())
    return read_preferences.preferences_command(message, uid="u", act=act())


def _create(**changes: Any) -> CreateProfile:
    request: dict[str, Any] = {"parent": _ANN, "profile_id": "work", "profile": {}}
    message = json_format.ParseDict(request | changes, pb.CreateProfileRequest())
    return read_preferences.create_command(message, uid="u", act=act())


def _update(mask: str | None = None, **profile: Any) -> Any:
    message = json_format.ParseDict({"profile": {"name": f"{_ANN}/profiles/work"} | profile}, pb.UpdateProfileRequest())
    message.update_mask.paths.extend(mask.split(",") if mask else ())
    return read_preferences.update_command(message, act=act())


def _fields(call: Any) -> list[str]:
    with pytest.raises(InvalidArgument) as caught:
        call()
    assert caught.value.reason == "INVALID_FIELD"
    return [violation.field for violation in caught.value.field_violations]


def _task(task: str, provider: str = "main", model: str = "") -> dict[str, Any]:
    return {"task": task, "choice": {"provider": provider, "model": model}}


def test_ids_stay_ids_and_names_become_names() -> None:
    wanted = _preferences(preferred={"provider": "main", "model": "m"}, tasks=[_task("cv", _MAIN)]).wanted
    assert wanted.user == Owner("acme", "ann")
    assert wanted.preferred == WantedChoice(provider="main", model="m")
    assert wanted.tasks == (WantedTaskChoice(task="cv", choice=WantedChoice(provider=ProviderName(ACME, "main"))),)


def test_a_new_profile_is_read_whole() -> None:
    command = _create(profile={"display_name": "Work", "providers": ["a", _MAIN], "preferred": {"provider": "a"}})
    assert command.name == ProfileName("acme", "ann", "work")
    assert (command.display_name, command.wanted.resource) == ("Work", "profile")
    assert command.wanted.providers == ("a", ProviderName(ACME, "main"))


def test_only_what_the_mask_names_is_read() -> None:
    command = _update("display_name", display_name="x", providers=["NO"], preferred={"provider": ""})
    assert command.fields == {"display_name"}
    assert list(command.wanted.references()) == []
    assert _preferences("tenants/acme/users/ann", "preferred", tasks=[_task("A")]).fields == {"preferred"}


def test_an_empty_mask_takes_what_is_set_and_a_star_everything() -> None:
    assert _preferences(tasks=[_task("a")]).fields == {"tasks"}
    assert _preferences(mask="*").fields == {"preferred", "tasks"}
    assert _update(preferred={"provider": "a"}).fields == {"preferred"}
    assert _update("*").fields == {"display_name", "description", "providers", "preferred", "tasks"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parent": ""}, "parent"),
        ({"parent": "platform"}, "parent"),
        ({"parent": "tenants/acme"}, "parent"),
        ({"preferred": {}}, "preferences.preferred.provider"),
        ({"preferred": {"provider": "NO"}}, "preferences.preferred.provider"),
        ({"preferred": {"provider": "tenants/acme/keys/x"}}, "preferences.preferred.provider"),
        ({"preferred": {"provider": "main", "model": "meta-llama/x"}}, "preferences.preferred.model"),
        ({"tasks": [_task(f"t{number}") for number in range(65)]}, "preferences.tasks"),
        ({"tasks": [_task("a"), _task("a")]}, "preferences.tasks[1].task"),
        ({"tasks": [_task("Cover Letter")]}, "preferences.tasks[0].task"),
        ({"tasks": [_task("")]}, "preferences.tasks[0].task"),
        ({"tasks": [{"task": "a"}]}, "preferences.tasks[0].choice.provider"),
        ({"tasks": [_task("a", model="NO")]}, "preferences.tasks[0].choice.model"),
        ({"etag": "x" * 101}, "preferences.etag"),
        ({"mask": "active_profile"}, "update_mask"),
        ({"mask": "name"}, "update_mask"),
        ({"mask": "preferred.model"}, "update_mask"),
    ],
)
def test_a_wrong_field_of_preferences_is_named(changes: dict[str, Any], field: str) -> None:
    assert _fields(lambda: _preferences(**changes)) == [field]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"parent": "tenants/acme"}, "parent"),
        ({"profile_id": ""}, "profile_id"),
        ({"profile_id": "At Work"}, "profile_id"),
        ({"request_id": "x"}, "request_id"),
        ({"profile": {"display_name": "x" * 201}}, "profile.display_name"),
        ({"profile": {"description": "x" * 2001}}, "profile.description"),
        ({"profile": {"description": "\x00"}}, "profile.description"),
        ({"profile": {"providers": [f"p{number}" for number in range(65)]}}, "profile.providers"),
        ({"profile": {"providers": ["a", ""]}}, "profile.providers[1]"),
        ({"profile": {"providers": ["a", "tenants/acme"]}}, "profile.providers[1]"),
        ({"profile": {"preferred": {}}}, "profile.preferred.provider"),
        ({"profile": {"tasks": [_task("a"), _task("b"), _task("a")]}}, "profile.tasks[2].task"),
    ],
)
def test_a_wrong_field_of_a_new_profile_is_named(changes: dict[str, Any], field: str) -> None:
    assert _fields(lambda: _create(**changes)) == [field]


@pytest.mark.parametrize(
    ("profile", "field"),
    [
        ({"name": ""}, "profile.name"),
        ({"name": "tenants/acme/profiles/work"}, "profile.name"),
        ({"etag": "x" * 101}, "profile.etag"),
        ({"providers": ["NO"]}, "profile.providers[0]"),
        ({"mask": "active"}, "update_mask"),
    ],
)
def test_a_wrong_field_of_a_changed_profile_is_named(profile: dict[str, Any], field: str) -> None:
    assert _fields(lambda: _update(**profile)) == [field]
