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
LabelOption = Annotated[
    list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="May be given more than once.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Let Gatehouse check everything and say what would be; nothing is changed.")
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Although routes, preferences or profiles name it: calls then pass those places over."
    ),
]
DisplayNameOption = Annotated[str | None, typer.Option("--display-name", help="For people.")]
DescriptionOption = Annotated[str | None, typer.Option("--description", help="For people.")]
VersionArgument = Annotated[
    int, typer.Argument(metavar="VERSION", min=1, help="The version's number, as the `versions` command shows.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most, newest first.")]
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


def provider_of(reference: str, parent: str, hint: str) -> str:
    """A provider as calls of `parent` name it. Raises BadParameter.

    A bare id stays one: the server takes the nearest of the user's, the tenant's and the platform's providers.
    """
    from gatehouse.references import ID, provider_name

    try:
        return reference if ID.fullmatch(reference) else provider_name(reference, parent)
    except ValueError as error:
        raise typer.BadParameter(f"{reference!r} {error}", param_hint=hint) from None


def choice_of(reference: str, parent: str, hint: str) -> tuple[str, str]:
    """`openai/gpt-4o` -> the provider as calls of `parent` name it, and the model's id. Raises BadParameter.

    A bare id stays one: the server takes the nearest of the user's, the tenant's and the platform's providers.
    """
    from gatehouse.references import ID, provider_name, target_parts

    try:
        provider, model = target_parts(reference)
        if model and not ID.fullmatch(model):
            raise ValueError("names no model: its id has only a-z, 0-9, '.', '_' and '-'")  # noqa: TRY301 - told as the others
        return (provider if ID.fullmatch(provider) else provider_name(provider, parent)), model
    except ValueError as error:
        raise typer.BadParameter(f"{reference!r} {error}", param_hint=hint) from None
