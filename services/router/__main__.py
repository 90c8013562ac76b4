"""`python -m services.router`: serve until SIGTERM. `services/router/settings.py` lists the environment variables."""

from __future__ import annotations

from functools import partial

from libs.rpc.service import run
from libs.rpc.settings import load_settings
from services.router import app
from services.router.settings import Settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    run("router", settings, partial(app.compose, settings), domain=app.DOMAIN, longest_s=app.longest_s(settings))
