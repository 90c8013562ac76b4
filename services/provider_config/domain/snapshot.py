"""What routers are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from libs.core.resource_names import Owner
from services.provider_config.domain.model import Model
from services.provider_config.domain.provider import Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSnapshot:
    """A provider with its models, by name."""

    provider: Provider
    models: Sequence[Model]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that one scope holds, read at `revision`; providers by priority and name."""

    scope: Owner
    revision: int
    providers: Sequence[ProviderSnapshot]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Every change up to `revision` was sent for every scope the stream watches."""

    revision: int
