"""Names, pages and scopes of requests as domain values; every wrong field is collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from gatehouse.providerconfig.v1 import snapshot_service_pb2

from libs.core.errors import InvalidArgument
from libs.core.page_tokens import decode_page_token, page_size
from libs.core.resource_names import Owner
from libs.core.validation import FieldChecks

MAX_SCOPES_IN_MESSAGE = 1000
# Far above any etag: the bound only keeps nonsense out.
_MAX_ETAG = 100

T_co = TypeVar("T_co", covariant=True)


class _Parse(Protocol[T_co]):
    def __call__(self, name: str, *, field: str) -> T_co: ...


def name_in(check: FieldChecks, parse: _Parse[T_co], text: str, *, field: str) -> T_co | None:
    """`text` as a name; None, with the reason in `check`, when it is none."""
    try:
        return parse(text, field=field)
    except InvalidArgument as error:
        for violation in error.field_violations:
            check.fail(violation.field, violation.description)
        return None


def etag_in(check: FieldChecks, etag: str, *, field: str) -> str:
    """The etag a caller has seen, or nothing."""
    check.text(field, etag, most=_MAX_ETAG)
    return etag


def page_in(size: int, token: str, arguments: Mapping[str, object]) -> tuple[int, str | None]:
    """How many to list, and after which id. Raises InvalidArgument."""
    return page_size(size), decode_page_token(token, arguments)


def scopes_in(request: snapshot_service_pb2.WatchSnapshotsRequest) -> tuple[Sequence[Owner], Sequence[Owner]]:
    """The scopes to watch and those to forget. Raises InvalidArgument."""
    with FieldChecks() as check:
        return _scopes(check, "watch", request.watch), _scopes(check, "forget", request.forget)


def _scopes(check: FieldChecks, field: str, names: Sequence[str]) -> Sequence[Owner]:
    check.count(field, names, most=MAX_SCOPES_IN_MESSAGE)
    scopes = []
    for index, name in enumerate(names[:MAX_SCOPES_IN_MESSAGE]):
        scope = name_in(check, Owner.parse, name, field=f"{field}[{index}]")
        if scope is not None:
            check.that(scope.user is None, f"{field}[{index}]", "must be platform or tenants/{tenant}")
            scopes.append(scope)
    return scopes
