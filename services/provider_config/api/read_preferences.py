"""Requests about preferences and profiles as commands; all wrong fields are reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from gatehouse.providerconfig.v1 import preference_pb2
from gatehouse.providerconfig.v1 import preference_service_pb2 as pb

from libs.core.resource_names import ID_RULE, Owner, ProfileName, ProviderName, is_id
from libs.core.validation import FieldChecks
from services.provider_config.api.field_masks import fields_to_change
from services.provider_config.api.read_common import check_texts
from services.provider_config.api.read_names import etag_in, name_in
from services.provider_config.api.request_ids import check_request_id
from services.provider_config.domain.changes import Act
from services.provider_config.domain.create_profile import CreateProfile
from services.provider_config.domain.preference_choices import (
    ProviderReference,
    Wanted,
    WantedChoice,
    WantedTaskChoice,
)
from services.provider_config.domain.update_preferences import UpdatePreferences
from services.provider_config.domain.update_profile import UpdateProfile

_OF_PREFERENCES = frozenset({"preferred", "tasks"})
_OF_PROFILE = frozenset({"display_name", "description", "providers", "preferred", "tasks"})
_MAX_PROVIDERS = 64
_MAX_TASKS = 64


def preferences_command(request: pb.UpdatePreferencesRequest, *, uid: str, act: Act) -> UpdatePreferences:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        user = _user(check, request.parent)
        changing = fields_to_change(check, request.update_mask, request.preferences, _OF_PREFERENCES)
        wanted = _wanted(check, "preferences", user, request.preferences, changing)
        etag = etag_in(check, request.preferences.etag, field="preferences.etag")
    return UpdatePreferences(wanted=wanted, fields=changing, etag=etag, uid=uid, act=act)


def create_command(request: pb.CreateProfileRequest, *, uid: str, act: Act) -> CreateProfile:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        user = _user(check, request.parent)
        check.identifier("profile_id", request.profile_id)
        check_request_id(check, request.request_id)
        check_texts(check, "profile", request.profile, _OF_PROFILE)
        wanted = _wanted(check, "profile", user, request.profile, _OF_PROFILE, providers=request.profile.providers)
    return CreateProfile(
        name=ProfileName(wanted.user.tenant or "", wanted.user.user or "", request.profile_id),
        display_name=request.profile.display_name,
        description=request.profile.description,
        wanted=wanted,
        uid=uid,
        act=act,
        validate_only=request.validate_only,
    )


def update_command(request: pb.UpdateProfileRequest, *, act: Act) -> UpdateProfile:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    profile = request.profile
    name = ProfileName.parse(profile.name, field="profile.name")
    with FieldChecks() as check:
        changing = fields_to_change(check, request.update_mask, profile, _OF_PROFILE)
        check_texts(check, "profile", profile, changing)
        providers = profile.providers if "providers" in changing else ()
        wanted = _wanted(check, "profile", name.owner, profile, changing, providers=providers)
        etag = etag_in(check, profile.etag, field="profile.etag")
    return UpdateProfile(
        name=name,
        fields=changing,
        display_name=profile.display_name,
        description=profile.description,
        wanted=wanted,
        etag=etag,
        act=act,
    )


def user_in(parent: str) -> Owner:
    """The user that something is asked of. Raises InvalidArgument."""
    with FieldChecks() as check:
        user = _user(check, parent)
    return user or Owner()


def _user(check: FieldChecks, parent: str) -> Owner | None:
    owner = name_in(check, Owner.parse, parent, field="parent")
    if owner is not None and owner.user is None:
        check.fail("parent", "must be a user: tenants/{tenant}/users/{user}")
        return None
    return owner


def _wanted(
    check: FieldChecks,
    resource: str,
    user: Owner | None,
    message: preference_pb2.Preferences | preference_pb2.Profile,
    fields: AbstractSet[str],
    *,
    providers: Iterable[str] = (),
) -> Wanted:
    """What is named in those `fields` of `message` that are to be changed, and as `providers`."""
    has_preferred = "preferred" in fields and message.HasField("preferred")
    return Wanted(
        # Without a user there was a violation, and then nothing is done with this.
        user=user or Owner(),
        resource=resource,
        providers=_providers(check, f"{resource}.providers", providers),
        preferred=_choice(check, f"{resource}.preferred", message.preferred) if has_preferred else None,
        tasks=_tasks(check, f"{resource}.tasks", message.tasks) if "tasks" in fields else (),
    )


def _providers(check: FieldChecks, field: str, texts: Iterable[str]) -> tuple[ProviderReference, ...]:
    providers = list(texts)
    check.count(field, providers, most=_MAX_PROVIDERS)
    return tuple(_reference(check, f"{field}[{index}]", text) for index, text in enumerate(providers[:_MAX_PROVIDERS]))


def _tasks(
    check: FieldChecks, field: str, messages: Iterable[preference_pb2.TaskChoice]
) -> tuple[WantedTaskChoice, ...]:
    tasks = list(messages)
    check.count(field, tasks, most=_MAX_TASKS)
    seen: set[str] = set()
    read = []
    for index, message in enumerate(tasks[:_MAX_TASKS]):
        check.identifier(f"{field}[{index}].task", message.task)
        check.that(message.task not in seen, f"{field}[{index}].task", "must not be named twice")
        seen.add(message.task)
        choice = _choice(check, f"{field}[{index}].choice", message.choice)
        read.append(WantedTaskChoice(task=message.task, choice=choice))
    return tuple(read)


def _choice(check: FieldChecks, field: str, message: preference_pb2.Choice) -> WantedChoice:
    good_model = not message.model or is_id(message.model)
    check.that(good_model, f"{field}.model", f"must be empty or a model's id: {ID_RULE}")
    return WantedChoice(provider=_reference(check, f"{field}.provider", message.provider), model=message.model)


def _reference(check: FieldChecks, field: str, text: str) -> ProviderReference:
    """An id as it is, for what it means depends on what there is; else a name."""
    if is_id(text):
        return text
    if not text:
        check.fail(field, "is required")
        return text
    return name_in(check, ProviderName.parse, text, field=field) or text
