"""What a plugin's package offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from libs.core.provider_types import ProviderType

GROUP = "gatehouse.providers"
"""The group of entry points that plugins are found by; each leads to a ProviderPlugin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPlugin:
    """A type of provider: how it is described, and who speaks to it.

    `dialect` makes a `services.router.providers.base.Dialect`. Only the router calls it, once at its start: what it
    needs of the router is imported inside it, for provider_config is installed without.
    """

    type: ProviderType
    dialect: Callable[[], object]
