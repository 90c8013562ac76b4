"""A named set of providers and choices of a user, to switch between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from libs.core.resource_names import Owner, ProfileName, ProviderName
from services.provider_config.domain.etag import etag_of
from services.provider_config.domain.preference import Choice, TaskChoice, every_choice
from services.provider_config.domain.provider import scope_of

MAX_PROFILES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """What can be changed of a profile; names and bounds as in `preference.proto`."""

    display_name: str = ""
    description: str = ""
    providers: tuple[ProviderName, ...] = ()
    preferred: Choice | None = None
    tasks: tuple[TaskChoice, ...] = ()

    def every_choice(self) -> Iterator[tuple[str, Choice]]:
        """All choices, each with the path of its field, such as `tasks[2].choice`."""
        return every_choice(self.preferred, self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile as stored. `version` counts its changes from 1; times are UTC.

    `active` is read from the preferences of its user; storing a profile does not change it.
    """

    name: ProfileName
    uid: str
    version: int
    settings: ProfileSettings
    active: bool = False
    create_time: datetime
    update_time: datetime

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen."""
        return etag_of(self.uid, self.version)

    @property
    def scope(self) -> Owner:
        """In whose snapshot it is: the tenant's."""
        return scope_of(self.name.owner)

    def changed(self, settings: ProfileSettings, *, now: datetime) -> Self:
        """The next version, with `settings`."""
        return replace(self, settings=settings, version=self.version + 1, update_time=now)
