"""Denials on their way into the audit log. Nobody who may do something waits for those who may not."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from libs.core.audit import AuditEvent
from libs.core.audit_authors import Author, audit_event, chain_of
from libs.core.clock import Clock
from libs.core.errors import Unavailable
from libs.core.resource_names import Owner
from libs.rpc.denials import Denial
from libs.telemetry import names
from libs.telemetry.logs import get_logger

_log = get_logger(__name__)
MOST_WAITING = 10_000
MOST_WAITING_OF_CHAIN = 1_000
"""One tenant that tries a lot must not crowd out what others tried."""
_MOST_TOGETHER = 200


def log_lost(count: int) -> None:
    """Write to the log that denials were dropped."""
    _log.error(names.EVENT_DENIALS_LOST, count=count)


class DenialRecorder:
    """Gathers denials and stores them together. For use from one event loop.

    `append` adds events to their chains in one transaction; it raises Unavailable while the database does not answer,
    and whatever keeps one of the events out of its chain.

    A denial stands in the chain of the tenant that tried, not of the one it reached for: a stranger must not be able to
    fill another's log. `lost` is told, whenever some were to be stored, how many were dropped since because the
    database could not keep up or does not take them into their chain.
    """

    def __init__(
        self,
        append: Callable[[Sequence[AuditEvent]], Awaitable[object]],
        clock: Clock,
        *,
        new_uid: Callable[[], str],
        lost: Callable[[int], None] = log_lost,
    ) -> None:
        self._append = append
        self._clock = clock
        self._new_uid = new_uid
        self._lost = lost
        self._waiting: deque[AuditEvent] = deque()
        self._waiting_of: Counter[str] = Counter()
        self._dropped = 0
        self._storing: asyncio.Task[None] | None = None

    async def record(self, denial: Denial) -> None:
        """Store what authorization refused: a `DenialHook`. Raises as `store` does."""
        caller = denial.caller
        author = Author(
            actor=caller.actor,
            roles=tuple(sorted(role.value for role in caller.roles)),
            address=denial.address,
            request_id=denial.request_id,
        )
        self.add(
            author,
            caller.tenant,
            action=denial.method.rpartition("/")[2],
            target=denial.resource or "",
            reason=denial.reason,
        )
        await self.store()

    def add(self, author: Author, tenant: str | None, *, action: str, target: str, reason: str) -> None:
        """A caller of `tenant` was denied `action`. It is dropped when too many wait."""
        scope = chain_of(Owner(tenant))
        if len(self._waiting) >= MOST_WAITING or self._waiting_of[scope] >= MOST_WAITING_OF_CHAIN:
            self._dropped += 1
            return
        self._waiting_of[scope] += 1
        self._waiting.append(
            audit_event(
                author,
                action,
                scope=scope,
                target=target,
                now=self._clock.now(),
                uid=self._new_uid(),
                denied_for=reason,
            )
        )

    async def store(self) -> None:
        """Store what waits, in the order it came; while the database does not answer it goes on waiting.

        It goes on also when a caller gives up, who must not take the denials of others along. Raises Unavailable, and
        whatever keeps an event out of its chain.
        """
        if self._storing is not None and not self._storing.done():
            # What came after that began is not among what it stores.
            await asyncio.wait({self._storing})
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_waiting(), name="store denials")
        await asyncio.shield(self._storing)

    async def _store_waiting(self) -> None:
        refusal: Exception | None = None
        left, to_try_alone = len(self._waiting), 0
        try:
            while left:
                events = list(islice(self._waiting, 1 if to_try_alone else min(left, _MOST_TOGETHER)))
                try:
                    await self._append(events)
                except Unavailable:
                    raise
                except Exception as error:  # noqa: BLE001 - one tenant's damaged chain keeps no other's waiting
                    if len(events) > 1:
                        to_try_alone = len(events)
                        continue
                    refusal = error
                    self._dropped += 1
                left -= len(events)
                to_try_alone = max(0, to_try_alone - 1)
                for event in events:
                    self._waiting.popleft()
                    self._waiting_of[event.scope] -= 1
                # A count of 0 says nothing: no tenant that ever tried is kept in mind.
                self._waiting_of = +self._waiting_of
        finally:
            self._tell_dropped()
        if refusal is not None:
            raise refusal

    def _tell_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._lost(dropped)
