"""The live reservations in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, select, update

from libs.storage.prepared import Lookup, Prepared, insertion
from services.usage_accounting.domain.attempt import AttemptKey, Dimensions
from services.usage_accounting.domain.reservation import Hold, Reservation
from services.usage_accounting.storage.encoding import holds_of, holds_text, price_of, price_text
from services.usage_accounting.storage.tables import DIMENSIONS, reservations

_KEY = ("operation_id", "attempt", "tenant")
_COLUMNS = (
    *_KEY,
    *DIMENSIONS,
    "input_tokens_estimate",
    "output_tokens_limit",
    "price",
    "holds",
    "reserved_us",
    "lapse_us",
)
_FIRST_DIMENSION = len(_KEY)
_AFTER_DIMENSIONS = _FIRST_DIMENSION + len(DIMENSIONS)

_ALL = select(*(reservations.c[name] for name in _COLUMNS))
_INSERT = insertion(reservations, _COLUMNS)
_OF_OPERATIONS = Lookup(_ALL, reservations.c.operation_id)
_WITH_KEY = [reservations.c[name] == bindparam(f"{name}_of_row") for name in _KEY]
_KEY_PARAMETERS = [f"{name}_of_row" for name in _KEY]
_DELETE = Prepared(lambda _: delete(reservations).where(*_WITH_KEY), _KEY_PARAMETERS)
_REPLACE_HOLDS = Prepared(
    lambda _: update(reservations).where(*_WITH_KEY).values(holds=bindparam("holds")), ["holds", *_KEY_PARAMETERS]
)


class StoredReservations:
    """`Reservations` within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of_operations(self, operation_ids: Collection[str]) -> dict[AttemptKey, Reservation]:
        """The reservations of these calls."""
        rows = _OF_OPERATIONS.rows(self._connection, operation_ids)
        return {reservation.key: reservation for reservation in map(_reservation, rows)}

    def of_tenant(self, tenant: str) -> Sequence[Reservation]:
        """All of a tenant's; looks at everything that is under way."""
        rows = self._connection.execute(_ALL.where(reservations.c.tenant == tenant))
        return [_reservation(row) for row in rows]

    def due(self, *, at_us: int, limit: int) -> Sequence[Reservation]:
        """Those whose lapse time has come."""
        due = _ALL.where(reservations.c.lapse_us <= at_us).order_by(reservations.c.lapse_us).limit(limit)
        return [_reservation(row) for row in self._connection.execute(due)]

    def next_lapse_us(self) -> int | None:
        """When the next one lapses."""
        lapse_us: int | None = self._connection.scalar(select(func.min(reservations.c.lapse_us)))
        return lapse_us

    def add(self, new: Sequence[Reservation]) -> None:
        """Store new ones."""
        _INSERT.many(self._connection, [_row(reservation) for reservation in new])

    def replace_holds(self, holds: Mapping[AttemptKey, Sequence[Hold]]) -> None:
        """Change what reservations hold."""
        rows = [(holds_text(held), key.operation_id, key.attempt, key.tenant) for key, held in holds.items()]
        _REPLACE_HOLDS.many(self._connection, rows)

    def remove(self, keys: Collection[AttemptKey]) -> None:
        """Remove reservations."""
        _DELETE.many(self._connection, [(operation_id, attempt, tenant) for tenant, operation_id, attempt in keys])


def _row(reservation: Reservation) -> tuple[Any, ...]:
    (key, dimensions, input_tokens, output_tokens, price, holds, reserved_us, lapse_us) = reservation
    return (
        key.operation_id,
        key.attempt,
        key.tenant,
        *dimensions,
        input_tokens,
        output_tokens,
        price_text(price),
        holds_text(holds),
        reserved_us,
        lapse_us,
    )


def _reservation(row: Row[Any]) -> Reservation:
    operation_id, attempt, tenant = row[:_FIRST_DIMENSION]
    input_tokens, output_tokens, price, holds, reserved_us, lapse_us = row[_AFTER_DIMENSIONS:]
    return Reservation(
        AttemptKey(tenant, operation_id, attempt),
        Dimensions(*row[_FIRST_DIMENSION:_AFTER_DIMENSIONS]),
        input_tokens,
        output_tokens,
        price_of(price),
        holds_of(holds),
        reserved_us,
        lapse_us,
    )
