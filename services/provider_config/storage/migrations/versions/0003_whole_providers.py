"""What a provider and its models may say, their versions, and the tests of providers.

New columns have defaults in the database, so that replicas of the release before can go on storing while they are
replaced one by one.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from libs.storage.types import Int64, JsonText, UtcDateTime

revision = "0003"
down_revision = "0002"

_KEPT = (
    "display_name", "description", "base_url", "default_model", "active", "is_default", "priority",
)  # fmt: skip
_PROVIDERS = sa.table(
    "providers",
    sa.column("active", sa.Boolean),
    sa.column("is_default", sa.Boolean),
    sa.column("labels", JsonText),
    sa.column("update_time", UtcDateTime),
    *map(sa.column, ("uid", "version", "owner", "display_name", "description", "base_url", "key", "default_model")),
    *map(sa.column, ("priority", "created_by")),
)
_CAPABILITIES = ("audio", "documents", "reasoning", "embeddings")


def upgrade() -> None:
    for column in (
        sa.Column("weight", sa.Integer),
        sa.Column("default_for_tasks", JsonText, nullable=False, server_default="[]"),
        sa.Column("limits", JsonText, nullable=False, server_default="{}"),
        sa.Column("timeouts", JsonText, nullable=False, server_default="{}"),
        sa.Column("max_retries", sa.Integer),
        sa.Column("default_temperature", sa.Double),
        sa.Column("default_max_output_tokens", sa.Integer),
        sa.Column("options", JsonText, nullable=False, server_default="{}"),
        sa.Column("last_test", JsonText),
    ):
        op.add_column("providers", column)
    for name in _CAPABILITIES:
        op.add_column("models", sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false()))
    # The messages of both may be longer than before by what is new in them.
    op.execute("UPDATE providers SET snapshot_bytes = snapshot_bytes + 620")
    op.execute("UPDATE models SET snapshot_bytes = snapshot_bytes + 60")
    op.create_table(
        "task_defaults",
        sa.Column("owner", sa.String(256), primary_key=True),
        sa.Column("task", sa.String(63), primary_key=True),
        sa.Column("provider_uid", sa.String(36), sa.ForeignKey("providers.uid"), nullable=False, index=True),
    )
    versions = op.create_table(
        "versions",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("uid", sa.String(36), primary_key=True),
        sa.Column("version", Int64, primary_key=True, autoincrement=False),
        sa.Column("changed_by", sa.String(512), nullable=False),
        sa.Column("change_time", UtcDateTime, nullable=False),
        sa.Column("settings", JsonText, nullable=False),
    )
    for row in op.get_bind().execute(sa.select(_PROVIDERS)).all():
        op.get_bind().execute(sa.insert(versions).values(**_present_version(row)))


def _present_version(row: sa.Row[Any]) -> dict[str, Any]:
    """What a provider is now, as its first version that is kept. Who made it so is known of the very first only."""
    return {
        "kind": "provider",
        "uid": row.uid,
        "version": row.version,
        "changed_by": row.created_by if row.version == 1 else "",
        "change_time": row.update_time,
        "settings": {
            **{name: getattr(row, name) for name in _KEPT},
            "key": None if row.key is None else f"{row.owner}/keys/{row.key}",
            "labels": row.labels,
        },
    }
