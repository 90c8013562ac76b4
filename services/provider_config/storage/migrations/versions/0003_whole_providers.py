"""What a provider and its models may say, their versions, and the tests of providers."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    pass
