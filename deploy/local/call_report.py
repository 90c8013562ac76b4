"""What is shown of a call once it ended: who served it, what it took, and what the ledger says. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gatehouse.answers import cost_nano_usd
from gatehouse.cli.output import cost, local_time, milliseconds
from gatehouse.cli.terminal import printable
from gatehouse.money import format_nano_usd
from gatehouse.usage.v1.quota_pb2 import QUOTA_METRIC_COST, Quota, QuotaState
from gatehouse.usage.v1.usage_record_pb2 import (
    TOKEN_SOURCE_ESTIMATED,
    AttemptOutcome,
    TokenCounts,
    UsageEventKind,
    UsageRecord,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from gatehouse.errors import GatehouseError
    from gatehouse.router.v1.generation_pb2 import Attempt, Outcome, TokenUsage


def call_table(outcome: Outcome, *, pretend_price: bool) -> Table:
    """Who served the call and why, with which key, in how many attempts, tokens, cost and time."""
    target, latency = outcome.served_by, outcome.latency
    total, gateway, provider, first = (
        milliseconds(each.ToNanoseconds())
        for each in (latency.total, latency.gateway, latency.provider, latency.first_content)
    )
    rows = [
        ("served by", f"{target.provider} · {target.model} ({target.provider_type})"),
        ("because", f"{target.reason} (rule {target.rule})"),
        ("with key", f"{target.key}, opened by the vault for this call" if target.key else "none: it needs no key"),
        ("attempts", _attempts(outcome.attempts)),
        ("tokens", _tokens(outcome.usage) if outcome.HasField("usage") else "not reported by the provider"),
        ("cost", cost(cost_nano_usd(outcome)) + (" (a pretend price)" if pretend_price else "")),
        ("time", f"{total} = {gateway} in the gateway + {provider} at the provider; first content after {first}"),
        *(("warning", warning) for warning in outcome.warnings),
    ]
    return _table(rows)


def ledger_table(records: Sequence[UsageRecord], quotas: Iterable[tuple[Quota, QuotaState]]) -> Table:
    """The call's records as the ledger has them, and what is left of the quotas."""
    return _table(
        [
            *((f"record {record.sequence}", _record(record)) for record in records),
            *((_id(quota.name), _quota(quota, state)) for quota, state in quotas),
        ]
    )


def failure_text(error: GatehouseError, *, advice: str) -> Text:
    """What went wrong, each violation, and what to do: `advice` if there is any, else the error's own."""
    text = Text()
    text.append(printable(error.message), style="bold")
    text.append(f" ({printable(error.reason or error.code)})", style="red")
    for violation in error.violations:
        text.append(f"\n  • {printable(violation)}")
    if advice or error.advice:
        text.append(f"\n{advice or error.advice}")
    if error.request_id:
        text.append(f"\nrequest id {printable(error.request_id)}", style="dim")
    return text


def _table(rows: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True, min_width=14)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(f"  {name}", Text(printable(value)))
    return table


def _attempts(attempts: Sequence[Attempt]) -> str:
    if len(attempts) == 1:
        return "1"
    each = (
        f"{attempt.target.provider} {attempt.error_reason or 'served'}"
        f" after {milliseconds(attempt.duration.ToNanoseconds())}"
        for attempt in attempts
    )
    return f"{len(attempts)}: {', then '.join(each)}"


def _record(record: UsageRecord) -> str:
    outcome = AttemptOutcome.Name(record.outcome).removeprefix("ATTEMPT_OUTCOME_").lower()
    kind = UsageEventKind.Name(record.kind).removeprefix("USAGE_EVENT_KIND_").lower()
    source = "estimated" if record.token_source == TOKEN_SOURCE_ESTIMATED else "as reported"
    charged = cost(record.cost_nano_usd if record.HasField("cost_nano_usd") else None)
    facts = [
        f"{kind}, {outcome}{f' ({record.error_reason})' if record.error_reason else ''}",
        f"{_tokens(record.tokens)} ({source})",
        charged,
        f"operation {record.operation_id}/{record.attempt}",
    ]
    return " · ".join(facts)


def _tokens(tokens: TokenUsage | TokenCounts) -> str:
    taken = tokens.input_tokens + tokens.cache_read_tokens + tokens.cache_write_tokens
    return (
        f"{taken:,} in ({tokens.cache_read_tokens:,} cached), "
        f"{tokens.output_tokens:,} out, {tokens.reasoning_tokens:,} reasoning"
    )


def _quota(quota: Quota, state: QuotaState) -> str:
    is_cost = quota.metric == QUOTA_METRIC_COST
    amount = format_nano_usd if is_cost else "{:,}".format
    held = f", {amount(state.held)} held" if state.held else ""
    unit = "" if is_cost else " tokens"
    return f"{amount(state.used)} of {amount(state.limit)}{unit} used{held}; resets {local_time(state.reset_time)}"


def _id(name: str) -> str:
    return name.rpartition("/")[2]
