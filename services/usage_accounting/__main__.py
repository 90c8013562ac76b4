"""Runs the service: `python -m services.usage_accounting`."""

from __future__ import annotations

from functools import partial

from libs.rpc.service import run
from libs.rpc.settings import load_settings
from services.usage_accounting import app
from services.usage_accounting.settings import Settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    run(app.NAME, settings, partial(app.compose, settings), domain=app.DOMAIN)
