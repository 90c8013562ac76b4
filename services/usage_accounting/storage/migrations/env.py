"""Alembic's entry point."""  # noqa: INP001 - alembic runs this file, nobody imports it

from libs.storage.migrations import run_revisions

run_revisions()
