"""What every change has in common: who makes it, its audit event, the outcome, the etag check, the bound on size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from libs.core.audit_authors import Author, audit_event, chain_of
from libs.core.resource_names import Owner
from services.provider_config.domain.errors import etag_mismatch, scope_full
from services.provider_config.domain.ports import Request, Transaction
from services.provider_config.domain.provider import scope_of
from services.provider_config.domain.scope_size import MAX_SCOPE_BYTES, MAX_USER_BYTES

T = TypeVar("T")
_NO_DETAILS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A request to change something: by whom, by which RPC, when.

    `uid`: the UUID of its audit event, the same however often its transaction is run again.
    """

    author: Author
    action: str
    now: datetime
    uid: str


def record(
    transaction: Transaction, act: Act, target: object, owner: Owner, details: Mapping[str, str] = _NO_DETAILS
) -> None:
    """Write what `act` did to `target`, a resource of `owner`, into the audit log, in the transaction that did it.

    Raises FailedPrecondition `AUDIT_LOG_DAMAGED`.
    """
    transaction.audit.append(
        audit_event(
            act.author,
            act.action,
            scope=chain_of(owner),
            target=str(target),
            now=act.now,
            uid=act.uid,
            details=details,
        )
    )


def differing(before: Any, after: Any) -> str:
    """The names of the fields in which two settings of one type differ, separated by commas: a detail of `record`."""
    names = (each.name for each in fields(before))
    return ",".join(sorted(name for name in names if getattr(before, name) != getattr(after, name)))


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """A resource after a change, and the revision at which routers know of it; 0 when it was only validated.

    `stored`: whether anything changed. When nothing did, the revision is the present one.
    """

    resource: T
    revision: int
    stored: bool = True


class Tagged(Protocol):
    """A resource that tells its versions apart."""

    @property
    def name(self) -> object:
        """Its name."""
        ...

    @property
    def etag(self) -> str:
        """Of this version."""
        ...


def check_etag(resource: Tagged, etag: str) -> None:
    """Raise Aborted `ETAG_MISMATCH` when `etag` is set and not the resource's."""
    if etag and etag != resource.etag:
        raise etag_mismatch(resource.name)


def check_scope_size(transaction: Transaction, owner: Owner, *, grows_by: int) -> None:
    """Raise ResourceExhausted `SCOPE_FULL` when what `owner` has would become too much.

    That of a user is bounded by itself, and with all else of its tenant by what a router can be sent.
    """
    if grows_by <= 0:
        return
    limits = [(scope_of(owner), MAX_SCOPE_BYTES)]
    if owner.user is not None:
        limits.append((owner, MAX_USER_BYTES))
    for scope, most in limits:
        if transaction.scope_bytes(scope) + grows_by > most:
            raise scope_full(scope, most)


def once(
    transaction: Transaction,
    request: Request | None,
    effect: Callable[[Transaction], T],
    *,
    encode: Callable[[T], bytes],
    decode: Callable[[bytes], T],
    now: datetime,
) -> T:
    """The result of `effect`; a repeated `request` gets that of the first time, without a second effect.

    Raises InvalidArgument `REQUEST_ID_REUSED` when the id came with another request.
    """
    if request is None:
        return effect(transaction)
    stored = transaction.requests.recall(request, now=now)
    if stored is not None:
        return decode(stored)
    result = effect(transaction)
    transaction.requests.remember(request, encode(result), now=now)
    return result
