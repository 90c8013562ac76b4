"""The line in the service's own log that says that the configuration changed."""

from __future__ import annotations

from libs.telemetry import names
from libs.telemetry.logs import get_logger

_log = get_logger(__name__)


def log_change(name: str, revision: int, *, stored: bool = True) -> None:
    """Say that what is called `name` changed; nothing for revision 0, where the request only asked whether it would."""
    if revision and stored:
        _log.info(names.EVENT_CONFIG_CHANGED, **{names.FIELD_RESOURCE: name, names.FIELD_REVISION: revision})
