"""Names in requests as domain values; every wrong field is collected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from libs.core.errors import InvalidArgument
from libs.core.validation import FieldChecks

Name = TypeVar("Name")


def collected(check: FieldChecks, read: Callable[[], Name]) -> Name | None:
    """What `read` gives; None, with what is wrong in `check`, when it raises InvalidArgument."""
    try:
        return read()
    except InvalidArgument as error:
        for violation in error.field_violations:
            check.fail(violation.field, violation.description)
        return None
