"""Turns an expected duplicate into the error a caller should see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from libs.core.errors import GatehouseError
from libs.storage.errors import ConstraintKind
from libs.storage.faults import constraint_kind


@contextmanager
def on_duplicate(error: GatehouseError) -> Iterator[None]:
    """Raise `error` when the statement inside breaks a uniqueness constraint; other errors pass.

    with on_duplicate(AlreadyExists("KEY_EXISTS", "the key exists")):
        connection.execute(insert(keys).values(…))

    On PostgreSQL the failed statement ends the work's transaction, so let the error leave the work; to go on
    after a duplicate, put `connection.begin_nested()` around the statement, inside this block.
    """
    try:
        yield
    except IntegrityError as violation:
        if constraint_kind(violation) is not ConstraintKind.UNIQUE:
            raise
    else:
        return
    raise error from None
