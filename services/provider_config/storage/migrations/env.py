"""Alembic's entry."""  # noqa: INP001 - loaded by path

from libs.storage.migrations import run_revisions

run_revisions()
