"""Denials on their way into the audit log. Nobody who may do something waits for those who may not."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from libs.core.audit import AuditEvent
from libs.core.audit_authors import Author, audit_event, chain_of
from libs.core.clock import Clock
from libs.core.errors import Unavailable
from libs.core.resource_names import KeyName, Owner
from services.key_vault.domain.errors import Reason
from services.key_vault.domain.permission import Bearer
from services.key_vault.domain.ports import KeyStore, KeyTransaction

MOST_WAITING = 10_000
MOST_WAITING_OF_CHAIN = 1_000
"""One tenant that tries a lot must not crowd out what others tried."""
_MOST_TOGETHER = 200


class DenialRecorder:
    """Gathers denials and stores them together. For use from one event loop.

    A denial stands in the chain of the tenant that tried, not of the one it reached for: a stranger must not be able to
    fill another's log. `lost` is told, whenever some were to be stored, how many were dropped since because the
    database could not keep up or does not take them into their chain.
    """

    def __init__(
        self, store: KeyStore, clock: Clock, *, new_uid: Callable[[], str], lost: Callable[[int], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._new_uid = new_uid
        self._lost = lost
        self._waiting: deque[AuditEvent] = deque()
        self._waiting_of: Counter[str] = Counter()
        self._dropped = 0
        self._storing: asyncio.Task[None] | None = None

    def key_access(self, bearer: Bearer, name: KeyName, request_id: str) -> None:
        """A call of `bearer` was to be made with a key that is not for it."""
        author = Author(actor=bearer.actor, roles=bearer.roles, request_id=request_id)
        self.add(author, bearer.tenant, action="AccessKeys", target=str(name), reason=Reason.PERMISSION_DENIED)

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
                    await self._store.write(partial(_append, events))
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


def _append(events: Sequence[AuditEvent], transaction: KeyTransaction) -> None:
    for event in events:
        transaction.audit.append(event)
