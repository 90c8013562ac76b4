from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from gatehouse.providerconfig.v1.preference_pb2 import Choice, Preferences, Profile, TaskChoice
from gatehouse.providerconfig.v1.preference_service_pb2 import (
    ActivateProfileResponse,
    CreateProfileResponse,
    DeactivateProfileResponse,
    DeleteProfileResponse,
    GetPreferencesResponse,
    GetProfileResponse,
    ListProfilesResponse,
    UpdatePreferencesResponse,
    UpdateProfileResponse,
)
from google.rpc import error_details_pb2

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure

Run = Callable[..., Any]

USER = "tenants/acme/users/dev"
PREFERENCES = Preferences(
    name=f"{USER}/preferences",
    etag="p1",
    preferred=Choice(provider="tenants/acme/providers/openai", model="gpt-4o-mini"),
    tasks=[
        TaskChoice(task="validation", choice=Choice(provider="platform/providers/openai")),
        TaskChoice(task="cover_letter", choice=Choice(provider=f"{USER}/providers/mine", model="gpt-4o")),
    ],
    active_profile=f"{USER}/profiles/work",
)
PROFILE = Profile(
    name=f"{USER}/profiles/work",
    etag="w1",
    display_name="At work",
    providers=["tenants/acme/providers/openai"],
    tasks=[TaskChoice(task="validation", choice=Choice(provider="tenants/acme/providers/openai"))],
    active=True,
)


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse) -> None:
    fake.answers |= {
        "GetPreferences": lambda _: GetPreferencesResponse(preferences=PREFERENCES),
        "UpdatePreferences": lambda _: UpdatePreferencesResponse(preferences=PREFERENCES, revision=41),
        "CreateProfile": lambda _: CreateProfileResponse(profile=PROFILE, revision=42),
        "GetProfile": lambda _: GetProfileResponse(profile=PROFILE),
        "ListProfiles": lambda _: ListProfilesResponse(profiles=[PROFILE]),
        "UpdateProfile": lambda _: UpdateProfileResponse(profile=PROFILE, revision=43),
        "DeleteProfile": lambda _: DeleteProfileResponse(revision=44),
        "ActivateProfile": lambda _: ActivateProfileResponse(preferences=PREFERENCES, revision=45),
        "DeactivateProfile": lambda _: DeactivateProfileResponse(preferences=PREFERENCES, revision=46),
    }


def cells(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line.strip()]


def test_preferences_are_shown_with_the_profile_in_use(fake: FakeGatehouse, run: Run) -> None:
    result = run("preferences", "get")
    assert cells(result.stdout) == [
        ["TASK", "SERVED BY"],
        ["cover_letter", "mine/gpt-4o"],
        ["validation", "platform/openai"],
        ["all others", "tenant/openai/gpt-4o-mini"],
    ]
    assert "the profile work is active" in result.stderr
    assert fake.last("GetPreferences").request.parent == USER
    run("preferences", "get", "--user", "ann")
    assert fake.last("GetPreferences").request.parent == "tenants/acme/users/ann"
    assert json.loads(run("preferences", "get", "--json").stdout)["etag"] == "p1"
    fake.answers["GetPreferences"] = lambda _: GetPreferencesResponse()
    assert "has no preferences. Set one" in run("preferences", "get").stderr


def test_a_preference_is_set_for_all_tasks_or_for_one(fake: FakeGatehouse, run: Run) -> None:
    assert run("preferences", "set", "openai/gpt-4o-mini").exit_code == 0
    request = fake.last("UpdatePreferences").request
    # A bare id is the server's to look for: the user's, the tenant's, the platform's.
    assert request.preferences.preferred == Choice(provider="openai", model="gpt-4o-mini")
    assert (list(request.update_mask.paths), request.preferences.etag) == (["preferred"], "")
    result = run("preferences", "set", "--task", "extraction", "platform/openai")
    assert "revision 41" in result.stderr
    request = fake.last("UpdatePreferences").request
    assert (list(request.update_mask.paths), request.preferences.etag) == (["tasks"], "p1")
    assert [(each.task, each.choice.provider) for each in request.preferences.tasks] == [
        ("cover_letter", f"{USER}/providers/mine"),
        ("extraction", "platform/providers/openai"),
        ("validation", "platform/providers/openai"),
    ]


