"""Runs the service: `python -m services.provider_config`."""

from __future__ import annotations

from functools import partial

from libs.rpc.service import run
from libs.rpc.settings import load_settings
from services.provider_config import app
from services.provider_config.settings import Settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    run(app.NAME, settings, partial(app.compose, settings), domain=app.DOMAIN, longest_s=app.LONGEST_S)
