"""Keys, the ciphertexts of their versions, and remembered requests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from libs.storage.types import Int64, JsonText, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.String(63).with_variant(sa.String(63, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "keys",
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("tenant", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("key_id", _ID, nullable=False),
        sa.Column("revision", Int64, nullable=False),
        sa.Column("provider_type", sa.String(63), nullable=False),
        sa.Column("origin", sa.String(300), nullable=False),
        sa.Column("display_name", sa.String(200), nullable=False),
        sa.Column("labels", JsonText, nullable=False),
        sa.Column("mask", sa.String(16), nullable=False),
        sa.Column("fingerprint", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("update_time", UtcDateTime, nullable=False),
        sa.Column("rotate_time", UtcDateTime, nullable=True),
    )
    op.create_index("ix_keys_owner", "keys", ["tenant", "user_id", "key_id"])
    op.create_table(
        "key_versions",
        sa.Column("key_uid", sa.String(36), sa.ForeignKey("keys.uid", ondelete="CASCADE"), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("ciphertext", sa.Text, nullable=False),
    )
    op.create_table(
        "remembered_requests",
        sa.Column("scope", sa.String(512), primary_key=True),
        sa.Column("method", sa.String(200), primary_key=True),
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=False),
    )
    op.create_index("ix_remembered_requests_expire_time", "remembered_requests", ["expire_time"])
