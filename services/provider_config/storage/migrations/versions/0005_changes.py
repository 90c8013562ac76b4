"""What changed when, by name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("scope", sa.String(128), primary_key=True),
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_changes_revision", "changes", ["scope", "revision"])
    # What changed before this is not known by name. A replica of the version before this one, which may go on until all
    # are replaced, leaves the defaults as they are.
    op.add_column("scopes", sa.Column("floor", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("scopes", sa.Column("noted", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE scopes SET floor = revision, noted = revision")
    op.add_column("revisions", sa.Column("floor", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("revisions", sa.Column("content", sa.String(64), nullable=False, server_default=""))
