"""Calls of gatehouse.providerconfig.v1.PreferenceService and ProfileService: what a user likes to be served by.

Users and profiles are named by resource names: `tenants/acme/users/ann`, `tenants/acme/users/ann/profiles/work`. A
choice is a `Choice(provider=…, model=…)`; an id as its provider means the nearest one: the user's, the tenant's, the
platform's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict, Unpack

from google.protobuf.field_mask_pb2 import FieldMask

from gatehouse.operations.operation import Listing, Operation, Page, operation, split_name, whole
from gatehouse.providerconfig.v1.preference_pb2 import Choice, Preferences, Profile, TaskChoice
from gatehouse.providerconfig.v1.preference_service_pb2 import (
    ActivateProfileRequest,
    ActivateProfileResponse,
    CreateProfileRequest,
    CreateProfileResponse,
    DeactivateProfileRequest,
    DeactivateProfileResponse,
    DeleteProfileRequest,
    DeleteProfileResponse,
    GetPreferencesRequest,
    GetPreferencesResponse,
    GetProfileRequest,
    GetProfileResponse,
    ListProfilesRequest,
    ListProfilesResponse,
    UpdatePreferencesRequest,
    UpdatePreferencesResponse,
    UpdateProfileRequest,
    UpdateProfileResponse,
)

_PREFERENCES = "/gatehouse.providerconfig.v1.PreferenceService"
_PROFILES = "/gatehouse.providerconfig.v1.ProfileService"


class PreferenceFields(TypedDict, total=False):
    """What can be set and changed. `tasks`: choices by task, replaced as a whole; `preferred=None` unsets it."""

    preferred: Choice | None
    tasks: Mapping[str, Choice]


class ProfileFields(TypedDict, total=False):
    """What can be set and changed; the fields of `Profile`, where their bounds and defaults are described.

    `tasks`: choices by task, replaced as a whole; `preferred=None` unsets it.
    """

    display_name: str
    description: str
    providers: Sequence[str]
    preferred: Choice | None
    tasks: Mapping[str, Choice]


def get(parent: str) -> Operation[Preferences]:
    """The preferences of a user; those that nobody changed are empty."""
    return operation(
        "provider_config",
        f"{_PREFERENCES}/GetPreferences",
        GetPreferencesRequest(parent=parent),
        GetPreferencesResponse,
        lambda response: response.preferences,
    )


def update(parent: str, *, etag: str = "", **fields: Unpack[PreferenceFields]) -> Operation[UpdatePreferencesResponse]:
    """Change exactly the fields given. What cannot be used now is refused."""
    preferences = Preferences(etag=etag, preferred=fields.get("preferred"), tasks=_tasks(fields.get("tasks")))
    request = UpdatePreferencesRequest(
        parent=parent, preferences=preferences, update_mask=FieldMask(paths=sorted(fields))
    )
    return operation("provider_config", f"{_PREFERENCES}/UpdatePreferences", request, UpdatePreferencesResponse, whole)


def create_profile(
    name: str, *, request_id: str = "", validate_only: bool = False, **fields: Unpack[ProfileFields]
) -> Operation[CreateProfileResponse]:
    """Make a profile; it is not active yet. `validate_only` checks everything and changes nothing."""
    parent, profile_id = split_name(name, "profiles")
    request = CreateProfileRequest(
        parent=parent,
        profile_id=profile_id,
        profile=_profile(fields),
        request_id=request_id,
        validate_only=validate_only,
    )
    return operation("provider_config", f"{_PROFILES}/CreateProfile", request, CreateProfileResponse, whole)


def get_profile(name: str) -> Operation[Profile]:
    """A profile."""
    return operation(
        "provider_config",
        f"{_PROFILES}/GetProfile",
        GetProfileRequest(name=name),
        GetProfileResponse,
        lambda response: response.profile,
    )


def list_profiles(parent: str, *, page_size: int = 0) -> Listing[Profile]:
    """The profiles of a user (`tenants/acme/users/ann`), by name."""
    return Listing(
        operation(
            "provider_config",
            f"{_PROFILES}/ListProfiles",
            ListProfilesRequest(parent=parent, page_size=page_size),
            ListProfilesResponse,
            lambda response: Page(items=response.profiles, next_page_token=response.next_page_token),
        )
    )


def update_profile(name: str, *, etag: str = "", **fields: Unpack[ProfileFields]) -> Operation[UpdateProfileResponse]:
    """Change exactly the fields given. With an `etag`, only what has not changed since."""
    profile = _profile(fields)
    profile.name, profile.etag = name, etag
    request = UpdateProfileRequest(profile=profile, update_mask=FieldMask(paths=sorted(fields)))
    return operation("provider_config", f"{_PROFILES}/UpdateProfile", request, UpdateProfileResponse, whole)


def delete_profile(name: str, *, etag: str = "") -> Operation[DeleteProfileResponse]:
    """Delete a profile; if it was active, none is."""
    request = DeleteProfileRequest(name=name, etag=etag)
    return operation("provider_config", f"{_PROFILES}/DeleteProfile", request, DeleteProfileResponse, whole)


def activate_profile(name: str) -> Operation[ActivateProfileResponse]:
    """Switch to a profile, from the next call on."""
    request = ActivateProfileRequest(name=name)
    return operation("provider_config", f"{_PROFILES}/ActivateProfile", request, ActivateProfileResponse, whole)


def deactivate_profile(parent: str) -> Operation[DeactivateProfileResponse]:
    """Use none of a user's profiles (`tenants/acme/users/ann`), from the next call on."""
    request = DeactivateProfileRequest(parent=parent)
    return operation("provider_config", f"{_PROFILES}/DeactivateProfile", request, DeactivateProfileResponse, whole)


def _tasks(tasks: Mapping[str, Choice] | None) -> Sequence[TaskChoice]:
    return [TaskChoice(task=task, choice=choice) for task, choice in sorted((tasks or {}).items())]


def _profile(fields: ProfileFields) -> Profile:
    return Profile(
        display_name=fields.get("display_name", ""),
        description=fields.get("description", ""),
        providers=fields.get("providers", ()),
        preferred=fields.get("preferred"),
        tasks=_tasks(fields.get("tasks")),
    )
