"""Tells the operator which plugins a service runs with, and which it left out."""

from __future__ import annotations

from libs.plugins.loading import InstalledPlugins
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from libs.telemetry.telemetry import Telemetry

_log = get_logger(__name__)


def tell(found: InstalledPlugins, telemetry: Telemetry) -> None:
    """Log every plugin, once, and count them for as long as the service runs."""
    for loaded in found.loaded:
        _log.info(names.EVENT_PLUGIN_LOADED, plugin=loaded.source, type=loaded.plugin.type.id)
        _count(telemetry, loaded.source, "loaded")
    for refused in found.refused:
        _log.error(names.EVENT_PLUGIN_REFUSED, plugin=refused.source, problem=refused.problem)
        _count(telemetry, refused.source, "refused")


def _count(telemetry: Telemetry, source: str, outcome: str) -> None:
    telemetry.instruments.plugins.add(1, {names.ATTR_PLUGIN: source, names.ATTR_PLUGIN_OUTCOME: outcome})
