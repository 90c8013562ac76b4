"""Creating a profile."""

from __future__ import annotations

from dataclasses import dataclass

from libs.core.resource_names import ProfileName
from libs.core.validation import FieldChecks
from services.provider_config.domain.changes import Act, Changed, check_scope_size, record
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.preference_choices import Wanted, settle
from services.provider_config.domain.preference_keys import KeyFindings
from services.provider_config.domain.profile import MAX_PROFILES, Profile, ProfileSettings
from services.provider_config.domain.routing_errors import profile_exists, too_many_profiles
from services.provider_config.domain.routing_size import profile_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProfile:
    """A checked request."""

    name: ProfileName
    display_name: str = ""
    description: str = ""
    wanted: Wanted
    uid: str
    act: Act
    validate_only: bool = False


def create_profile(transaction: Transaction, keys: KeyFindings, *, command: CreateProfile) -> Changed[Profile]:
    """Store the profile; it is not active.

    Raises AlreadyExists `PROFILE_EXISTS`, InvalidArgument and KeysNotAsked as `settle` does, InvalidArgument for a
    choice outside of the profile's providers, ResourceExhausted `TOO_MANY_PROFILES` and `SCOPE_FULL`,
    FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    if transaction.profiles.get(command.name) is not None:
        raise profile_exists(command.name)
    if transaction.profiles.count(command.name.owner) >= MAX_PROFILES:
        raise too_many_profiles(command.name.owner, MAX_PROFILES)
    settled = settle(transaction, command.wanted, keys)
    settings = ProfileSettings(
        display_name=command.display_name,
        description=command.description,
        providers=settled.providers,
        preferred=settled.preferred,
        tasks=settled.tasks,
    )
    check_bounded(settings)
    profile = Profile(
        name=command.name,
        uid=command.uid,
        version=1,
        settings=settings,
        create_time=command.act.now,
        update_time=command.act.now,
    )
    check_scope_size(transaction, profile.name.owner, grows_by=profile_bytes(profile))
    if command.validate_only:
        return Changed(profile, 0, stored=False)
    transaction.profiles.add(profile)
    record(transaction, command.act, profile.name, profile.name.owner)
    return Changed(profile, transaction.advance(profile.scope, profile.name))


def check_bounded(settings: ProfileSettings) -> None:
    """Raise InvalidArgument for each choice that is not among the profile's providers, when there are any."""
    if not settings.providers:
        return
    with FieldChecks() as check:
        for path, choice in settings.every_choice():
            inside = choice.provider in settings.providers
            check.that(inside, f"profile.{path}.provider", f"must be among profile.providers, {choice.provider} is not")
