"""Preferences and profiles over TLS with tokens, with a key_vault to ask, on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as keys_pb
from gatehouse.providerconfig.v1 import preference_pb2, route_pb2
from gatehouse.providerconfig.v1 import preference_service_pb2 as pb
from gatehouse.providerconfig.v1 import provider_service_pb2 as providers_pb
from gatehouse.providerconfig.v1 import route_service_pb2 as routes_pb
from google.protobuf.field_mask_pb2 import FieldMask

from tests.integration.provider_config.conftest import Replica, Stack
from tests.integration.provider_config.person import refused
from tests.integration.provider_config.routing_person import ANN, WORK, RoutingPerson, choice

_ID = "0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d"
_MAIN = "tenants/acme/providers/main"
_PROD = "tenants/acme/keys/prod"


@pytest.fixture
def database_stack(stack_on: Callable[[str], Stack], database_url: str) -> Stack:
    return stack_on(database_url)


@pytest.fixture
async def replica(database_stack: Stack) -> Replica:
    return await database_stack.start()


@pytest.fixture
async def ann(database_stack: Stack, replica: Replica) -> RoutingPerson:
    """A member of the tenant, which has one provider `main` with the models `m` and `large`."""
    admin = RoutingPerson(replica, database_stack.token("acme", "root", "tenant_admin"))
    await admin.provide("main", "m", "large")
    return RoutingPerson(replica, database_stack.token("acme", "ann", "member"))


async def _get(person: RoutingPerson) -> preference_pb2.Preferences:
    found: preference_pb2.Preferences = (
        await person("GetPreferences", pb.GetPreferencesRequest(parent=ANN))
    ).preferences
    return found


def _task(task: str, provider: str, model: str = "") -> preference_pb2.TaskChoice:
    return preference_pb2.TaskChoice(task=task, choice=choice(provider, model))


async def test_preferences_are_empty_until_they_are_changed(ann: RoutingPerson) -> None:
    assert await _get(ann) == preference_pb2.Preferences(name=f"{ANN}/preferences")
    changed = await ann.prefer(preferred=choice("main"), tasks=[_task("cv", "main", "large")])
    assert changed.revision
    assert changed.preferences.preferred == choice(_MAIN)
    assert list(changed.preferences.tasks) == [_task("cv", _MAIN, "large")]
    assert changed.preferences == await _get(ann)
    # A mask of `*` takes away what is not set.
    emptied = await ann.prefer("*", etag=changed.preferences.etag)
    assert not emptied.preferences.HasField("preferred")
    assert not emptied.preferences.tasks
    stale = await refused(ann.prefer(etag=changed.preferences.etag, preferred=choice("main")))
    assert (stale.reason, stale.metadata) == ("ETAG_MISMATCH", {"name": f"{ANN}/preferences"})


@pytest.mark.parametrize(
    ("usability", "text"),
    [
        (keys_pb.KEY_USABILITY_MISSING, "does not exist"),
        (keys_pb.KEY_USABILITY_DISABLED, "is disabled"),
        (keys_pb.KEY_USABILITY_ORIGIN_MISMATCH, "was entered for another address than https://api.openai.com:443"),
        (keys_pb.KEY_USABILITY_NO_VERSION, "has no version in use"),
    ],
)
async def test_a_key_that_cannot_be_opened_is_refused_at_save(
    database_stack: Stack, ann: RoutingPerson, usability: Any, text: str
) -> None:
    database_stack.key_vault.known[_PROD] = keys_pb.KeyCheckResult(
        usability=usability, origin="https://old.example:443"
    )
    error = await refused(ann.prefer(tasks=[_task("cv", "main")]))
    assert (error.reason, error.metadata) == ("INVALID_FIELD", {"field": "preferences.tasks[0].choice.provider"})
    assert text in error.message
    assert "old.example" not in error.message
    profile = await refused(ann.profile(providers=["main"]))
    assert profile.metadata == {"field": "profile.providers[0]"}
    assert not (await _get(ann)).tasks


async def test_a_key_the_provider_refused_is_refused_with_what_to_do(database_stack: Stack, ann: RoutingPerson) -> None:
    database_stack.key_vault.known[_PROD] = keys_pb.KeyCheckResult(
        usability=keys_pb.KEY_USABILITY_USABLE, origin="https://api.openai.com:443", refused_by_provider=True
    )
    error = await refused(ann.prefer(preferred=choice("main")))
    assert error.metadata == {"field": "preferences.preferred.provider"}
    assert "rotate the key" in error.message


async def test_while_key_vault_is_down_nothing_is_saved_that_needs_it(
    database_stack: Stack, ann: RoutingPerson
) -> None:
    await ann.prefer(preferred=choice("main"))
    database_stack.key_vault.down = True
    for call in (ann.prefer(preferred=choice("main", "m")), ann.profile(preferred=choice("main"))):
        error = await refused(call)
        assert (error.kind.name, error.reason) == ("UNAVAILABLE", "SERVICE_UNREACHABLE")
    assert (await _get(ann)).preferred == choice(_MAIN)
    await ann.prefer("preferred")
    await ann.profile()


async def test_a_repeated_creation_is_answered_also_when_the_key_broke_since(
    database_stack: Stack, ann: RoutingPerson
) -> None:
    first, second = await asyncio.gather(*(ann.profile(request_id=_ID, preferred=choice("main")) for _ in range(2)))
    assert first == second
    database_stack.key_vault.down = True
    assert await ann.profile(request_id=_ID.upper(), preferred=choice("main")) == first
    assert (await refused(ann.profile("other", request_id=_ID))).reason == "REQUEST_ID_REUSED"


async def test_every_wrong_field_is_in_the_status(ann: RoutingPerson) -> None:
    error = await refused(
        ann.prefer(
            preferred=choice("", "NO"),
            tasks=[_task("Cover Letter", "main"), _task("cv", "tenants/acme"), _task("cv", "main")],
            etag="x" * 101,
        )
    )
    assert [each.field for each in error.field_violations] == [
        "preferences.preferred.model",
        "preferences.preferred.provider",
        "preferences.tasks[0].task",
        "preferences.tasks[1].choice.provider",
        "preferences.tasks[2].task",
        "preferences.etag",
    ]


async def test_the_platforms_providers_are_kept_from_who_has_their_own(
    database_stack: Stack, replica: Replica, ann: RoutingPerson
) -> None:
    operator = RoutingPerson(replica, database_stack.token(None, "root", "super_admin"))
    await operator.provide("shared", parent="platform")
    error = await refused(ann.prefer(preferred=choice("shared")))
    assert error.metadata == {"field": "preferences.preferred.provider"}
    other = RoutingPerson(replica, database_stack.token("other", "eve", "member"))
    parent = "tenants/other/users/eve"
    preferred = (await other.prefer(parent=parent, preferred=choice("shared"))).preferences.preferred
    assert preferred.provider == "platform/providers/shared"
    admin = RoutingPerson(replica, database_stack.token("acme", "root", "tenant_admin"))
    policy = route_pb2.RoutingPolicy(platform_fallback=route_pb2.PLATFORM_FALLBACK_LAST)
    await admin("UpdateRoutingPolicy", routes_pb.UpdateRoutingPolicyRequest(parent="tenants/acme", policy=policy))
    await ann.prefer(preferred=choice("shared"))


async def test_a_profile_lives_from_creation_to_deletion(ann: RoutingPerson) -> None:
    created = await ann.profile(display_name="Work", providers=["main"], preferred=choice("main"))
    profile = created.profile
    assert (profile.name, list(profile.providers), profile.active) == (WORK, [_MAIN], False)
    assert profile.uid
    assert (await ann("GetProfile", pb.GetProfileRequest(name=WORK))).profile == profile
    assert (await refused(ann.profile())).reason == "PROFILE_EXISTS"
    activated = await ann("ActivateProfile", pb.ActivateProfileRequest(name=WORK))
    assert activated.preferences.active_profile == WORK
    assert await ann("ActivateProfile", pb.ActivateProfileRequest(name=WORK)) == activated
    assert (await ann("GetProfile", pb.GetProfileRequest(name=WORK))).profile.active
    update = pb.UpdateProfileRequest(
        profile=preference_pb2.Profile(name=WORK, etag=profile.etag, tasks=[_task("cv", "main", "m")]),
        update_mask=FieldMask(paths=["tasks"]),
    )
    changed = await ann("UpdateProfile", update)
    assert (changed.profile.display_name, list(changed.profile.tasks)) == ("Work", [_task("cv", _MAIN, "m")])
    assert changed.profile.active
    stale = await refused(ann("DeleteProfile", pb.DeleteProfileRequest(name=WORK, etag=profile.etag)))
    assert stale.reason == "ETAG_MISMATCH"
    deleted = await ann("DeleteProfile", pb.DeleteProfileRequest(name=WORK, etag=changed.profile.etag))
    assert created.revision < activated.revision < changed.revision < deleted.revision
    assert not (await _get(ann)).active_profile
    gone = await refused(ann("GetProfile", pb.GetProfileRequest(name=WORK)))
    assert (gone.reason, gone.metadata) == ("PROFILE_NOT_FOUND", {"name": WORK})


async def test_profiles_are_switched_and_left(ann: RoutingPerson) -> None:
    for profile_id in ("home", "work"):
        await ann.profile(profile_id)
        await ann("ActivateProfile", pb.ActivateProfileRequest(name=f"{ANN}/profiles/{profile_id}"))
    listed = await ann("ListProfiles", pb.ListProfilesRequest(parent=ANN, page_size=1))
    assert [(each.name, each.active) for each in listed.profiles] == [(f"{ANN}/profiles/home", False)]
    request = pb.ListProfilesRequest(parent=ANN, page_size=1, page_token=listed.next_page_token)
    rest = await ann("ListProfiles", request)
    assert [(each.name, each.active) for each in rest.profiles] == [(WORK, True)]
    assert not rest.next_page_token
    left = await ann("DeactivateProfile", pb.DeactivateProfileRequest(parent=ANN))
    assert not left.preferences.active_profile
    again = await ann("DeactivateProfile", pb.DeactivateProfileRequest(parent=ANN))
    assert again == left


async def test_validating_a_profile_stores_nothing(ann: RoutingPerson) -> None:
    validated = await ann.profile(validate_only=True, providers=["main"], request_id=_ID)
    assert (validated.revision, validated.profile.name) == (0, WORK)
    assert (await refused(ann.profile(validate_only=True, providers=["none"]))).metadata == {
        "field": "profile.providers[0]"
    }
    assert (await ann.profile(request_id=_ID)).revision


async def test_what_users_like_keeps_a_provider_from_being_deleted(
    database_stack: Stack, replica: Replica, ann: RoutingPerson
) -> None:
    await ann.prefer(preferred=choice("main", "m"))
    await ann.profile(providers=["main"])
    admin = RoutingPerson(replica, database_stack.token("acme", "root", "tenant_admin"))
    error = await refused(admin("DeleteProvider", providers_pb.DeleteProviderRequest(name=_MAIN)))
    assert error.reason == "PROVIDER_IN_USE"
    assert [each.subject for each in error.precondition_violations] == [f"{ANN}/preferences", WORK]


async def test_of_two_writers_on_two_replicas_one_is_aborted(database_stack: Stack, ann: RoutingPerson) -> None:
    elsewhere = RoutingPerson(await database_stack.start(), database_stack.token("acme", "ann", "member"))
    etag = (await ann.prefer(preferred=choice("main"))).preferences.etag
    outcomes = await asyncio.gather(
        ann.prefer(etag=etag, preferred=choice("main", "m")),
        elsewhere.prefer(etag=etag, preferred=choice("main", "large")),
        return_exceptions=True,
    )
    (error,) = [each for each in outcomes if isinstance(each, Exception)]
    assert getattr(error, "reason", None) == "ETAG_MISMATCH"


@pytest.mark.parametrize("parent", ["", "platform", "tenants/acme", "tenants/acme/users/", "tenants/acme/users/ann/x"])
async def test_a_parent_that_is_no_user_is_refused(
    database_stack: Stack, replica: Replica, ann: RoutingPerson, parent: str
) -> None:
    operator = RoutingPerson(replica, database_stack.token(None, "root", "super_admin"))
    for call in (
        operator("GetPreferences", pb.GetPreferencesRequest(parent=parent)),
        operator.prefer(parent=parent),
        operator.profile(parent=parent),
        operator("ListProfiles", pb.ListProfilesRequest(parent=parent)),
        operator("DeactivateProfile", pb.DeactivateProfileRequest(parent=parent)),
    ):
        assert (await refused(call)).metadata == {"field": "parent"}


async def test_nobody_but_admins_sees_or_changes_what_another_user_likes(
    database_stack: Stack, replica: Replica, ann: RoutingPerson
) -> None:
    await ann.profile()
    for token in (
        database_stack.token("acme", "bob", "member"),
        database_stack.token("other", "ann", "member"),
        database_stack.token("other", "eve", "tenant_admin"),
    ):
        person = RoutingPerson(replica, token)
        for call in (
            person("GetPreferences", pb.GetPreferencesRequest(parent=ANN)),
            person.prefer(preferred=choice("main")),
            person.profile("mine"),
            person("GetProfile", pb.GetProfileRequest(name=WORK)),
            person("ListProfiles", pb.ListProfilesRequest(parent=ANN)),
            person("UpdateProfile", pb.UpdateProfileRequest(profile=preference_pb2.Profile(name=WORK))),
            person("DeleteProfile", pb.DeleteProfileRequest(name=WORK)),
            person("ActivateProfile", pb.ActivateProfileRequest(name=WORK)),
            person("DeactivateProfile", pb.DeactivateProfileRequest(parent=ANN)),
        ):
            assert (await refused(call)).reason == "PERMISSION_DENIED"
    admin = RoutingPerson(replica, database_stack.token("acme", "root", "tenant_admin"))
    assert (await admin.prefer(preferred=choice("main"))).preferences.preferred == choice(_MAIN)
