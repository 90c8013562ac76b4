"""The operator's mapping: which secrets of Vault which owners may use, and where they may be sent."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from libs.core.errors import GatehouseError
from libs.core.resource_names import ID_RULE, Owner, is_id
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.key_vault.domain.errors import vault_secret_not_allowed
from services.key_vault.domain.key import VaultSecretRef
from services.key_vault.domain.origins import origin_alone
from services.key_vault.domain.ports import SecretReference

_log = get_logger(__name__)

_Stamp = tuple[int, int, int]


class _Entry(BaseModel):
    """One `[[secret]]` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str
    owner: str
    mount: str
    path: str
    field: str
    origins: tuple[str, ...] = Field(min_length=1, strict=False)

    @field_validator("id")
    @classmethod
    def _is_id(cls, value: str) -> str:
        if not is_id(value):
            raise ValueError(f"must be {ID_RULE}")
        return value

    @field_validator("owner")
    @classmethod
    def _is_owner(cls, value: str) -> str:
        try:
            return str(Owner.parse(value, field="owner"))
        except GatehouseError as error:
            raise ValueError(error.message) from None

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        origins = [origin_alone(value) for value in values]
        if None in origins:
            raise ValueError("must be origins such as https://api.openai.com")
        return tuple(origin for origin in origins if origin is not None)


class _File(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: tuple[_Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class _Allowed:
    owner: Owner
    origins: frozenset[str]
    place: SecretReference


class AllowedSecretsFile:
    """A TOML file of `[[secret]]` tables with `id`, `owner`, `mount`, `path`, `field` and `origins`.

    `owner` is a tenant, which allows it to its users too, a user, or `platform`. The file is read again when it
    changed, so that permissions are given and taken back without a restart; while it cannot be read nothing is
    allowed. Raises OSError and ValueError at first when it is not what it should be.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: _Stamp | None = None
        self._allowed: Mapping[str, _Allowed] = {}
        self._problem = ""
        if path is not None:
            self._stamp = _stamp(path)
            self._allowed = _read(path)

    def find(self, reference: VaultSecretRef, owner: Owner, origin: str) -> SecretReference:
        """See `AllowedSecrets`."""
        self._refresh()
        allowed = self._allowed.get(reference.id)
        if allowed is None or not allowed.owner.covers(owner) or origin not in allowed.origins:
            raise vault_secret_not_allowed(reference.id)
        place = allowed.place
        return SecretReference(
            secret_id=place.secret_id,
            mount=place.mount,
            path=place.path,
            field=place.field,
            version=reference.version or None,
        )

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            # In this order: whatever goes wrong, what was allowed before is not any more. What makes no sense is read
            # once for each change.
            self._stamp, self._allowed = stamp, {}
            self._allowed = _read(self._path)
            self._problem = ""
        except OSError as error:
            # It may come back just as it was.
            self._stamp = None
            self._forbid_all(error)
        except ValueError as error:
            self._forbid_all(error)

    def _forbid_all(self, error: OSError | ValueError) -> None:
        self._allowed = {}
        if str(error) != self._problem:
            self._problem = str(error)
            _log.error(names.EVENT_SECRETS_FILE_UNREADABLE, problem=self._problem)


def _stamp(path: Path) -> _Stamp:
    # Its time alone would hide a second change within the same few milliseconds.
    status = path.stat()
    return status.st_mtime_ns, status.st_ino, status.st_size


def _read(path: Path) -> dict[str, _Allowed]:
    try:
        entries = _File.model_validate(tomllib.loads(path.read_text("utf-8"))).secret
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{path}: {place}: {first['msg']}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from None
    allowed: dict[str, _Allowed] = {}
    for entry in entries:
        if entry.id in allowed:
            raise ValueError(f"{path}: the secret {entry.id} is there twice")
        place_in_vault = SecretReference(secret_id=entry.id, mount=entry.mount, path=entry.path, field=entry.field)
        allowed[entry.id] = _Allowed(Owner.parse(entry.owner), frozenset(entry.origins), place_in_vault)
    return allowed
