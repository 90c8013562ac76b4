"""The call being served as an act of its caller."""

from __future__ import annotations

import uuid

from libs.core.clock import Clock
from libs.rpc.authors import current_author
from services.provider_config.domain.changes import Act


def current_act(action: str, clock: Clock) -> Act:
    """The caller's `action`, an RPC's name, happening now."""
    return Act(author=current_author(), action=action, now=clock.now(), uid=str(uuid.uuid4()))
