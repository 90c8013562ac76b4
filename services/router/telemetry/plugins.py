"""What goes wrong in plugins, as logs and metrics; never what it was about."""

from __future__ import annotations

import time

from libs.telemetry import names
from libs.telemetry.logs import get_logger
from libs.telemetry.telemetry import Telemetry
from services.router.providers.guarded.guard import PluginFailure, Report
from services.router.telemetry.lately import Lately

_log = get_logger(__name__)


def plugin_failures(telemetry: Telemetry) -> Report:
    """Logs each kind of failure at most once a minute, and counts all."""
    lately = Lately()

    def report(failure: PluginFailure) -> None:
        telemetry.instruments.plugin_failures.add(1, {names.ATTR_PLUGIN: failure.plugin})
        if lately.is_news((failure.plugin, failure.part, failure.error), time.monotonic()):
            _log.error(
                names.EVENT_PLUGIN_FAILED,
                plugin=failure.plugin,
                part=failure.part,
                error=failure.error,
                frames=list(failure.frames),
            )

    return report
