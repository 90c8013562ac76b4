"""`python -m services.key_vault`."""

from __future__ import annotations

from functools import partial

from libs.rpc.service import run
from libs.rpc.settings import load_settings
from services.key_vault.app import DOMAIN, compose
from services.key_vault.settings import Settings

if __name__ == "__main__":
    settings = load_settings(Settings)
    run("key-vault", settings, partial(compose, settings), domain=DOMAIN)
