"""The call being served as an act of its caller."""

from __future__ import annotations

import uuid

from libs.core.clock import Clock
from libs.core.secret import Secret
from libs.rpc.authors import current_author
from libs.rpc.context import current
from services.provider_config.domain.changes import Act


def current_token() -> Secret:
    """The token that the call being served was made with, to be forwarded. Raises LookupError for a service's call."""
    token = current().caller.token
    if token is None:
        raise LookupError("a service has no token")
    return token


def current_act(action: str, clock: Clock) -> Act:
    """The caller's `action`, an RPC's name, happening now."""
    return Act(author=current_author(), action=action, now=clock.now(), uid=str(uuid.uuid4()))
