"""Runs the service: `python -m services.key_vault`."""

from __future__ import annotations

from functools import partial

from libs.rpc.service import run
from libs.rpc.settings import load_settings
from services.key_vault import app
from services.key_vault.settings import Settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    run(app.NAME, settings, partial(app.compose, settings), domain=app.DOMAIN)
