"""Providers, models, revisions and remembered requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _ordered() -> sa.String:
    return sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")


def upgrade() -> None:
    revisions = op.create_table(
        "revisions",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(revisions, [{"id": 1, "revision": 0}])
    op.create_table(
        "scopes",
        sa.Column("scope", sa.String(128), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False, unique=True),
    )
    op.create_table(
        "providers",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("scope", sa.String(128), nullable=False, index=True),
        sa.Column("owner", sa.String(256), nullable=False),
        sa.Column("id", _ordered(), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("base_url", sa.Text, nullable=False),
        sa.Column("key", sa.String(63)),
        sa.Column("default_model", sa.String(63), nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("created_by", sa.String(256), nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.Column("snapshot_bytes", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_providers_name", "providers", ["owner", "id"], unique=True)
    op.create_index(
        "ix_providers_default",
        "providers",
        ["owner"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_table(
        "models",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("provider_uid", sa.String(36), sa.ForeignKey("providers.uid"), nullable=False),
        sa.Column("id", _ordered(), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("provider_model_id", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("context_tokens", sa.BigInteger, nullable=False),
        sa.Column("max_output_tokens", sa.BigInteger, nullable=False),
        sa.Column("streaming", sa.Boolean, nullable=False),
        sa.Column("tools", sa.Boolean, nullable=False),
        sa.Column("json_schema", sa.Boolean, nullable=False),
        sa.Column("images", sa.Boolean, nullable=False),
        sa.Column("input_pico_usd", sa.BigInteger),
        sa.Column("output_pico_usd", sa.BigInteger),
        sa.Column("cache_read_pico_usd", sa.BigInteger),
        sa.Column("cache_write_pico_usd", sa.BigInteger),
        sa.Column("reasoning_pico_usd", sa.BigInteger),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.Column("snapshot_bytes", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_models_name", "models", ["provider_uid", "id"], unique=True)
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
