"""What this router sends to a provider at most: calls and tokens within a minute, and calls at the same time.

Each router counts for itself; so the limits are the provider's share of each router, as `ProviderLimits` says.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

from services.router.domain.configuration import Provider, ProviderLimits

WINDOW_S = 60
# Providers whose counts are kept; beyond that the one goes that was called longest ago and has no call under way.
_MAX_TRACKED = 20_000


class Exceeded(NamedTuple):
    """A limit that leaves no room: `words` are put together with `values` for people."""

    words: str
    values: tuple[object, ...]


class _Count:
    """What one provider got. `seconds` are [second, calls, tokens], oldest first; the sums are over all of them."""

    __slots__ = ("calls", "seconds", "tokens", "under_way")

    def __init__(self) -> None:
        self.seconds: deque[list[int]] = deque()
        self.calls = 0
        self.tokens = 0
        self.under_way = 0

    def move(self, second: int) -> None:
        """Forget what is older than the window; a second that lies half in it counts."""
        while self.seconds and self.seconds[0][0] < second - WINDOW_S:
            _, calls, tokens = self.seconds.popleft()
            self.calls -= calls
            self.tokens -= tokens


class Ticket:
    """A call that counts; ends once."""

    __slots__ = ("count", "entry", "tokens")

    def __init__(self, count: _Count, entry: list[int], tokens: int) -> None:
        self.count = count
        self.entry = entry
        self.tokens = tokens


class ProviderLimiter:
    """Counts the calls to providers with limits. For use from one event loop; times are monotonic seconds."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def exceeded(self, provider: Provider, limits: ProviderLimits, tokens: int, now: float) -> Exceeded | None:
        """The limit that leaves no room for a call of at most `tokens` input and output tokens."""
        count = self._counts.get(provider.name)
        if count is not None:
            count.move(int(now))
            if limits.concurrent_requests and count.under_way >= limits.concurrent_requests:
                return Exceeded("it is at its limit of {:,} calls at the same time", (limits.concurrent_requests,))
            if limits.requests_per_minute and count.calls >= limits.requests_per_minute:
                return Exceeded("it is at its limit of {:,} calls a minute", (limits.requests_per_minute,))
        used = count.tokens if count is not None else 0
        if limits.tokens_per_minute and used + tokens > limits.tokens_per_minute:
            return Exceeded(
                "the call may take {:,} tokens, and of its limit of {:,} a minute {:,} are left",
                (tokens, limits.tokens_per_minute, max(0, limits.tokens_per_minute - used)),
            )
        return None

    def begin(self, provider: Provider, tokens: int, now: float) -> Ticket:
        """A call to a provider with limits begins; it may take `tokens`."""
        count = self._counts.get(provider.name)
        if count is None:
            count = self._counts[provider.name] = _Count()
            self._bound()
        else:
            self._counts.move_to_end(provider.name)
        second = int(now)
        if not count.seconds or count.seconds[-1][0] != second:
            count.seconds.append([second, 0, 0])
        entry = count.seconds[-1]
        entry[1] += 1
        entry[2] += tokens
        count.calls += 1
        count.tokens += tokens
        count.under_way += 1
        return Ticket(count, entry, tokens)

    def end(self, ticket: Ticket, tokens: int, now: float) -> None:
        """The call ended and took `tokens`; it counts by them from now on, as of when it began."""
        count, entry = ticket.count, ticket.entry
        count.under_way -= 1
        count.move(int(now))
        if count.seconds and entry[0] >= count.seconds[0][0]:
            entry[2] += tokens - ticket.tokens
            count.tokens += tokens - ticket.tokens

    def withdraw(self, ticket: Ticket, now: float) -> None:
        """The call was never sent: it does not count."""
        count, entry = ticket.count, ticket.entry
        self.end(ticket, 0, now)
        if count.seconds and entry[0] >= count.seconds[0][0]:
            entry[1] -= 1
            count.calls -= 1

    def _bound(self) -> None:
        if len(self._counts) > _MAX_TRACKED:
            idle = next((name for name, count in self._counts.items() if not count.under_way), None)
            if idle is not None:
                del self._counts[idle]
