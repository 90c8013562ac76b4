"""gatehouse.usage.v1.LedgerService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from gatehouse.usage.v1 import ledger_service_pb2 as pb
from gatehouse.usage.v1.ledger_service_pb2_grpc import LedgerServiceServicer

from libs.core.errors import GatehouseError, InvalidArgument
from services.usage_accounting.api import convert, read_ledger
from services.usage_accounting.domain.ports import Prices, UsageStore
from services.usage_accounting.domain.release_usage import release_usage
from services.usage_accounting.domain.reserve_usage import reserve_usage
from services.usage_accounting.domain.settle_usage import settle_usage
from services.usage_accounting.domain.windows import WindowCalendar

Item = TypeVar("Item")
Done = TypeVar("Done")


class LedgerServicer(LedgerServiceServicer):
    """Reserves, settles and releases. `domain` is that of the errors inside results."""

    def __init__(self, store: UsageStore, *, prices: Prices, calendar: WindowCalendar, domain: str) -> None:
        self._store = store
        self._prices = prices
        self._calendar = calendar
        self._domain = domain

    async def ReserveUsage(self, request: pb.ReserveUsageRequest, _context: object) -> pb.ReserveUsageResponse:
        """Reserve quota for attempts."""
        results = await _through(
            read_ledger.each(request.items, read_ledger.reservation),
            lambda items: reserve_usage(self._store, self._prices, self._calendar, items),
        )
        return convert.reserve_response(results, domain=self._domain)

    async def SettleUsage(self, request: pb.SettleUsageRequest, _context: object) -> pb.SettleUsageResponse:
        """Settle attempts."""
        results = await _through(
            read_ledger.each(request.items, read_ledger.settlement),
            lambda items: settle_usage(self._store, self._calendar, items),
        )
        return convert.settle_response(results, domain=self._domain)

    async def ReleaseUsage(self, request: pb.ReleaseUsageRequest, _context: object) -> pb.ReleaseUsageResponse:
        """Give reservations back."""
        released = await release_usage(self._store, read_ledger.release_keys(request))
        return pb.ReleaseUsageResponse(results=[pb.ReleaseUsageResult(released=each) for each in released])


async def _through(
    read: Sequence[Item | InvalidArgument],
    act: Callable[[list[Item]], Awaitable[Sequence[Done | GatehouseError]]],
) -> list[Done | GatehouseError]:
    """`act` on the items that are sound; the others keep their errors, and all their places."""
    sound = [item for item in read if not isinstance(item, InvalidArgument)]
    done = iter(await act(sound) if sound else ())
    return [item if isinstance(item, InvalidArgument) else next(done) for item in read]
