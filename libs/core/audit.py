"""The audit log: events that say who did what, each chained to the one before it by a hash.

Every scope (the platform, and each tenant) has a chain of its own. An event's hash covers the hash of the event before
it, so whoever changes, removes, inserts or moves one event must recompute all that follow; the seal on the chain's head
(`audit_seal`) and the anchors kept elsewhere (`audit_anchors`) show that this was done.
"""

from __future__ import annotations

import enum
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from libs.core.audit_encoding import canonical_json, unix_microseconds
from libs.core.resource_names import ID_PATTERN, MAX_NAME_LENGTH

MAX_SCOPE_LENGTH = 71  # "tenants/" and an id
MAX_ROLES = 16
MAX_ROLE_LENGTH = 64
MAX_ADDRESS_LENGTH = 128  # an IPv6 address with a zone and a port, or the path of a Unix socket
MAX_ACTION_LENGTH = 64
MAX_REASON_LENGTH = 128
MAX_REQUEST_ID_LENGTH = 128
MAX_DETAILS = 32
MAX_DETAIL_LENGTH = 1024

_SCOPE = re.compile(rf"platform|tenants/{ID_PATTERN}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DETAIL_KEY = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
# Control characters but tab and line ends, which terminals take for commands and PostgreSQL in part cannot store, and
# lone surrogates, which UTF-8 has no bytes for.
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class AuditOutcome(enum.StrEnum):
    """What came of an action."""

    SUCCEEDED = "succeeded"
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One management action or denial. Holds no key material, whatever the field.

    `scope`: the chain it belongs to, `platform` or `tenants/{tenant}`.
    `event_id`: a UUID made by the caller, in lower case.
    `time`: in UTC, between 1970 and 2255; microseconds count.
    `actor`: `tenants/{tenant}/users/{user}`, `platform/users/{user}` for a bearer outside tenants, or
    `services/{service}`; 1 to 512 characters.
    `roles`: of the actor, sorted and distinct; at most 16 of 1 to 64 characters.
    `address`: of the network peer; at most 128 characters, empty for what Gatehouse does by itself.
    `action`: the RPC's name, such as `RotateKey`; 1 to 64 characters.
    `target`: the resource's name; at most 512 characters, may be empty.
    `reason`: of the error, for a denial; at most 128 characters.
    `request_id`: at most 128 characters.
    `details`: at most 32; keys are 1 to 63 of a-z, 0-9, '_', '.', '-' starting with a letter, values at most 1024
    characters.

    Nothing is cut to fit: a record that silently says less than what happened is worse than none. No text holds control
    characters other than tab, newline and carriage return. Raises ValueError, which names the field and not its value.
    """

    scope: str
    event_id: str
    time: datetime
    actor: str
    roles: tuple[str, ...]
    address: str
    action: str
    target: str
    outcome: AuditOutcome
    reason: str
    request_id: str
    details: Mapping[str, str]

    def __post_init__(self) -> None:
        check_scope(self.scope)
        if not _UUID.fullmatch(self.event_id):
            raise ValueError("event_id must be a UUID in lower case")
        unix_microseconds(self.time)
        _check_text("actor", self.actor, least=1, most=MAX_NAME_LENGTH)
        _check_text("address", self.address, most=MAX_ADDRESS_LENGTH)
        _check_text("action", self.action, least=1, most=MAX_ACTION_LENGTH)
        _check_text("target", self.target, most=MAX_NAME_LENGTH)
        _check_text("reason", self.reason, most=MAX_REASON_LENGTH)
        _check_text("request_id", self.request_id, most=MAX_REQUEST_ID_LENGTH)
        if len(self.roles) > MAX_ROLES or list(self.roles) != sorted(set(self.roles)):
            raise ValueError(f"roles must be at most {MAX_ROLES}, sorted and distinct")
        for role in self.roles:
            _check_text("roles", role, least=1, most=MAX_ROLE_LENGTH)
        if len(self.details) > MAX_DETAILS or not all(map(_DETAIL_KEY.fullmatch, self.details)):
            raise ValueError(f"details must be at most {MAX_DETAILS}, with keys like version or overlap_s")
        for value in self.details.values():
            _check_text("details", value, most=MAX_DETAIL_LENGTH)
        # What was hashed must not change afterwards.
        object.__setattr__(self, "details", MappingProxyType(dict(self.details)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEvent:
    """An event at its place in the chain, as it was found: only `verify_chain` tells whether it belongs there.

    `sequence` counts from 1 without gaps; the hashes are 64 lower-case hexadecimal digits.
    """

    sequence: int
    previous_hash: str
    hash: str
    event: AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """Where the chain of `scope` ends, or ended once: the last event's sequence and hash."""

    scope: str
    sequence: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which events of a chain are wanted: those that equal every given value, from `since` until before `until`."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    outcome: AuditOutcome | None = None
    since: datetime | None = None
    until: datetime | None = None


def genesis_hash(scope: str) -> str:
    """The `previous_hash` of the first event of `scope`: no chain can be passed off as another's.

    SHA-256, in hexadecimal digits, over `{"format":"gatehouse-audit-genesis-1","scope":"tenants/acme"}`.
    """
    return hashlib.sha256(canonical_json({"format": "gatehouse-audit-genesis-1", "scope": scope})).hexdigest()


def chain_hash(previous_hash: str, sequence: int, event: AuditEvent) -> str:
    """The hash of `event` as number `sequence` of its chain, after the event whose hash is `previous_hash`.

    It is SHA-256, in 64 lower-case hexadecimal digits, over one JSON object in the canonical form of RFC 8785 (keys
    sorted, no spaces, UTF-8; see `canonical_json`). Wrapped here for reading, it looks like this:

        {"action":"RotateKey","actor":"tenants/acme/users/ann","address":"10.0.0.7","details":{"version":"3"},
        "event_id":"0b7d6f3c-6f1e-4b0e-9a53-0d3f5a1c2b4e","format":"gatehouse-audit-event-1","outcome":"succeeded",
        "previous_hash":"<64 digits>","reason":"","request_id":"r-1","roles":["tenant_admin"],
        "scope":"tenants/acme","sequence":7,"target":"tenants/acme/keys/openai","time_us":1767323045678901}

    `time_us` is the time in microseconds since 1970 UTC. Every field is always there, also when it is empty.
    """
    fields = {
        "action": event.action,
        "actor": event.actor,
        "address": event.address,
        "details": dict(event.details),
        "event_id": event.event_id,
        "format": "gatehouse-audit-event-1",
        "outcome": event.outcome.value,
        "previous_hash": previous_hash,
        "reason": event.reason,
        "request_id": event.request_id,
        "roles": event.roles,
        "scope": event.scope,
        "sequence": sequence,
        "target": event.target,
        "time_us": unix_microseconds(event.time),
    }
    return hashlib.sha256(canonical_json(fields)).hexdigest()


def check_scope(scope: str) -> None:
    """Raise ValueError unless `scope` is `platform` or `tenants/{tenant}`."""
    if not _SCOPE.fullmatch(scope):
        raise ValueError("scope must be platform or tenants/{tenant}")


def _check_text(field: str, value: str, *, least: int = 0, most: int) -> None:
    if not least <= len(value) <= most:
        raise ValueError(f"{field} must have {least} to {most} characters, has {len(value)}")
    if _UNFIT.search(value):
        raise ValueError(f"{field} must not contain control characters or lone surrogates")
