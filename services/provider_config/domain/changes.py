"""What every change has in common: the outcome, the etag check, the bound on a scope's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from libs.core.resource_names import Owner
from services.provider_config.domain.errors import etag_mismatch, scope_full
from services.provider_config.domain.model import Model
from services.provider_config.domain.ports import Request, Transaction
from services.provider_config.domain.provider import Provider
from services.provider_config.domain.scope_size import MAX_SCOPE_BYTES

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """A resource after a change, and the revision at which routers know of it; 0 when nothing was stored."""

    resource: T
    revision: int


def check_etag(resource: Provider | Model, etag: str) -> None:
    """Raise Aborted `ETAG_MISMATCH` when `etag` is set and not the resource's."""
    if etag and etag != resource.etag:
        raise etag_mismatch(resource.name)


def check_scope_size(transaction: Transaction, scope: Owner, *, grows_by: int) -> None:
    """Raise ResourceExhausted `SCOPE_FULL` when `scope` would outgrow what a router can be sent."""
    if grows_by > 0 and transaction.scope_bytes(scope) + grows_by > MAX_SCOPE_BYTES:
        raise scope_full(scope, MAX_SCOPE_BYTES)


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
