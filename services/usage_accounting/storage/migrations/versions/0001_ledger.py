"""Reservations, the ledger and its hourly sums, quotas and their windows, remembered requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _dimensions() -> list[sa.Column[str]]:
    names = (
        "user_id", "provider", "provider_type", "model", "provider_model_id", "key_name", "task", "plan",
        "request_id", "labels",
    )  # fmt: skip
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _tokens() -> list[sa.Column[int]]:
    return _numbers("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def upgrade() -> None:
    op.create_table(
        "reservations",
        sa.Column("operation_id", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.Text, primary_key=True),
        *_dimensions(),
        *_numbers("input_tokens_estimate", "output_tokens_limit"),
        sa.Column("price", sa.Text),
        sa.Column("holds", sa.Text, nullable=False),
        *_numbers("reserved_us", "lapse_us"),
    )
    op.create_index("ix_reservations_lapse_us", "reservations", ["lapse_us"])
    op.create_table(
        "ledger_events",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("correction", sa.SmallInteger, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("operation_id", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        *_dimensions(),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        *_tokens(),
        sa.Column("token_source", sa.SmallInteger, nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger),
        sa.Column("price", sa.Text),
        sa.Column("finish_reason", sa.Text, nullable=False),
        sa.Column("error_reason", sa.Text, nullable=False),
        sa.Column("fallback", sa.SmallInteger, nullable=False),
        sa.Column("start_us", sa.BigInteger, nullable=False),
        sa.Column("duration_us", sa.BigInteger),
        sa.Column("first_content_us", sa.BigInteger),
        sa.Column("record_us", sa.BigInteger, nullable=False),
        sa.Column("counted", sa.Text),
    )
    op.create_index(
        "uq_ledger_events_attempt", "ledger_events", ["operation_id", "attempt", "tenant", "correction"], unique=True
    )
    op.create_index("ix_ledger_events_tenant_time", "ledger_events", ["tenant", "start_us", "sequence"])
    op.create_index("ix_ledger_events_user_time", "ledger_events", ["tenant", "user_id", "start_us", "sequence"])
    op.create_table(
        "usage_hourly",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("hour_us", sa.BigInteger, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("key_name", sa.Text, primary_key=True),
        sa.Column("task", sa.Text, primary_key=True),
        *_numbers("attempts", "succeeded", "fallbacks"),
        *_tokens(),
        *_numbers("cost_nano_usd", "unpriced_attempts", "timed_attempts", "duration_us"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quotas",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("quota_id", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), primary_key=True),
        sa.Column("uid", sa.Text, nullable=False, unique=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("metric", sa.SmallInteger, nullable=False),
        sa.Column("period", sa.SmallInteger, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        *_numbers("most", "create_us", "update_us"),
    )
    op.create_table(
        "quota_windows",
        sa.Column("quota_uid", sa.Text, primary_key=True),
        sa.Column("start_us", sa.BigInteger, primary_key=True, autoincrement=False),
        *_numbers("used", "held"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "remembered_requests",
        sa.Column("scope", sa.String(512), primary_key=True),
        sa.Column("method", sa.String(200), primary_key=True),
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("expire_time", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_remembered_requests_expire_time", "remembered_requests", ["expire_time"])
