"""What the page tokens of the lists hold: where the next page begins.

A token is bound to the other arguments by a digest that anybody can compute, so what it holds is checked like any other
field. All raise InvalidArgument for what no list of ours ended with.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from libs.core.errors import InvalidArgument
from libs.core.resource_names import ID_PATTERN, KeyName
from services.key_vault.domain.errors import invalid_field
from services.key_vault.domain.key_outcome import KeyNotification

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_KEY = re.compile(rf"(?P<user>{ID_PATTERN})?/(?P<key>{ID_PATTERN})")
# Up to the year 2286; a uid has no more characters than its column takes.
_NOTIFICATION = re.compile(r"(?P<time_us>[0-9]{1,16})/(?P<uid>[!-~]{1,36})")


def key_cursor(last: KeyName) -> str:
    """The cursor that continues a list of keys after `last`."""
    return f"{last.owner.user or ''}/{last.key}"


def key_place(cursor: str | None) -> tuple[str, str] | None:
    """The (user, id) in a cursor, None for the first page."""
    if cursor is None:
        return None
    found = _matched(_KEY, cursor)
    return found["user"] or "", found["key"]


def notification_cursor(last: KeyNotification) -> str:
    """The cursor that continues a list of notifications after `last`."""
    return f"{(last.create_time - _EPOCH) // _MICROSECOND}/{last.uid}"


def notification_place(cursor: str | None) -> tuple[datetime, str] | None:
    """The (time, uid) in a cursor, None for the first page."""
    if cursor is None:
        return None
    found = _matched(_NOTIFICATION, cursor)
    return _EPOCH + int(found["time_us"]) * _MICROSECOND, found["uid"]


def _matched(pattern: re.Pattern[str], cursor: str) -> re.Match[str]:
    found = pattern.fullmatch(cursor)
    if found is None:
        raise _not_ours()
    return found


def _not_ours() -> InvalidArgument:
    return invalid_field("page_token", "is not a token this service issued")
