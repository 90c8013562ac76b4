"""What users like to be served by, as the router holds it; `preference.proto` says what the fields mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple


class Choice(NamedTuple):
    """A provider (its resource name) and perhaps one of its models; empty means the provider's default."""

    provider: str
    model: str = ""


_NO_CHOICES: Mapping[str, Choice] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """A user's choices outside of profiles. `active_profile` is a resource name, empty for none."""

    user: str
    preferred: Choice | None = None
    tasks: Mapping[str, Choice] = field(default_factory=lambda: _NO_CHOICES)
    active_profile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A named set of providers and choices. `providers` are resource names; empty means all the user may use."""

    name: str
    providers: frozenset[str] = frozenset()
    preferred: Choice | None = None
    tasks: Mapping[str, Choice] = field(default_factory=lambda: _NO_CHOICES)
