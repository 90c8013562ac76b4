"""What every change has in common: the outcome, the etag check, the bound on a scope's size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from libs.core.resource_names import Owner
from services.provider_config.domain.errors import etag_mismatch, invalid_field
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


def check_scope_size(transaction: Transaction, scope: Owner, *, grows_by: int, field: str) -> None:
    """Raise InvalidArgument naming `field` when `scope` would outgrow what a router can be sent."""
    if grows_by > 0 and transaction.scope_bytes(scope) + grows_by > MAX_SCOPE_BYTES:
        raise invalid_field(
            field,
            f"does not fit: {scope} and its users hold about {MAX_SCOPE_BYTES // 1000} kB of providers and models, "
            "the most there can be; delete some, or shorten their texts",
        )


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
