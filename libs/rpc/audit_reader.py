"""Lists and exports an audit log: what the audit services of all areas have in common."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

from libs.core.audit_authors import Occasion
from libs.core.audit_log import Audited, begin_export, following
from libs.core.page_tokens import decode_page_token, encode_page_token, page_size
from libs.core.validation import FieldChecks
from libs.rpc.audit_messages import AuditMessages, Event, FilterMessage, Outcome, Outcome_co, chain_named
from libs.rpc.authors import current_author

T = TypeVar("T")
_SEQUENCE = re.compile(r"[1-9][0-9]{0,17}")


class ListRequest(Protocol[Outcome_co]):
    """An area's `ListAuditEventsRequest`."""

    @property
    def parent(self) -> str: ...  # noqa: D102 - the fields are described in the proto
    @property
    def page_size(self) -> int: ...  # noqa: D102
    @property
    def page_token(self) -> str: ...  # noqa: D102
    @property
    def filter(self) -> FilterMessage[Outcome_co]: ...  # noqa: D102


class ExportRequest(Protocol):
    """An area's `ExportAuditEventsRequest`."""

    @property
    def parent(self) -> str: ...  # noqa: D102 - the fields are described in the proto
    @property
    def after_sequence(self) -> int: ...  # noqa: D102


class AuditStore(Protocol):
    """A store whose transactions have an audit log."""

    async def write(self, work: Callable[[Audited], T]) -> T:
        """Run `work` in a transaction; its exception undoes everything. Raises Unavailable."""
        ...

    async def read(self, work: Callable[[Audited], T]) -> T:
        """Run `work`, which changes nothing, on one snapshot. Raises Unavailable."""
        ...


class AuditReader(Generic[Event, Outcome]):
    """Shows the chains in `store`; the interceptors have established that the caller may see the one it names."""

    def __init__(
        self, store: AuditStore, messages: AuditMessages[Event, Outcome], occasion: Callable[[], Occasion]
    ) -> None:
        self._store = store
        self._messages = messages
        self._occasion = occasion

    async def page(self, request: ListRequest[Outcome]) -> tuple[list[Event], str]:
        """A page of events, newest first, and the token of the next one. Raises InvalidArgument."""
        scope = chain_named(request.parent)
        wanted = self._messages.filter(request.filter)
        size = page_size(request.page_size)
        arguments = {"parent": request.parent, "filter": request.filter.SerializeToString(deterministic=True).hex()}
        before = event_place(decode_page_token(request.page_token, arguments))
        events = await self._store.read(
            lambda transaction: transaction.audit.page(scope, wanted, before=before, limit=size + 1)
        )
        more = encode_page_token(event_cursor(events[size - 1].sequence), arguments) if len(events) > size else ""
        return [self._messages.event(each) for each in events[:size]], more

    async def export(self, request: ExportRequest) -> AsyncIterator[list[Event]]:
        """The events in the order of their chain, some at a time; the export is an event of it. Raises InvalidArgument.

        Ends with the last event that is there when it is reached.
        """
        scope = chain_named(request.parent)
        with FieldChecks() as check:
            check.that(request.after_sequence >= 0, "after_sequence", "must not be negative")
        author, occasion, after = current_author(), self._occasion(), request.after_sequence
        await self._store.write(
            lambda transaction: begin_export(transaction, scope, author, occasion, after_sequence=after)
        )
        while events := await self._store.read(partial(following, scope, after)):
            yield [self._messages.event(each) for each in events]
            after = events[-1].sequence


def event_cursor(last_sequence: int) -> str:
    """The cursor that continues a list of audit events after the one with this sequence."""
    return str(last_sequence)


def event_place(cursor: str | None) -> int | None:
    """The sequence in a cursor, None for the first page.

    A token is bound to the other arguments by a digest that anybody can compute, so what it holds is checked like any
    other field. Raises InvalidArgument for what no list of ours ended with.
    """
    if cursor is None:
        return None
    with FieldChecks() as check:
        check.that(_SEQUENCE.fullmatch(cursor) is not None, "page_token", "is not a token this service issued")
    return int(cursor)