def test_a_preference_is_taken_back(fake: FakeGatehouse, run: Run) -> None:
    assert run("preferences", "clear", "--task", "validation").exit_code == 0
    request = fake.last("UpdatePreferences").request
    assert [each.task for each in request.preferences.tasks] == ["cover_letter"]
    assert (list(request.update_mask.paths), request.preferences.etag) == (["tasks"], "p1")
    assert run("preferences", "clear").exit_code == 0
    request = fake.last("UpdatePreferences").request
    assert (list(request.update_mask.paths), request.preferences.HasField("preferred")) == (["preferred"], False)
    assert run("preferences", "clear", "--all").exit_code == 0
    assert list(fake.last("UpdatePreferences").request.update_mask.paths) == ["preferred", "tasks"]
    fake.received.clear()
    none = run("preferences", "clear", "--task", "other")
    assert (none.exit_code, none.stderr) == (0, "there was none for other\n")
    assert [call.method for call in fake.received] == ["GetPreferences"]
    assert run("preferences", "clear", "--task", "x", "--all").exit_code == 2


@pytest.mark.parametrize("target", ["a/b/c", "Big", "a/B", ""])
def test_what_names_nothing_is_a_usage_error(fake: FakeGatehouse, run: Run, target: str) -> None:
    assert run("preferences", "set", target).exit_code == 2
    assert fake.received == []


def test_a_preference_that_cannot_be_used_is_refused_with_the_reason(fake: FakeGatehouse, run: Run) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(
        field="preferences.preferred.provider", description="has no key that can be opened"
    )
    wrong = error_details_pb2.BadRequest(field_violations=[violation, violation])
    fake.fails("UpdatePreferences", failure(grpc.StatusCode.INVALID_ARGUMENT, "wrong fields", "INVALID_FIELD", wrong))
    result = run("preferences", "set", "openai")
    assert result.exit_code == 1
    assert "preferences.preferred.provider: has no key that can be opened" in result.stderr


def test_a_profile_is_created(fake: FakeGatehouse, run: Run) -> None:
    options = ["--provider", "tenant/openai", "--provider", "mine", "--prefer", "mine/gpt-4o", "--for-task", "x=mine"]
    result = run("profiles", "create", "work", *options, "--display-name", "At work")
    assert result.exit_code == 0
    assert "gatehouse profiles activate work" in result.stderr
    request = fake.last("CreateProfile").request
    assert (request.parent, request.profile_id, bool(request.request_id)) == (USER, "work", True)
    assert list(request.profile.providers) == ["tenants/acme/providers/openai", "mine"]
    assert request.profile.preferred == Choice(provider="mine", model="gpt-4o")
    assert [(each.task, each.choice.provider) for each in request.profile.tasks] == [("x", "mine")]
    dry = run("profiles", "create", "work", "--dry-run")
    assert "nothing was created" in dry.stderr
    assert fake.last("CreateProfile").request.validate_only


def test_profiles_are_shown(fake: FakeGatehouse, run: Run) -> None:
    header, row = cells(run("profiles", "list").stdout)
    assert header == ["PROFILE", "STATE", "PROVIDERS", "PREFERRED", "TASKS", "DISPLAY NAME"]
    assert row == ["work", "active", "tenant/openai", "validation", "At work"]
    shown = cells(run("profiles", "get", "work").stdout)
    assert ["providers", "tenant/openai"] in shown
    assert ["validation", "tenant/openai"] in shown
    assert json.loads(run("profiles", "list", "--json").stdout)[0]["active"] is True
    fake.answers["ListProfiles"] = lambda _: ListProfilesResponse()
    assert "gatehouse profiles create work" in run("profiles", "list").stderr


def test_choices_of_a_profile_change_task_by_task(fake: FakeGatehouse, run: Run) -> None:
    assert run("profiles", "update", "work", "--for-task", "validation=", "--for-task", "x=mine").exit_code == 0
    request = fake.last("UpdateProfile").request
    assert (request.profile.name, request.profile.etag) == (PROFILE.name, "w1")
    assert [each.task for each in request.profile.tasks] == ["x"]
    assert list(request.update_mask.paths) == ["tasks"]
    assert run("profiles", "update", "work", "--prefer", "", "--all-providers").exit_code == 0
    request = fake.last("UpdateProfile").request
    assert list(request.update_mask.paths) == ["preferred", "providers"]
    assert (request.profile.HasField("preferred"), list(request.profile.providers)) == (False, [])
    assert run("profiles", "update", "work").exit_code == 2
    assert run("profiles", "update", "work", "--for-task", "x").exit_code == 2
    assert run("profiles", "update", "work", "--provider", "openai/gpt-4o").exit_code == 2


def test_profiles_are_switched_and_deleted(fake: FakeGatehouse, run: Run) -> None:
    assert "is active, live at revision 45" in run("profiles", "activate", "work").stderr
    assert fake.last("ActivateProfile").request.name == PROFILE.name
    assert "uses no profile" in run("profiles", "deactivate").stderr
    assert fake.last("DeactivateProfile").request.parent == USER
    active = json.loads(run("profiles", "activate", "work", "--json").stdout)
    assert active["active_profile"] == PROFILE.name
    assert run("profiles", "delete", "work").exit_code == 2
    assert "revision 44" in run("profiles", "delete", "work", "--yes").stderr
