"""Which models sample in their own way only.

The default is in the database, so that replicas of the release before can go on storing while they are replaced.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("models", sa.Column("fixed_sampling", sa.Boolean, nullable=False, server_default=sa.false()))
