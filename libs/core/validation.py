"""Collects every wrong field of a request, so that a caller sees them all at once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sized
from itertools import islice
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from libs.core.errors import FieldViolation, InvalidArgument
from libs.core.resource_names import ID_RULE, is_id

# C0 but tab and line ends, DEL and C1: a terminal takes some of them for commands.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LABEL_KEY = re.compile(r"[a-z]([a-z0-9_.-]{0,62})")
MAX_LABELS = 64
MAX_LABEL_VALUE = 256

# Far more than a call's trailers can carry. A hostile request can have a hundred thousand wrong fields.
MAX_VIOLATIONS = 100


class FieldChecks:
    """Use as a context manager around the conversion of one request; raises InvalidArgument at its end.

    with FieldChecks() as check:
        check.text("display_name", request.display_name, most=200)
        check.that(request.priority >= 0, "priority", "must not be negative")
    """

    def __init__(self) -> None:
        self._violations: list[FieldViolation] = []
        self._count = 0

    def fail(self, field: str, description: str) -> None:
        """Record that `field` is wrong. Beyond the first MAX_VIOLATIONS, wrong fields are only counted."""
        self._count += 1
        if self._count <= MAX_VIOLATIONS:
            self._violations.append(FieldViolation(field=field, description=description))

    def that(self, condition: bool, field: str, description: str) -> None:
        """Record a violation unless `condition` holds."""
        if not condition:
            self.fail(field, description)

    def text(self, field: str, value: str, *, most: int, least: int = 0) -> None:
        """`value` has `least` to `most` characters and no control characters but tab, newline, carriage return."""
        if not value and least:
            self.fail(field, "is required")
        elif len(value) < least:
            self.fail(field, f"must have at least {least} characters")
        elif len(value) > most:
            self.fail(field, f"must have at most {most} characters, has {len(value)}")
        elif _CONTROL.search(value):
            self.fail(field, "must not contain control characters")

    def length(self, field: str, value: str, *, most: int, required: bool = False) -> None:
        """`value` has at most `most` characters, whatever they are, and at least one when it is `required`."""
        if required and not value:
            self.fail(field, "is required")
        elif len(value) > most:
            self.fail(field, f"must have at most {most} characters, has {len(value)}")

    def count(self, field: str, values: Sized, *, most: int, least: int = 0) -> None:
        """`values` has `least` to `most` entries."""
        if len(values) < least:
            self.fail(field, "must not be empty" if least == 1 else f"must have at least {least} entries")
        elif len(values) > most:
            self.fail(field, f"must have at most {most} entries, has {len(values)}")

    def identifier(self, field: str, value: str) -> None:
        """`value` is a resource id."""
        self.that(is_id(value), field, f"must be {ID_RULE}")

    def labels(self, field: str, labels: Mapping[str, str]) -> None:
        """At most 64 labels, keys like ids starting with a letter, values up to 256 characters."""
        self.count(field, labels, most=MAX_LABELS)
        for key, value in islice(labels.items(), MAX_LABELS):
            self.that(
                _LABEL_KEY.fullmatch(key) is not None,
                f"{field}[{key[:63]!r}]",
                "key must be 1 to 63 characters of a-z, 0-9, '_', '.', '-', starting with a letter",
            )
            self.text(f"{field}[{key[:63]!r}]", value, most=MAX_LABEL_VALUE)

    def done(self) -> None:
        """Raise InvalidArgument when anything was recorded."""
        if self._violations:
            first = self._violations[0]
            more = self._count - 1
            raise InvalidArgument(
                "INVALID_FIELD",
                f"{first.field} {first.description}" + (f" (and {more} more)" if more else ""),
                metadata={"field": first.field},
                field_violations=tuple(self._violations),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.done()


def origin_of(url: str) -> str | None:
    """`scheme://host:port` of an http(s) URL, lower-cased, the port always there; None when it is not one.

    A URL with user information, a query or a fragment has no origin here: none of them belongs in an endpoint. Nor
    has one that two parsers could read in two ways: with spaces, control characters or backslashes, with a host
    outside ASCII (its xn-- spelling has one), an IPv6 zone, or anything beside a host and a port.
    """
    if _AMBIGUOUS.search(url):
        return None
    try:
        parts = urlsplit(url)
        # Before lower-casing: it turns a few letters outside ASCII, such as the Kelvin sign, into ones inside.
        authority = _AUTHORITY.fullmatch(parts.netloc.lower()) if parts.netloc.isascii() else None
        if authority is None or parts.scheme not in _DEFAULT_PORTS:
            return None
        # The same address has many spellings; one of them is the origin's.
        host = f"[{ipaddress.IPv6Address(authority['ipv6'])}]" if authority["ipv6"] else authority["name"]
    except ValueError:
        return None
    port = int(authority["port"] or _DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}:{port}" if 0 < port <= _LAST_PORT else None


_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f-\xa0\\?#]|\s")
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_-][a-z0-9._-]*))(?::(?P<port>[0-9]{0,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535
