"""A provider key as anyone may see it, and the transitions of its life."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from services.key_vault.domain.errors import (
    key_unchanged,
    key_version_destroyed,
    key_version_in_use,
    key_version_not_found,
)

MOST_VERSIONS = 10
"""Versions a key keeps beside the one in use; what is older is destroyed and forgotten when a new one comes."""
LONGEST_OVERLAP = timedelta(days=30)


class KeyState(enum.StrEnum):
    """Whether a key can be used, as its owner decided."""

    ACTIVE = "active"
    DISABLED = "disabled"


class VersionState(enum.StrEnum):
    """Whether a version can be used. DESTROYED is terminal."""

    CURRENT = "current"
    OVERLAPPING = "overlapping"
    RETIRED = "retired"
    DESTROYED = "destroyed"


class Condition(enum.StrEnum):
    """What providers say about a key. It informs and locks nothing."""

    UNKNOWN = "unknown"
    WORKING = "working"
    REJECTED = "rejected"
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, slots=True)
class VaultSecretRef:
    """A secret of the operator's Vault by the operator's id; version 0 is whichever is newest."""

    id: str
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVersion:
    """One version of the material, without the material.

    `usable_until` is None for a version that was never replaced; then it is when it stopped, or stops, being usable.
    `overlaps` says that it may be used until then: what retires at once does not wait for anybody's clock.
    """

    number: int
    mask: str
    fingerprint: str
    create_time: datetime
    vault_secret: VaultSecretRef | None = None
    usable_until: datetime | None = None
    overlaps: bool = False
    destroy_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatus:
    """How providers take a key, as the router reported; times are UTC, None while nothing of the kind happened."""

    condition: Condition = Condition.UNKNOWN
    condition_time: datetime | None = None
    last_use_time: datetime | None = None
    last_success_time: datetime | None = None
    last_rejection_time: datetime | None = None
    last_exhaustion_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key's metadata as stored; its material is never part of it.

    `revision` counts the changes of the row from 1. `origin` is normalised (`https://host:443`). `versions` are the
    newest ones, newest first, and the one in use, whose number is `version`; `last_version` is the highest there ever
    was. Times are UTC; `rotate_time` is None until another version came into use.
    """

    name: KeyName
    uid: str
    revision: int
    provider_type: str
    origin: str
    display_name: str
    labels: Mapping[str, str]
    state: KeyState
    version: int
    last_version: int
    versions: tuple[KeyVersion, ...]
    create_time: datetime
    update_time: datetime
    rotate_time: datetime | None = None
    status: KeyStatus = KeyStatus()

    @property
    def etag(self) -> str:
        """What a caller hands back to change only what it has seen: 16 hexadecimal digits."""
        return hashlib.blake2s(f"{self.uid}/{self.revision}".encode(), digest_size=8).hexdigest()

    @property
    def current(self) -> KeyVersion:
        """The version in use."""
        return next(each for each in self.versions if each.number == self.version)

    @property
    def fallback(self) -> KeyVersion | None:
        """The replaced version that overlaps longest; its overlap may be over by now."""
        replaced = [
            (each.usable_until, each.number, each)
            for each in self.versions
            if each.overlaps and each.usable_until is not None
        ]
        return max(replaced)[2] if replaced else None

    def state_of(self, version: KeyVersion, now: datetime) -> VersionState:
        """The state of one of `versions`."""
        if version.destroy_time is not None:
            return VersionState.DESTROYED
        if version.number == self.version:
            return VersionState.CURRENT
        if version.overlaps and version.usable_until is not None and now < version.usable_until:
            return VersionState.OVERLAPPING
        return VersionState.RETIRED

    def is_the_same(self, new: KeyVersion) -> bool:
        """Whether `new` has the material in use, from the same place."""
        return new.fingerprint == self.current.fingerprint and new.vault_secret == self.current.vault_secret

    def rotated(self, new: KeyVersion, *, overlap: timedelta, now: datetime, mends: bool = False) -> Key:
        """The key with `new`, whose number is `last_version + 1`, in use. Without an overlap all others retire at once.

        `mends`: the version in use does not open any more, so the same material is welcome. Otherwise raises
        FailedPrecondition `KEY_UNCHANGED` for it.
        """
        if self.is_the_same(new) and not mends:
            raise key_unchanged(self.name)
        others = [self._retiring(each, now + overlap, ends_all=not overlap, now=now) for each in self.versions]
        # The one just replaced may be an old one that was rolled back to, and is kept all the same.
        kept = sorted(others, key=lambda each: (each.number == self.version, each.number), reverse=True)[:MOST_VERSIONS]
        return replace(
            self._changed(now),
            version=new.number,
            last_version=new.number,
            versions=(new, *sorted(kept, key=lambda each: each.number, reverse=True)),
            rotate_time=now,
            status=KeyStatus(last_use_time=self.status.last_use_time),
        )

    def rolled_back(self, number: int, *, now: datetime) -> Key:
        """The key with an earlier version in use; the one that was in use retires at once.

        Raises NotFound `KEY_VERSION_NOT_FOUND`, FailedPrecondition `KEY_VERSION_IN_USE` and `KEY_VERSION_DESTROYED`.
        """
        wanted = self._replaceable(number)
        versions = tuple(
            replace(wanted, usable_until=None, overlaps=False)
            if each is wanted
            else self._retiring(each, now, ends_all=False, now=now)
            for each in self.versions
        )
        return replace(
            self._changed(now),
            version=number,
            versions=versions,
            rotate_time=now,
            status=KeyStatus(last_use_time=self.status.last_use_time),
        )

    def version_destroyed(self, number: int, *, now: datetime) -> Key:
        """The key with one version's material destroyed. Raises as `rolled_back` does."""
        wanted = self._replaceable(number)
        destroyed = replace(wanted, destroy_time=now, usable_until=min(wanted.usable_until or now, now), overlaps=False)
        versions = tuple(destroyed if each is wanted else each for each in self.versions)
        return replace(self._changed(now), versions=versions)

    def in_state(self, state: KeyState, *, now: datetime) -> Key:
        """The key in another state."""
        return replace(self._changed(now), state=state)

    def described(self, *, display_name: str | None, labels: Mapping[str, str] | None, now: datetime) -> Key:
        """The key with another display name or other labels, where they are given."""
        return replace(
            self._changed(now),
            display_name=self.display_name if display_name is None else display_name,
            labels=self.labels if labels is None else labels,
        )

    def _changed(self, now: datetime) -> Key:
        return replace(self, revision=self.revision + 1, update_time=now)

    def _retiring(self, version: KeyVersion, until: datetime, *, ends_all: bool, now: datetime) -> KeyVersion:
        if version.number == self.version:
            return replace(version, usable_until=until, overlaps=until > now)
        if ends_all and version.usable_until is not None:
            return replace(version, usable_until=min(version.usable_until, now), overlaps=False)
        return version

    def _replaceable(self, number: int) -> KeyVersion:
        for each in self.versions:
            if each.number == number:
                if number == self.version:
                    raise key_version_in_use(self.name, number)
                if each.destroy_time is not None:
                    raise key_version_destroyed(self.name, number)
                return each
        raise key_version_not_found(self.name, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKey:
    """What opening a key needs of its rows: one version's ciphertext or secret, and where it may be sent.

    Exactly one of `ciphertext` (else empty) and `vault_secret` (else None) is there, unless the version was destroyed.
    `fallback_version` is 0 when none overlaps.
    """

    name: KeyName
    uid: str
    state: KeyState
    origin: str
    version: int
    is_current: bool
    usable_until: datetime | None
    overlaps: bool
    ciphertext: str
    vault_secret: VaultSecretRef | None = None
    fallback_version: int = 0
    fallback_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOutline:
    """What is to be known of a key without opening it. `has_material`: its version in use could be opened."""

    state: KeyState
    origin: str
    has_material: bool
    condition: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedKey:
    """An opened key. Neither stored nor logged, and used for one call. `fallback_version` is 0 when none overlaps.

    `vault_request_id` is Vault's id of the request that opened it, as in Vault's own audit log.
    """

    material: Secret
    version: int
    fallback_version: int = 0
    vault_request_id: str = ""
