"""The ledger as calls see it: reservations go straight through, settlements by way of the spool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from gatehouse.usage.v1 import ledger_service_pb2 as pb

from libs.core.errors import ErrorKind, GatehouseError
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.router.clients.usage import UsageClient, attempt_key, settlement_to_pb
from services.router.domain.accounting import Reservation, Settlement
from services.router.domain.ports import ReserveResult
from services.router.spool.segment import Record, RecordKind
from services.router.spool.spool import Entry, Spool

_log = get_logger(__name__)
_MAX_BATCH = 256
_LINGER_S = 0.05
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
# What a later try may mend; anything else the ledger will never take.
_PASSING = frozenset(
    {ErrorKind.UNAVAILABLE, ErrorKind.DEADLINE_EXCEEDED, ErrorKind.CANCELLED, ErrorKind.ABORTED, ErrorKind.INTERNAL}
)


class SpooledLedger:
    """A `ports.Ledger`. `run` drains the spool until it is cancelled."""

    def __init__(self, spool: Spool, usage: UsageClient) -> None:
        self._spool = spool
        self._usage = usage
        self._appended = asyncio.Event()
        self._drained = asyncio.Event()
        if spool.pending:
            self._appended.set()
        else:
            self._drained.set()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="spool-sync")

    @property
    def accepting(self) -> bool:
        """Whether more usage can be recorded durably."""
        return self._spool.accepting

    def reserve(self, reservation: Reservation) -> asyncio.Future[ReserveResult]:
        """Reserve for one attempt."""
        return self._usage.reserve(reservation)

    def settle(self, settlement: Settlement) -> None:
        """Record how an attempt ended."""
        self._append(Record(RecordKind.SETTLE, settlement_to_pb(settlement).SerializeToString()))

    def release(self, reservation: Reservation) -> None:
        """Record that a reserved attempt was never sent."""
        self._append(Record(RecordKind.RELEASE, attempt_key(reservation).SerializeToString()))

    async def run(self) -> None:
        """Drain the spool until cancelled: the disk first, the network second. No failure ends it."""
        pause_s = _FIRST_PAUSE_S
        while True:
            await self._appended.wait()
            self._appended.clear()
            # Nobody waits for a settlement; company makes it cheaper for the disk, the network and the ledger.
            await asyncio.sleep(_LINGER_S)
            # Appending wakes this loop again, so what comes in between is not missed. What the disk did not take counts
            # too: only this loop tries it again when no call comes to append.
            while self._spool.pending:
                try:
                    await self._drain_once()
                except Exception as error:  # noqa: BLE001 - usage must reach the ledger whatever failed once
                    self._report(error)
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                else:
                    pause_s = _FIRST_PAUSE_S
            self._drained.set()

    async def _drain_once(self) -> None:
        entries = self._spool.waiting(_MAX_BATCH)
        if not entries:
            raise OSError("the disk takes no usage")
        await asyncio.get_running_loop().run_in_executor(self._disk, self._spool.sync)
        await self._send(entries)
        self._spool.acknowledge(len(entries))

    def _report(self, error: Exception) -> None:
        pending = self._spool.pending
        if isinstance(error, GatehouseError):
            _log.warning(names.EVENT_DEPENDENCY_LOST, dependency="usage-accounting", reason=error.reason, count=pending)
        elif isinstance(error, OSError):
            _log.error(names.EVENT_SPOOL_UNWRITABLE, errno=error.errno, count=pending)
        else:
            _log.error(names.EVENT_UNCAUGHT, exc_info=error, count=pending)

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything is in the ledger, at most `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._drained.wait()
        except TimeoutError:
            _log.warning(names.EVENT_DEPENDENCY_LOST, dependency="usage-accounting", count=self._spool.pending)

    def close(self) -> None:
        """Let go of the spool; what waits is sent after the next start."""
        self._disk.shutdown()
        self._spool.close()

    def _append(self, record: Record) -> None:
        self._spool.append(record)
        self._drained.clear()
        self._appended.set()

    async def _send(self, entries: Sequence[Entry]) -> None:
        settling = [entry for entry in entries if entry.record.kind is RecordKind.SETTLE]
        releasing = [entry for entry in entries if entry.record.kind is RecordKind.RELEASE]
        if releasing:
            await self._usage.release([pb.AttemptKey.FromString(entry.record.payload) for entry in releasing])
        if settling:
            errors = await self._usage.settle([pb.Settlement.FromString(entry.record.payload) for entry in settling])
            results = list(zip(settling, errors, strict=True))
            # First what may pass: the whole batch is sent again then, and nothing must be put aside twice.
            for _, error in results:
                if error is not None and error.kind in _PASSING:
                    raise error
            for entry, error in results:
                if error is not None:
                    self._spool.reject(entry, error.reason)
