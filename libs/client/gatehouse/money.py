"""Exact money: integer nano-USD in, text out."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.type.money_pb2 import Money

NANO_PER_USD = 1_000_000_000


def nano_usd(money: Money) -> int:
    """`money` in nano-USD. Raises ValueError for another currency; none at all is taken as USD."""
    if money.currency_code not in ("", "USD"):
        raise ValueError(f"not US dollars: {money.currency_code!r}")
    return int(money.units) * NANO_PER_USD + int(money.nanos)


def nano_usd_of(dollars: Decimal) -> int:
    """Dollars in nano-USD. Raises ValueError when they are not finite or finer than a nano-USD."""
    return _scaled(dollars, NANO_PER_USD)


def micro_usd_of(dollars: Decimal) -> int:
    """Dollars in micro-USD. Raises ValueError when they are not finite or finer than a micro-USD."""
    return _scaled(dollars, 1_000_000)


def format_nano_usd(nano: int) -> str:
    """Dollars without losing a nano and with at least two decimals: `$0.00001245`, `$12.50`."""
    sign = "-" if nano < 0 else ""
    dollars, rest = divmod(abs(nano), NANO_PER_USD)
    return f"{sign}${dollars:,}.{f'{rest:09d}'.rstrip('0').ljust(2, '0')}"


def _scaled(dollars: Decimal, scale: int) -> int:
    if not dollars.is_finite():
        raise ValueError("not a number")
    numerator, denominator = dollars.as_integer_ratio()
    scaled, rest = divmod(numerator * scale, denominator)
    if rest:
        raise ValueError("has too many decimals")
    return scaled
