"""gatehouse.providerconfig.v1.PreferenceService."""

from __future__ import annotations

import uuid
from functools import partial

from gatehouse.providerconfig.v1 import preference_service_pb2 as pb
from gatehouse.providerconfig.v1.preference_service_pb2_grpc import PreferenceServiceServicer

from libs.core.clock import Clock
from services.provider_config.api import convert_routing as convert
from services.provider_config.api import read_preferences
from services.provider_config.api.acts import current_act
from services.provider_config.api.change_log import log_change
from services.provider_config.domain.checked_choices import CheckedChoices
from services.provider_config.domain.ports import ConfigStore
from services.provider_config.domain.preference_choices import keys_of
from services.provider_config.domain.routing_look_up import get_preferences
from services.provider_config.domain.update_preferences import update_preferences


class PreferenceServicer(PreferenceServiceServicer):
    """Manages what users like to be served by."""

    def __init__(self, store: ConfigStore, choices: CheckedChoices, *, clock: Clock) -> None:
        self._store = store
        self._choices = choices
        self._clock = clock

    async def GetPreferences(self, request: pb.GetPreferencesRequest, _context: object) -> pb.GetPreferencesResponse:
        """Read the preferences of a user."""
        user = read_preferences.user_in(request.parent)
        preferences = await self._store.read(partial(get_preferences, user=user))
        return pb.GetPreferencesResponse(preferences=convert.preferences_message(preferences))

    async def UpdatePreferences(
        self, request: pb.UpdatePreferencesRequest, _context: object
    ) -> pb.UpdatePreferencesResponse:
        """Change the preferences of a user."""
        act = current_act("UpdatePreferences", self._clock)
        command = read_preferences.preferences_command(request, uid=str(uuid.uuid4()), act=act)
        changed = await self._choices.write(
            partial(keys_of, wanted=command.wanted), partial(update_preferences, command=command)
        )
        log_change(changed.resource.name, changed.revision, stored=changed.stored)
        preferences = convert.preferences_message(changed.resource)
        return pb.UpdatePreferencesResponse(preferences=preferences, revision=changed.revision)
