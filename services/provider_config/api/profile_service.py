"""gatehouse.providerconfig.v1.ProfileService."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial

from gatehouse.providerconfig.v1 import preference_service_pb2 as pb
from gatehouse.providerconfig.v1.preference_service_pb2_grpc import ProfileServiceServicer

from libs.core.clock import Clock
from libs.core.page_tokens import encode_page_token
from libs.core.resource_names import ProfileName
from libs.core.validation import FieldChecks
from services.provider_config.api import convert_routing as convert
from services.provider_config.api import read_preferences
from services.provider_config.api.acts import current_act
from services.provider_config.api.change_log import log_change
from services.provider_config.api.page_bytes import fitting
from services.provider_config.api.read_names import etag_in, page_in
from services.provider_config.api.request_ids import remembered_as
from services.provider_config.domain.changes import once
from services.provider_config.domain.checked_choices import CheckedChoices
from services.provider_config.domain.create_profile import CreateProfile, create_profile
from services.provider_config.domain.delete_profile import delete_profile
from services.provider_config.domain.ports import ConfigStore, Request, Transaction
from services.provider_config.domain.preference_choices import keys_of
from services.provider_config.domain.preference_keys import KeyFindings, KeyUse
from services.provider_config.domain.routing_look_up import get_profile, list_profiles
from services.provider_config.domain.switch_profile import activate_profile, deactivate_profile
from services.provider_config.domain.update_profile import update_profile


class ProfileServicer(ProfileServiceServicer):
    """Manages the profiles of users."""

    def __init__(self, store: ConfigStore, choices: CheckedChoices, *, clock: Clock) -> None:
        self._store = store
        self._choices = choices
        self._clock = clock

    async def CreateProfile(self, request: pb.CreateProfileRequest, _context: object) -> pb.CreateProfileResponse:
        """Create a profile."""
        act = current_act("CreateProfile", self._clock)
        command = read_preferences.create_command(request, uid=str(uuid.uuid4()), act=act)
        remembered = remembered_as(request, caller=act.author.actor)
        response = await self._choices.write(
            partial(_keys_of, command=command, remembered=remembered),
            partial(_create_once, command=command, remembered=remembered),
        )
        log_change(response.profile.name, response.revision)
        return response

    async def GetProfile(self, request: pb.GetProfileRequest, _context: object) -> pb.GetProfileResponse:
        """Read a profile."""
        profile = await self._store.read(partial(get_profile, name=ProfileName.parse(request.name)))
        return pb.GetProfileResponse(profile=convert.profile_message(profile))

    async def ListProfiles(self, request: pb.ListProfilesRequest, _context: object) -> pb.ListProfilesResponse:
        """Read a page of the profiles of a user."""
        user = read_preferences.user_in(request.parent)
        bound_to = {"method": "ListProfiles", "parent": request.parent}
        size, after = page_in(request.page_size, request.page_token, bound_to)
        found = await self._store.read(partial(list_profiles, user=user, after=after, size=size))
        profiles, more = fitting(map(convert.profile_message, found), size)
        return pb.ListProfilesResponse(
            profiles=profiles,
            next_page_token=encode_page_token(found[len(profiles) - 1].name.profile, bound_to) if more else "",
        )

    async def UpdateProfile(self, request: pb.UpdateProfileRequest, _context: object) -> pb.UpdateProfileResponse:
        """Change a profile."""
        command = read_preferences.update_command(request, act=current_act("UpdateProfile", self._clock))
        changed = await self._choices.write(
            partial(keys_of, wanted=command.wanted), partial(update_profile, command=command)
        )
        log_change(str(command.name), changed.revision, stored=changed.stored)
        return pb.UpdateProfileResponse(profile=convert.profile_message(changed.resource), revision=changed.revision)

    async def DeleteProfile(self, request: pb.DeleteProfileRequest, _context: object) -> pb.DeleteProfileResponse:
        """Delete a profile."""
        name = ProfileName.parse(request.name)
        with FieldChecks() as check:
            etag = etag_in(check, request.etag, field="etag")
        act = current_act("DeleteProfile", self._clock)
        revision = await self._store.write(partial(delete_profile, name=name, etag=etag, act=act))
        log_change(request.name, revision)
        return pb.DeleteProfileResponse(revision=revision)

    async def ActivateProfile(self, request: pb.ActivateProfileRequest, _context: object) -> pb.ActivateProfileResponse:
        """Switch to a profile."""
        name = ProfileName.parse(request.name)
        act = current_act("ActivateProfile", self._clock)
        work = partial(activate_profile, name=name, uid=str(uuid.uuid4()), act=act)
        changed = await self._store.write(work)
        log_change(changed.resource.name, changed.revision, stored=changed.stored)
        preferences = convert.preferences_message(changed.resource)
        return pb.ActivateProfileResponse(preferences=preferences, revision=changed.revision)

    async def DeactivateProfile(
        self, request: pb.DeactivateProfileRequest, _context: object
    ) -> pb.DeactivateProfileResponse:
        """Use no profile."""
        user = read_preferences.user_in(request.parent)
        act = current_act("DeactivateProfile", self._clock)
        work = partial(deactivate_profile, user=user, uid=str(uuid.uuid4()), act=act)
        changed = await self._store.write(work)
        log_change(changed.resource.name, changed.revision, stored=changed.stored)
        preferences = convert.preferences_message(changed.resource)
        return pb.DeactivateProfileResponse(preferences=preferences, revision=changed.revision)


def _keys_of(transaction: Transaction, command: CreateProfile, remembered: Request | None) -> Sequence[KeyUse]:
    """Those of the choices; none when the request was answered before: it is again, whatever became of the keys."""
    if remembered is not None and transaction.requests.recall(remembered, now=command.act.now) is not None:
        return ()
    return keys_of(transaction, command.wanted)


def _create_once(
    transaction: Transaction, keys: KeyFindings, command: CreateProfile, remembered: Request | None
) -> pb.CreateProfileResponse:
    return once(
        transaction,
        remembered,
        partial(_create, keys=keys, command=command),
        encode=pb.CreateProfileResponse.SerializeToString,
        decode=pb.CreateProfileResponse.FromString,
        now=command.act.now,
    )


def _create(transaction: Transaction, keys: KeyFindings, command: CreateProfile) -> pb.CreateProfileResponse:
    changed = create_profile(transaction, keys, command=command)
    return pb.CreateProfileResponse(profile=convert.profile_message(changed.resource), revision=changed.revision)
