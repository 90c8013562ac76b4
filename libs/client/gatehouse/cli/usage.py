"""`gatehouse usage`: the ledger and its sums."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import SinceOption, UntilOption, time_of
from gatehouse.cli.output import (
    Column,
    as_document,
    cost,
    enum_word,
    local_time,
    milliseconds,
    print_json,
    short,
    show_messages,
    show_table,
)
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import note
from gatehouse.money import nano_usd

if TYPE_CHECKING:
    from gatehouse.operations.usage import Grouping
    from gatehouse.usage.v1.usage_record_pb2 import TokenCounts, UsageRecord
    from gatehouse.usage.v1.usage_service_pb2 import UsageStats

app = group(
    "usage",
    "What was used and what it cost, attempt by attempt or summed up.",
    "gatehouse usage records --limit 5",
    "gatehouse usage stats --by provider --by model --since 7d",
)

MineOption = Annotated[bool, typer.Option("--mine", help="Only your own user's; otherwise your tenant's.")]


class Group(enum.StrEnum):
    """What statistics can be grouped by."""

    PROVIDER = "provider"
    MODEL = "model"
    USER = "user"
    TASK = "task"
    KEY = "key"
    RULE = "rule"


@command(
    app,
    "records",
    "gatehouse usage records",
    "gatehouse usage records --since 24h --limit 100 --json",
    "gatehouse usage records --operation 0198c0de-…",
)
def records(
    session: Session,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most, newest first.")] = 20,
    operation: Annotated[str, typer.Option("--operation", help="Only this call's (its operation id).")] = "",
    since: SinceOption = None,
    until: UntilOption = None,
    mine: MineOption = False,
) -> None:
    """List ledger records: one for each attempt at a provider, the newest first."""
    found = session.client.usage.records(
        session.parent(Owner.USER if mine else Owner.TENANT),
        operation_id=operation,
        start=time_of(since, "--since"),
        end=time_of(until, "--until"),
        page_size=min(limit, 1000),
    )
    columns: list[Column[UsageRecord]] = [
        Column("BEGAN", lambda record: local_time(record.start_time)),
        Column("USER", lambda record: record.dimensions.user),
        Column("PROVIDER", lambda record: short(record.dimensions.provider)),
        Column("MODEL", lambda record: record.dimensions.model),
        Column("OUTCOME", _outcome),
        Column("IN", _tokens_in, right=True),
        Column("OUT", _tokens_out, right=True),
        Column(
            "COST", lambda record: cost(record.cost_nano_usd if record.HasField("cost_nano_usd") else None), right=True
        ),
        Column("TOOK", lambda record: milliseconds(record.duration.ToNanoseconds()), right=True),
        Column("OPERATION", lambda record: f"{record.operation_id}/{record.attempt}"),
    ]
    show_messages(islice(found, limit), columns, empty="no records", as_json=session.as_json)


@command(
    app,
    "stats",
    "gatehouse usage stats",
    "gatehouse usage stats --by user --by model --since 30d --json",
    "gatehouse usage stats --by rule  (how much the platform, fallbacks and experiments serve)",
)
def stats(
    session: Session,
    *,
    by: Annotated[list[Group] | None, typer.Option("--by", help="Group by; up to three, in this order.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    mine: MineOption = False,
) -> None:
    """Sum the ledger up, the most expensive first. The last 30 days, unless said otherwise, in whole hours."""
    grouping = cast("Sequence[Grouping]", [group.value for group in by or ()])
    response = session.client.usage.stats(
        session.parent(Owner.USER if mine else Owner.TENANT),
        start=time_of(since, "--since"),
        end=time_of(until, "--until"),
        group_by=grouping,
    )
    if session.as_json:
        print_json(as_document(response))
        return
    groups = [_group_column(index, name) for index, name in enumerate(grouping)]
    columns: list[Column[UsageStats]] = [
        *groups,
        Column("ATTEMPTS", lambda row: f"{row.attempts:,}", right=True),
        Column("SUCCEEDED", _share, right=True),
        Column("FALLBACKS", lambda row: f"{row.fallbacks:,}", right=True),
        Column("IN", lambda row: f"{_in(row.tokens):,}", right=True),
        Column("OUT", lambda row: f"{_out(row.tokens):,}", right=True),
        Column("COST", lambda row: cost(nano_usd(row.cost)), right=True),
        Column("AVERAGE", lambda row: milliseconds(row.average_duration.ToNanoseconds()), right=True),
    ]
    rows = [*response.rows, response.total] if grouping else [response.total]
    show_table(rows if response.total.attempts else [], columns, empty="nothing was used in this time")
    if response.total.unpriced_attempts:
        note(f"{response.total.unpriced_attempts:,} attempts have no known price and are not in the cost")


def _group_column(index: int, name: str) -> Column[UsageStats]:
    return Column(name.upper(), lambda row: (row.group[index] or "-") if len(row.group) > index else "all")


def _share(row: UsageStats) -> str:
    return f"{row.succeeded:,} ({row.succeeded / row.attempts:.0%})" if row.attempts else "0"


def _outcome(record: UsageRecord) -> str:
    from gatehouse.usage.v1.usage_record_pb2 import AttemptOutcome, UsageEventKind

    outcome = enum_word(AttemptOutcome, record.outcome)
    kind = enum_word(UsageEventKind, record.kind)
    extra = [part for part in (record.error_reason, kind if kind != "settled" else "") if part]
    return f"{outcome} ({', '.join(extra)})" if extra else outcome


def _in(tokens: TokenCounts) -> int:
    return tokens.input_tokens + tokens.cache_read_tokens + tokens.cache_write_tokens


def _out(tokens: TokenCounts) -> int:
    return tokens.output_tokens + tokens.reasoning_tokens


def _tokens_in(record: UsageRecord) -> str:
    return _about(record) + f"{_in(record.tokens):,}"


def _tokens_out(record: UsageRecord) -> str:
    return _about(record) + f"{_out(record.tokens):,}"


def _about(record: UsageRecord) -> str:
    from gatehouse.usage.v1.usage_record_pb2 import TOKEN_SOURCE_ESTIMATED

    return "~" if record.token_source == TOKEN_SOURCE_ESTIMATED else ""
