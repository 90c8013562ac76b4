"""Which providers are being tried, or were just now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from libs.storage.types import UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "provider_tests",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("uid", sa.String(36)),
        sa.Column("until", UtcDateTime, nullable=False),
    )
    op.create_index("ix_provider_tests_until", "provider_tests", ["until"])
