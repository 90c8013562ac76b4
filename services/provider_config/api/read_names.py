"""Names and pages of requests as domain values; every wrong field is collected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol, TypeVar

from libs.core.errors import InvalidArgument
from libs.core.page_tokens import decode_page_token, page_size
from libs.core.resource_names import is_id
from libs.core.validation import FieldChecks
from services.provider_config.domain.errors import invalid_field

# Far above any etag: the bound only keeps nonsense out.
_MAX_ETAG = 100
_VERSION = re.compile(r"[1-9][0-9]{0,17}")

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
    after = decode_page_token(token, arguments)
    # Anybody can compute the digest that binds a token, so what it holds is checked like any other field.
    if after is not None and not is_id(after):
        raise _not_ours()
    return page_size(size), after


def version_page_in(size: int, token: str, arguments: Mapping[str, object]) -> tuple[int, int | None]:
    """How many versions to list, and before which one. Raises InvalidArgument."""
    before = decode_page_token(token, arguments)
    if before is not None and _VERSION.fullmatch(before) is None:
        raise _not_ours()
    return page_size(size), None if before is None else int(before)


def _not_ours() -> InvalidArgument:
    return invalid_field("page_token", "is not a token this service issued")
