"""The audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from libs.storage.audit_protection import protect
from libs.storage.types import Int64, JsonText, UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("scope", sa.String(71), primary_key=True),
        sa.Column("sequence", Int64, primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.String(36), nullable=False),
        sa.Column("time", UtcDateTime, nullable=False),
        sa.Column("actor", sa.String(512), nullable=False),
        sa.Column("roles", JsonText, nullable=False),
        sa.Column("address", sa.String(128), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.String(512), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(128), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("details", JsonText, nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_events_time", "audit_events", ["scope", "time"])
    op.create_index("ix_audit_events_actor", "audit_events", ["scope", "actor", "sequence"])
    op.create_index("ix_audit_events_target", "audit_events", ["scope", "target", "sequence"])
    op.create_table(
        "audit_heads",
        sa.Column("scope", sa.String(71), primary_key=True),
        sa.Column("sequence", Int64, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("mac", sa.String(64), nullable=False),
    )
    protect(op.get_bind(), "audit_events")
