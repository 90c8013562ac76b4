"""The checked requests that change keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from services.key_vault.domain.ports import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateKey:
    """A new key. `origin` is normalised; `material` was found to be no mistake."""

    name: KeyName
    provider_type: str
    origin: str
    display_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    material: Secret
    request: Request | None = None
    validate_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateKey:
    """New material for a key; an empty `etag` fits any revision."""

    name: KeyName
    material: Secret
    etag: str = ""
    request: Request | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteKey:
    """The end of a key; an empty `etag` fits any revision."""

    name: KeyName
    etag: str = ""
