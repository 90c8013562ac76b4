"""A provider key as anyone may see it."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from libs.core.resource_names import KeyName
from libs.core.secret import Secret


class KeyState(enum.StrEnum):
    """Whether a key can be used."""

    ACTIVE = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key's metadata as stored; its material is never part of it.

    `revision` counts the changes of the row, `version` those of the material, both from 1. `origin` is normalised
    (`https://host:443`). Times are UTC; `rotate_time` is None until the first rotation.
    """

    name: KeyName
    uid: str
    revision: int
    provider_type: str
    origin: str
    display_name: str
    labels: Mapping[str, str]
    mask: str
    fingerprint: str
    state: KeyState
    version: int
    create_time: datetime
    update_time: datetime
    rotate_time: datetime | None = None

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen: 16 hexadecimal digits."""
        return hashlib.blake2s(f"{self.uid}/{self.revision}".encode(), digest_size=8).hexdigest()

    def rotated(self, *, mask: str, fingerprint: str, now: datetime) -> Key:
        """The key with its next version of the material."""
        return replace(
            self,
            mask=mask,
            fingerprint=fingerprint,
            version=self.version + 1,
            revision=self.revision + 1,
            update_time=now,
            rotate_time=now,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """What opening a key needs of its row: the ciphertext of the version in use and where it may be sent."""

    name: KeyName
    uid: str
    version: int
    origin: str
    ciphertext: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedKey:
    """An opened key. Neither stored nor logged, and used for one call."""

    material: Secret
    version: int
