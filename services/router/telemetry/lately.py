"""What was said lately, so that a log does not say the same thing with every call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

PERIOD_S = 60.0
_MOST = 10_000


class Lately:
    """Tells what is said for the first time within a minute. Remembers the newest 10,000 things."""

    def __init__(self) -> None:
        self._said: OrderedDict[Hashable, float] = OrderedDict()

    def is_news(self, what: Hashable, now: float) -> bool:
        """Whether `what` was not news within the minute before `now`, in monotonic seconds; then it is now."""
        said = self._said.get(what)
        if said is not None and now - said < PERIOD_S:
            return False
        self._said[what] = now
        self._said.move_to_end(what)
        if len(self._said) > _MOST:
            self._said.popitem(last=False)
        return True
