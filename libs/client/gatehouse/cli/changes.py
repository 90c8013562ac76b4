"""Changes that are made once, however often they have to be sent."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import TypeVar

from gatehouse.advice import CONNECTION_FAILED
from gatehouse.cli.terminal import note
from gatehouse.errors import DeadlineExceeded, GatehouseError, Unavailable

T = TypeVar("T")

# A service that is being restarted is back within seconds; a call that gets no answer takes 30 s by itself.
_GIVE_UP_AFTER_S = 45.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 4.0


def change(send: Callable[[str], T]) -> T:
    """What `send` gives, which makes a change under the request id it is handed.

    When the connection breaks or no answer comes in time, nobody knows whether the change was made: it is sent again
    under the same id, by which the server recognises it. Raises GatehouseError.
    """
    request_id = str(uuid.uuid4())
    give_up_at = time.monotonic() + _GIVE_UP_AFTER_S
    attempts = 0
    while True:
        try:
            return send(request_id)
        except (Unavailable, DeadlineExceeded) as error:
            if not _may_have_arrived(error, first=attempts == 0):
                raise
            if time.monotonic() >= give_up_at:
                note("it is not known whether this was done: look before you repeat it", "yellow")
                raise
        note("no answer came; sending the same request again, which does nothing twice")
        time.sleep(min(_FIRST_PAUSE_S * 2**attempts, _LONGEST_PAUSE_S))
        attempts += 1


def _may_have_arrived(error: GatehouseError, *, first: bool) -> bool:
    if isinstance(error, DeadlineExceeded):
        return True
    if error.reason != CONNECTION_FAILED:
        return False  # the server's own answer: it did nothing
    return not (first and _was_never_sent(error))


def _was_never_sent(error: GatehouseError) -> bool:
    # gRPC tells it by these words only.
    details = getattr(error.__cause__, "details", str)
    return "failed to connect" in (details() or "").lower()
