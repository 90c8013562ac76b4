"""Routes, preferences, profiles, policies, and what changed when."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from libs.storage.types import Int64, JsonText, UtcDateTime

revision = "0004"
down_revision = "0003"


def _ordered() -> sa.String:
    return sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")


def upgrade() -> None:
    _create_routes()
    _create_preferences()
    op.create_table(
        "provider_references",
        sa.Column("resource", sa.String(256), primary_key=True),
        sa.Column("provider", sa.String(256), primary_key=True),
        sa.Column("model", sa.String(63), primary_key=True),
    )
    op.create_index("ix_provider_references_provider", "provider_references", ["provider", "model"])


def _create_routes() -> None:
    op.create_table(
        "routes",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("version", Int64, nullable=False),
        sa.Column("scope", sa.String(128), nullable=False),
        sa.Column("id", _ordered(), nullable=False),
        sa.Column("fallback", sa.String(63)),
        sa.Column("settings", JsonText, nullable=False),
        sa.Column("created_by", sa.String(256), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
        sa.Column("snapshot_bytes", Int64, nullable=False),
    )
    op.create_index("ix_routes_name", "routes", ["scope", "id"], unique=True)
    op.create_table(
        "routing_policies",
        sa.Column("scope", sa.String(128), primary_key=True),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("version", Int64, nullable=False),
        sa.Column("platform_fallback", sa.String(16), nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
    )


def _create_preferences() -> None:
    op.create_table(
        "preferences",
        sa.Column("owner", sa.String(256), primary_key=True),
        sa.Column("scope", sa.String(128), nullable=False, index=True),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("version", Int64, nullable=False),
        sa.Column("settings", JsonText, nullable=False),
        sa.Column("active_profile", sa.String(63)),
        sa.Column("update_time", UtcDateTime, nullable=False),
        sa.Column("snapshot_bytes", Int64, nullable=False),
    )
    op.create_table(
        "profiles",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("version", Int64, nullable=False),
        sa.Column("scope", sa.String(128), nullable=False, index=True),
        sa.Column("owner", sa.String(256), nullable=False),
        sa.Column("id", _ordered(), nullable=False),
        sa.Column("settings", JsonText, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
        sa.Column("snapshot_bytes", Int64, nullable=False),
    )
    op.create_index("ix_profiles_name", "profiles", ["owner", "id"], unique=True)
