"""What an update changes: its field mask, held against the message."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from libs.core.validation import FieldChecks

_EVERYTHING = "*"
_MOST_SHOWN = 64
# No message has as many fields, and a path may be named twice.
_MAX_PATHS = 100


def fields_to_change(check: FieldChecks, mask: FieldMask, message: Message, mutable: Iterable[str]) -> frozenset[str]:
    """The names among `mutable` that `mask` selects; an empty mask selects those set in `message`, `*` all.

    `check` learns of every path that is no field, or a field that cannot be changed.
    """
    can_change = frozenset(mutable)
    if not mask.paths:
        return can_change & {descriptor.name for descriptor, _ in message.ListFields()}
    if list(mask.paths) == [_EVERYTHING]:
        return can_change
    check.count("update_mask", mask.paths, most=_MAX_PATHS)
    named = set(mask.paths[:_MAX_PATHS])
    known = message.DESCRIPTOR.fields_by_name
    for path in sorted(named - can_change):
        shown = repr(path[:_MOST_SHOWN])
        if path in known:
            check.fail("update_mask", f"must not name {shown}, which cannot be changed")
        elif path == _EVERYTHING:
            check.fail("update_mask", "must name '*' alone or not at all")
        elif path.partition(".")[0] in known:
            check.fail("update_mask", f"must not name {shown}: only whole fields can be changed")
        else:
            check.fail("update_mask", f"must not name {shown}, which is not a field")
    return can_change & named
