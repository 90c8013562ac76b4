"""The tables of this service."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text, text

from libs.storage.idempotency import request_table
from libs.storage.types import Int64, JsonText, Money, UtcDateTime

metadata = MetaData()


def _ordered(length: int) -> String:
    """Text that sorts by code point on both databases, whatever the locale: pages go by it."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


# One row. Whoever changes anything locks it first, so changes are committed in the order of their revisions.
revisions = Table(
    "revisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Int64, nullable=False),
)

# The last change of each scope: `platform` or `tenants/{tenant}`.
scopes = Table(
    "scopes",
    metadata,
    Column("scope", String(128), primary_key=True),
    Column("revision", Int64, nullable=False, unique=True),
)

providers = Table(
    "providers",
    metadata,
    Column("uid", String(36), primary_key=True),
    Column("version", Int64, nullable=False),
    Column("scope", String(128), nullable=False, index=True),
    Column("owner", String(256), nullable=False),
    Column("id", _ordered(63), nullable=False),
    Column("type", String(64), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("key", String(63)),  # the id of a key of the same owner
    Column("default_model", String(63), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("labels", JsonText, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("snapshot_bytes", Int64, nullable=False),
    Index("ix_providers_name", "owner", "id", unique=True),
    # Promised by the API; the use cases see to it, and this stands behind them.
    Index(
        "ix_providers_default",
        "owner",
        unique=True,
        sqlite_where=text("is_default"),
        postgresql_where=text("is_default"),
    ),
)

models = Table(
    "models",
    metadata,
    Column("uid", String(36), primary_key=True),
    Column("version", Int64, nullable=False),
    Column("provider_uid", String(36), ForeignKey("providers.uid"), nullable=False),
    Column("id", _ordered(63), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("provider_model_id", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("context_tokens", Int64, nullable=False),
    Column("max_output_tokens", Int64, nullable=False),
    Column("streaming", Boolean, nullable=False),
    Column("tools", Boolean, nullable=False),
    Column("json_schema", Boolean, nullable=False),
    Column("images", Boolean, nullable=False),
    # Per token, which is the same number as micro-USD per million tokens. No price at all: input and output are NULL.
    Column("input_pico_usd", Money),
    Column("output_pico_usd", Money),
    Column("cache_read_pico_usd", Money),
    Column("cache_write_pico_usd", Money),
    Column("reasoning_pico_usd", Money),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    Column("snapshot_bytes", Int64, nullable=False),
    Index("ix_models_name", "provider_uid", "id", unique=True),
)

requests = request_table(metadata)
