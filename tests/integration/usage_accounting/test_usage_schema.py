from __future__ import annotations

from libs.storage.migrations import differences
from services.usage_accounting.storage.tables import metadata


def test_the_migrations_make_the_tables_the_code_expects(usage_url: str) -> None:
    assert differences(usage_url, metadata) == []
