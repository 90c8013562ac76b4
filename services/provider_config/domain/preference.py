"""What a user likes to be served by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from libs.core.resource_names import Owner, ProfileName, ProviderName
from services.provider_config.domain.etag import etag_of
from services.provider_config.domain.provider import scope_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A provider and one of its models; an empty `model` means the provider's default."""

    provider: ProviderName
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChoice:
    """A choice for one task."""

    task: str
    choice: Choice


def every_choice(preferred: Choice | None, tasks: Iterable[TaskChoice]) -> Iterator[tuple[str, Choice]]:
    """All choices, each with the path of its field, such as `tasks[2].choice`."""
    if preferred is not None:
        yield "preferred", preferred
    for index, each in enumerate(tasks):
        yield f"tasks[{index}].choice", each.choice


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceSettings:
    """What can be changed of preferences; names and bounds as in `preference.proto`."""

    preferred: Choice | None = None
    tasks: tuple[TaskChoice, ...] = ()

    def every_choice(self) -> Iterator[tuple[str, Choice]]:
        """All choices, each with the path of its field, such as `tasks[2].choice`."""
        return every_choice(self.preferred, self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """The preferences of a user. `version` counts their changes from 1; it is 0 and `uid` empty before the first."""

    user: Owner
    uid: str = ""
    version: int = 0
    settings: PreferenceSettings = field(default_factory=PreferenceSettings)
    active_profile: ProfileName | None = None
    update_time: datetime | None = None

    @property
    def name(self) -> str:
        """`tenants/{tenant}/users/{user}/preferences`."""
        return f"{self.user}/preferences"

    @property
    def scope(self) -> Owner:
        """In whose snapshot they are: the tenant's."""
        return scope_of(self.user)

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen; empty as long as nobody changed them."""
        return etag_of(self.uid, self.version) if self.version else ""

    def changed(self, settings: PreferenceSettings, *, uid: str, now: datetime) -> Self:
        """The next version, with `settings`; `uid` is for the first one."""
        return replace(self, uid=self.uid or uid, version=self.version + 1, settings=settings, update_time=now)

    def switched(self, profile: ProfileName | None, *, uid: str, now: datetime) -> Self:
        """The next version, with `profile` as the active one; `uid` is for the first one."""
        return replace(self, uid=self.uid or uid, version=self.version + 1, active_profile=profile, update_time=now)
