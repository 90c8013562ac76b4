"""`gatehouse quotas`: limits of a tenant."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import YesOption, dollars_of
from gatehouse.cli.output import (
    Column,
    as_document,
    local_time,
    print_json,
    show_message,
    show_messages,
    show_table,
)
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note
from gatehouse.money import format_nano_usd, nano_usd_of

if TYPE_CHECKING:
    from gatehouse.operations.quotas import Metric, QuotaFields
    from gatehouse.usage.v1.quota_pb2 import Quota, QuotaState

app = group(
    "quotas",
    "Limits on what your tenant may use. A call that could exceed one is refused before it reaches a provider.",
    "gatehouse quotas create daily-tokens --tokens 200000 --per day",
    "gatehouse quotas create monthly-cost --usd 50 --per month --time-zone Europe/Berlin",
    "gatehouse quotas state",
)

QuotaArgument = Annotated[str, typer.Argument(metavar="QUOTA", help="The quota's id, or its full resource name.")]
TokensOption = Annotated[
    int | None, typer.Option("--tokens", min=0, help="The limit in tokens, of all kinds together.")
]
UsdOption = Annotated[
    str | None, typer.Option("--usd", metavar="USD", help="The limit in dollars, such as 50 or 0.25.")
]
DisplayNameOption = Annotated[str | None, typer.Option("--display-name", help="For people.")]


class Window(enum.StrEnum):
    """Over what time a quota counts."""

    DAY = "day"
    MONTH = "month"


@command(
    app,
    "create",
    "gatehouse quotas create daily-tokens --tokens 200000 --per day",
    "gatehouse quotas create monthly-cost --usd 50 --per month --time-zone Europe/Berlin",
)
def create(
    session: Session,
    *,
    quota: QuotaArgument,
    per: Annotated[Window, typer.Option("--per", help="The window: a calendar day or month.")],
    tokens: TokensOption = None,
    usd: UsdOption = None,
    time_zone: Annotated[
        str, typer.Option("--time-zone", help="The IANA time zone whose midnight begins a window. \\[default: UTC]")
    ] = "",
    display_name: DisplayNameOption = None,
) -> None:
    """Set a limit of tokens or of dollars. What was used before in the current window counts."""
    metric, limit = _limit(tokens, usd)
    created = session.client.quotas.create(
        session.name(Owner.TENANT, "quotas", quota),
        metric=metric,
        window=per.value,
        limit=limit,
        time_zone=time_zone,
        display_name=display_name or "",
    )
    _show(created, session)


@command(app, "list", "gatehouse quotas list", "gatehouse quotas list --json")
def list_quotas(session: Session) -> None:
    """List your tenant's quotas."""
    columns: list[Column[Quota]] = [
        Column("NAME", lambda quota: quota.name),
        Column("LIMIT", lambda quota: _amount(quota, quota.limit), right=True),
        Column("PER", _window),
        Column("DISPLAY NAME", lambda quota: quota.display_name),
    ]
    parent = session.parent(Owner.TENANT)
    show_messages(
        session.client.quotas.list(parent),
        columns,
        empty=f"{parent} has no quotas: nothing is limited",
        as_json=session.as_json,
    )


@command(app, "get", "gatehouse quotas get daily-tokens")
def get(session: Session, *, quota: QuotaArgument) -> None:
    """Show one quota."""
    _show(session.client.quotas.get(session.name(Owner.TENANT, "quotas", quota)), session)


