"""The rule, the experiment and the arm of an attempt; hourly sums by rule, and those of experiments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_HOURLY_KEY = ("tenant", "hour_us", "user_id", "provider", "model", "key_name", "task")
_HOURLY_SUMS = (
    "attempts", "succeeded", "fallbacks", *_TOKENS, "cost_nano_usd", "unpriced_attempts", "timed_attempts",
    "duration_us",
)  # fmt: skip


def upgrade() -> None:
    for table in ("reservations", "ledger_events"):
        for name in ("rule", "experiment", "arm"):
            # With a default, no row is rewritten on either database: those there are stay as they were.
            op.add_column(table, sa.Column(name, sa.Text, nullable=False, server_default=""))
    _sum_up_by_rule()
    op.create_table(
        "experiment_hourly",
        *_key("tenant", "experiment", "hour_us", "arm"),
        *_numbers("calls", "succeeded"),
        *_numbers("duration_us", "duration_squares_0", "duration_squares_1", "duration_squares_2"),
        *_numbers("contents", "first_content_us"),
        *_numbers("first_content_squares_0", "first_content_squares_1", "first_content_squares_2"),
        *_numbers("priced", "cost_nano_usd_0", "cost_nano_usd_1"),
        *_numbers("cost_squares_0", "cost_squares_1", "cost_squares_2", "cost_squares_3"),
        *_numbers(*_TOKENS),
        sqlite_with_rowid=False,
    )


def _sum_up_by_rule() -> None:
    """Make the rule part of the key. SQLite cannot change a key, so the table is made anew on both databases."""
    op.execute("CREATE TABLE usage_hourly_before AS SELECT * FROM usage_hourly")
    op.drop_table("usage_hourly")
    op.create_table("usage_hourly", *_key(*_HOURLY_KEY, "rule"), *_numbers(*_HOURLY_SUMS), sqlite_with_rowid=False)
    names = ", ".join((*_HOURLY_KEY, *_HOURLY_SUMS))
    op.execute(f"INSERT INTO usage_hourly ({names}, rule) SELECT {names}, '' FROM usage_hourly_before")  # noqa: S608 - constants
    op.drop_table("usage_hourly_before")


def _key(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.BigInteger if name == "hour_us" else sa.Text, primary_key=True) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]
