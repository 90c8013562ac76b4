"""The tables. Times are integer microseconds since 1970 UTC; money is integer nano-USD or pico-USD, as named.

`reservations` holds what is under way and nothing else: a row goes when its attempt is settled, released or lapsed.
`ledger_events` is only ever added to; it is what makes settlements idempotent for ever. `usage_hourly` is the sum of
the ledger, written in the same transaction; so is `experiment_hourly`, of the attempts that count for an experiment.
`quota_windows` holds what each window of a quota used and holds: `held` is at any time the sum over
`reservations.holds`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, SmallInteger, Table, Text

from libs.storage.idempotency import request_table
from libs.storage.types import RowId
from services.usage_accounting.storage.wide_integers import digit_names

metadata = MetaData()

DIMENSIONS = (
    "user_id",
    "provider",
    "provider_type",
    "model",
    "provider_model_id",
    "key_name",
    "task",
    "plan",
    "request_id",
    "labels",
    "rule",
    "experiment",
    "arm",
)
"""The columns of `Dimensions`, in its order."""

TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
"""The columns of `TokenCounts`, in its order."""

reservations = Table(
    "reservations",
    metadata,
    # Calls before tenants: a lookup needs the call only.
    Column("operation_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("tenant", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in DIMENSIONS),
    Column("input_tokens_estimate", BigInteger, nullable=False),
    Column("output_tokens_limit", BigInteger, nullable=False),
    # JSON: the five prices of `TokenPrices` in its order, in pico-USD per token.
    Column("price", Text),
    # JSON: [[quota_uid, window_start_us, metric, amount], …]
    Column("holds", Text, nullable=False),
    Column("reserved_us", BigInteger, nullable=False),
    Column("lapse_us", BigInteger, nullable=False),
    Index("ix_reservations_lapse_us", "lapse_us"),
)

ledger_events = Table(
    "ledger_events",
    metadata,
    Column("sequence", RowId, primary_key=True),
    Column("kind", SmallInteger, nullable=False),
    # 1 for a CORRECTION, else 0: an attempt has one first event and at most one correction.
    Column("correction", SmallInteger, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("operation_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    *(Column(name, Text, nullable=False) for name in DIMENSIONS),
    Column("outcome", SmallInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in TOKENS),
    Column("token_source", SmallInteger, nullable=False),
    Column("cost_nano_usd", BigInteger),
    # As in `reservations`.
    Column("price", Text),
    Column("finish_reason", Text, nullable=False),
    Column("error_reason", Text, nullable=False),
    Column("fallback", SmallInteger, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("duration_us", BigInteger),
    Column("first_content_us", BigInteger),
    Column("record_us", BigInteger, nullable=False),
    # Of a LAPSED event: the holds it used up, as in `reservations`.
    Column("counted", Text),
    Index("uq_ledger_events_attempt", "operation_id", "attempt", "tenant", "correction", unique=True),
    Index("ix_ledger_events_tenant_time", "tenant", "start_us", "sequence"),
    Index("ix_ledger_events_user_time", "tenant", "user_id", "start_us", "sequence"),
)

ROLLUP_KEY = ("tenant", "hour_us", "user_id", "provider", "model", "key_name", "task", "rule")
ROLLUP_SUMS = (
    "attempts",
    "succeeded",
    "fallbacks",
    *TOKENS,
    "cost_nano_usd",
    "unpriced_attempts",
    "timed_attempts",
    "duration_us",
)

usage_hourly = Table(
    "usage_hourly",
    metadata,
    *(Column(name, BigInteger if name == "hour_us" else Text, primary_key=True) for name in ROLLUP_KEY),
    *(Column(name, BigInteger, nullable=False) for name in ROLLUP_SUMS),
    sqlite_with_rowid=False,
)

EXPERIMENT_KEY = ("tenant", "experiment", "hour_us", "arm")
# What can exceed 64 bits is kept in digits, see `wide_integers.py`: a duration is at most 2**40 microseconds, a cost at
# most 2**63 nano-USD.
DURATION_SQUARES = digit_names("duration_squares", 3)
FIRST_CONTENT_SQUARES = digit_names("first_content_squares", 3)
COST_SUM = digit_names("cost_nano_usd", 2)
COST_SQUARES = digit_names("cost_squares", 4)
EXPERIMENT_SUMS = (
    "calls",
    "succeeded",
    # Durations are those of attempts that succeeded.
    "duration_us",
    *DURATION_SQUARES,
    "contents",
    "first_content_us",
    *FIRST_CONTENT_SQUARES,
    "priced",
    *COST_SUM,
    *COST_SQUARES,
    *TOKENS,
)

experiment_hourly = Table(
    "experiment_hourly",
    metadata,
    *(Column(name, BigInteger if name == "hour_us" else Text, primary_key=True) for name in EXPERIMENT_KEY),
    *(Column(name, BigInteger, nullable=False) for name in EXPERIMENT_SUMS),
    sqlite_with_rowid=False,
)

quotas = Table(
    "quotas",
    metadata,
    Column("tenant", Text, primary_key=True),
    # Listed in the same order on every database.
    Column("quota_id", Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("version", BigInteger, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("metric", SmallInteger, nullable=False),
    Column("period", SmallInteger, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("most", BigInteger, nullable=False),
    Column("create_us", BigInteger, nullable=False),
    Column("update_us", BigInteger, nullable=False),
)

quota_windows = Table(
    "quota_windows",
    metadata,
    Column("quota_uid", Text, primary_key=True),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False),
    Column("used", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

remembered_requests = request_table(metadata)
