"""What the life of a key comes to, in as few words as possible: what random histories are held against."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.core.resource_names import KeyName
from libs.core.secret import Secret

KEPT_VERSIONS = 3
"""Versions a key keeps beside the one in use: few, so that histories get to the end of them."""


class Refused(Exception):
    """The model refuses; the text is the reason of the error that the service must give."""


@dataclass
class ModelVersion:
    """`usable_until` is None for one that was never replaced."""

    material: Secret
    usable_until: datetime | None = None
    is_destroyed: bool = False


@dataclass
class ModelKey:
    """A key; `condition` is what providers were last reported to say."""

    material: Secret
    display_name: str = ""
    is_disabled: bool = False
    revision: int = 1
    version: int = 1
    last_version: int = 1
    condition: str = "unknown"
    versions: dict[int, ModelVersion] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.versions = {1: ModelVersion(self.material)}

    @property
    def current(self) -> ModelVersion:
        return self.versions[self.version]

    def fallback(self, now: datetime) -> int:
        """The version a call may fall back to, 0 for none: the one that stays usable longest."""
        usable = [
            (each.usable_until, number)
            for number, each in self.versions.items()
            if number != self.version and not each.is_destroyed and each.usable_until and each.usable_until > now
        ]
        return max(usable)[1] if usable else 0

    def state(self, number: int, now: datetime) -> str:
        each = self.versions[number]
        if each.is_destroyed:
            return "destroyed"
        if number == self.version:
            return "current"
        return "overlapping" if each.usable_until and each.usable_until > now else "retired"


class Model:
    """All keys by name, and the (action, target) of every event of each audit chain."""

    def __init__(self) -> None:
        self.keys: dict[KeyName, ModelKey] = {}
        self.events: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)

    def record(self, action: str, name: KeyName) -> None:
        """Something was done to a key."""
        self.events[f"tenants/{name.owner.tenant}"].append((action, str(name)))

    def key(self, name: KeyName, *, is_stale: bool = False) -> ModelKey:
        if name not in self.keys:
            raise Refused("KEY_NOT_FOUND")
        if is_stale:
            raise Refused("ETAG_MISMATCH")
        return self.keys[name]

    def create(self, name: KeyName, material: Secret) -> None:
        if name in self.keys:
            raise Refused("KEY_EXISTS")
        self.keys[name] = ModelKey(material)
        self.record("CreateKey", name)

    def update(self, name: KeyName, display_name: str, *, is_stale: bool) -> None:
        key = self.key(name, is_stale=is_stale)
        key.display_name = display_name
        self._changed("UpdateKey", name)

    def rotate(self, name: KeyName, material: Secret, overlap: timedelta, now: datetime, *, is_stale: bool) -> None:
        key = self.key(name, is_stale=is_stale)
        if key.current.material == material:
            raise Refused("KEY_UNCHANGED")
        if not overlap:
            for each in key.versions.values():
                if each.usable_until:
                    each.usable_until = min(each.usable_until, now)
        key.current.usable_until = now + overlap
        while len(key.versions) > KEPT_VERSIONS:
            del key.versions[min(number for number in key.versions if number != key.version)]
        key.last_version += 1
        key.version = key.last_version
        key.versions[key.version] = ModelVersion(material)
        key.condition = "unknown"
        self._changed("RotateKey", name)

    def roll_back(self, name: KeyName, number: int, now: datetime, *, is_stale: bool) -> None:
        key = self.key(name, is_stale=is_stale)
        self._replaceable(key, number).usable_until = None
        key.current.usable_until = now
        key.version = number
        key.condition = "unknown"
        self._changed("RollbackKey", name)

    def destroy(self, name: KeyName, number: int, now: datetime, *, is_stale: bool = False) -> None:
        version = self._replaceable(self.key(name, is_stale=is_stale), number)
        version.is_destroyed = True
        version.usable_until = min(version.usable_until or now, now)
        self._changed("DestroyKeyVersion", name)

    def set_state(self, name: KeyName, *, is_disabled: bool, is_stale: bool) -> None:
        key = self.key(name, is_stale=is_stale)
        if key.is_disabled != is_disabled:
            key.is_disabled = is_disabled
            self._changed("DisableKey" if is_disabled else "EnableKey", name)

    def delete(self, name: KeyName, *, is_stale: bool) -> None:
        self.key(name, is_stale=is_stale)
        del self.keys[name]
        self.record("DeleteKey", name)

    def expire(self, before: datetime, now: datetime) -> None:
        """Destroy what stopped being usable before a time."""
        for name, key in self.keys.items():
            # Newest first, as the events come.
            for number, each in sorted(key.versions.items(), reverse=True):
                if number != key.version and not each.is_destroyed and each.usable_until and each.usable_until < before:
                    self.destroy(name, number, now)

    def open(self, name: KeyName, number: int, now: datetime) -> tuple[Secret, int, int]:
        """The material, its version and the one to fall back to; `number` 0 is for the one in use."""
        key = self.keys.get(name)
        if key is None and not number:
            raise Refused("KEY_NOT_FOUND")
        if key is None or (number and (number not in key.versions or key.versions[number].is_destroyed)):
            raise Refused("KEY_VERSION_RETIRED")
        if key.is_disabled:
            raise Refused("KEY_DISABLED")
        opened = number or key.version
        if key.state(opened, now) == "retired":
            raise Refused("KEY_VERSION_RETIRED")
        return key.versions[opened].material, opened, key.fallback(now) if opened == key.version else 0

    def same_material(self, name: KeyName) -> set[KeyName]:
        """The other keys of the tenant with the material in use."""
        material = self.keys[name].current.material
        return {
            other
            for other, key in self.keys.items()
            if other != name and other.owner.tenant == name.owner.tenant and key.current.material == material
        }

    def _changed(self, action: str, name: KeyName) -> None:
        self.keys[name].revision += 1
        self.record(action, name)

    def _replaceable(self, key: ModelKey, number: int) -> ModelVersion:
        if number not in key.versions:
            raise Refused("KEY_VERSION_NOT_FOUND")
        if number == key.version:
            raise Refused("KEY_VERSION_IN_USE")
        if key.versions[number].is_destroyed:
            raise Refused("KEY_VERSION_DESTROYED")
        return key.versions[number]
