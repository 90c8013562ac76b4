"""Options that several commands read: labels, money, times, who owns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from gatehouse.cli.session import Owner

OwnerOption = Annotated[
    Owner,
    typer.Option(
        "--owner",
        help="Whose it is: your tenant, your user, or the platform (needs a super_admin token).",
    ),
]
LabelOption = Annotated[list[str] | None, typer.Option("--label", help="name=value; may be given more than once.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", help="From then on: 30m, 24h, 7d, or a date or time (UTC unless it says).")
]
UntilOption = Annotated[str | None, typer.Option("--until", help="Before then; written as --since.")]

_DURATION = re.compile(r"(\d{1,9})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def labels_of(pairs: Sequence[str] | None) -> dict[str, str]:
    """`["a=1"]` -> `{"a": "1"}`. Raises BadParameter."""
    labels = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r} is not name=value", param_hint="--label")
        labels[name] = value
    return labels


def duration_of(text: str, hint: str) -> timedelta:
    """`90s`, `30m`, `24h`, `7d`. Raises BadParameter."""
    match = _DURATION.fullmatch(text.strip())
    try:
        if match:
            return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        pass
    raise typer.BadParameter(f"{text!r} is not a duration such as 90s, 30m, 24h or 7d", param_hint=hint)


def time_of(text: str | None, hint: str) -> datetime | None:
    """A time by how long ago it was, or by its date. Raises BadParameter."""
    if text is None:
        return None
    try:
        if _DURATION.fullmatch(text.strip()):
            return datetime.now(UTC) - duration_of(text, hint)
        time = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a time such as 24h, 7d, 2026-01-31 or 2026-01-31T12:00:00+01:00", param_hint=hint
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def dollars_of(text: str, scale: Callable[[Decimal], int], hint: str) -> int:
    """An exact amount of dollars in the unit of `scale` (a function of gatehouse.money). Raises BadParameter."""
    try:
        amount = Decimal(text.strip().removeprefix("$").replace("_", ""))
        if amount < 0:
            raise typer.BadParameter("must not be negative", param_hint=hint)
        return scale(amount)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is not an amount of dollars such as 0.15", param_hint=hint) from None
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}", param_hint=hint) from None