@command(app, "state", "gatehouse quotas state", "gatehouse quotas state daily-tokens --json")
def state(
    session: Session,
    *,
    quota: Annotated[str | None, typer.Argument(metavar="QUOTA", help="One quota; all when left out.")] = None,
) -> None:
    """Show how much of your quotas is used now, and when they reset."""
    if quota is None:
        quotas = list(session.client.quotas.list(session.parent(Owner.TENANT)))
    else:
        quotas = [session.client.quotas.get(session.name(Owner.TENANT, "quotas", quota))]
    states = [(each, session.client.quotas.state(each.name)) for each in quotas]
    if session.as_json:
        documents = [as_document(current) for _, current in states]
        print_json(documents if quota is None else documents[0])
        return
    columns: list[Column[tuple[Quota, QuotaState]]] = [
        Column("NAME", lambda row: row[0].name),
        Column("USED", lambda row: _amount(row[0], row[1].used), right=True),
        Column("HELD", lambda row: _amount(row[0], row[1].held), right=True),
        Column("LIMIT", lambda row: _amount(row[0], row[1].limit), right=True),
        Column("USED OF LIMIT", lambda row: _share(row[1]), right=True),
        Column("RESETS", lambda row: local_time(row[1].reset_time)),
    ]
    show_table(states, columns, empty=f"{session.parent(Owner.TENANT)} has no quotas: nothing is limited")


@command(
    app,
    "update",
    "gatehouse quotas update daily-tokens --tokens 500000",
    "gatehouse quotas update monthly-cost --usd 75.50",
)
def update(
    session: Session,
    *,
    quota: QuotaArgument,
    tokens: TokensOption = None,
    usd: UsdOption = None,
    display_name: DisplayNameOption = None,
) -> None:
    """Change a quota's limit or display name. What it limits and its window stay."""
    name = session.name(Owner.TENANT, "quotas", quota)
    fields: QuotaFields = {}
    if display_name is not None:
        fields["display_name"] = display_name
    etag = ""
    if tokens is not None or usd is not None:
        metric, limit = _limit(tokens, usd)
        # Tokens and nano-USD are both plain numbers in the API: the wrong unit must not slip through.
        current = session.client.quotas.get(name)
        if metric != _metric(current):
            right = "--usd" if metric == "tokens" else "--tokens"
            raise typer.BadParameter(f"{name} limits {_metric(current)}: use {right}")
        fields["limit"], etag = limit, current.etag
    if not fields:
        raise typer.BadParameter("say what to change: --tokens 500000, --usd 75.50 or --display-name …")
    _show(session.client.quotas.update(name, etag=etag, **fields), session)


@command(app, "delete", "gatehouse quotas delete daily-tokens")
def delete(session: Session, *, quota: QuotaArgument, yes: YesOption = False) -> None:
    """Delete a quota: it limits nothing any more."""
    name = session.name(Owner.TENANT, "quotas", quota)
    confirm(f"Delete {name}?", yes=yes)
    session.client.quotas.delete(name)
    note(f"deleted {name}")


def _limit(tokens: int | None, usd: str | None) -> tuple[Metric, int]:
    if (tokens is None) == (usd is None):
        raise typer.BadParameter("give one limit: --tokens 200000 or --usd 50", param_hint="--tokens / --usd")
    if tokens is not None:
        return "tokens", tokens
    return "cost", dollars_of(usd or "", nano_usd_of, "--usd")


def _metric(quota: Quota) -> Metric:
    from gatehouse.usage.v1.quota_pb2 import QUOTA_METRIC_COST

    return "cost" if quota.metric == QUOTA_METRIC_COST else "tokens"


def _amount(quota: Quota, amount: int) -> str:
    if _metric(quota) == "cost":
        return format_nano_usd(amount)
    return f"{amount:,} token{'' if amount == 1 else 's'}"


def _share(current: QuotaState) -> str:
    return f"{current.used / current.limit:.1%}" if current.limit else "-"


def _window(quota: Quota) -> str:
    from gatehouse.usage.v1.quota_pb2 import QUOTA_WINDOW_DAY, QUOTA_WINDOW_MONTH

    window = {QUOTA_WINDOW_DAY: "day", QUOTA_WINDOW_MONTH: "month"}.get(quota.window, str(quota.window))
    return f"{window} ({quota.time_zone or 'UTC'})"


def _show(quota: Quota, session: Session) -> None:
    lines = [
        ("name", quota.name),
        ("limit", f"{_amount(quota, quota.limit)} per {_window(quota)}"),
        ("display name", quota.display_name),
        ("created", local_time(quota.create_time)),
        ("changed", local_time(quota.update_time)),
    ]
    show_message(quota, lines, as_json=session.as_json)
