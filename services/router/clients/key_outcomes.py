"""How providers took the keys, told to key_vault: summed up in memory, sent in batches, never in the way of a call."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import grpc
from gatehouse.keyvault.v1 import key_access_service_pb2 as pb
from gatehouse.keyvault.v1.key_access_service_pb2_grpc import KeyAccessServiceStub
from google.protobuf.timestamp_pb2 import Timestamp

from libs.core.errors import ErrorKind, GatehouseError
from libs.rpc.status import from_rpc_error
from libs.telemetry import names
from libs.telemetry.logs import get_logger

MAX_TRACKED = 100_000
"""Keys remembered while key_vault is away; beyond that those go that have waited longest. About 35 MB."""

_log = get_logger(__name__)
# gatehouse.keyvault.v1.ReportKeyOutcomesRequest.outcomes
_MAX_BATCH = 1000
# Anything else is about the batch itself and would hold up all others for ever. The next call tells the same again.
_PASSING = frozenset(
    {
        ErrorKind.UNAVAILABLE,
        ErrorKind.DEADLINE_EXCEEDED,
        ErrorKind.CANCELLED,
        ErrorKind.ABORTED,
        ErrorKind.RESOURCE_EXHAUSTED,
    }
)

_Version = tuple[str, int]
"""(key's resource name, version)"""


@dataclass(slots=True)
class _Times:
    """The latest of each, in seconds since 1970; 0 for never."""

    use: float
    success: float = 0.0
    rejection: float = 0.0
    exhaustion: float = 0.0


class KeyOutcomeReporter:
    """A `ports.KeyOutcomes`. `run` sends what has gathered every `interval_s` seconds until it is cancelled."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout_s: float, interval_s: float) -> None:
        self._access = KeyAccessServiceStub(channel)
        self._timeout_s = timeout_s
        self._interval_s = interval_s
        self._gathered: OrderedDict[_Version, _Times] = OrderedDict()
        self._connected = True

    def used(self, key: str, version: int, sent_time: float) -> None:
        """The key was sent; what came of it says nothing about the key."""
        self._times(key, version, sent_time)

    def succeeded(self, key: str, version: int, sent_time: float) -> None:
        """The provider answered to the end."""
        times = self._times(key, version, sent_time)
        # Calls end in another order than they were sent.
        times.success = max(times.success, sent_time)

    def rejected(self, key: str, version: int, sent_time: float, refusal_time: float) -> None:
        """The provider refused the key itself."""
        times = self._times(key, version, sent_time)
        times.rejection = max(times.rejection, refusal_time)

    def exhausted(self, key: str, version: int, sent_time: float, refusal_time: float) -> None:
        """The provider said that the credit or quota of the key's account is used up."""
        times = self._times(key, version, sent_time)
        times.exhaustion = max(times.exhaustion, refusal_time)

    async def run(self) -> None:
        """Send what has gathered, again and again, until cancelled. No failure ends it."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._send_gathered()
            except Exception as error:  # noqa: BLE001 - outcomes must go on being told whatever failed once
                self._report(error)

    async def drain(self, timeout_s: float) -> None:
        """Send what has gathered once more, within `timeout_s`; what cannot be sent is lost with the process."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._send_gathered()
        except (GatehouseError, TimeoutError) as error:
            self._report(error)

    def _times(self, key: str, version: int, sent_time: float) -> _Times:
        times = self._gathered.get((key, version))
        if times is None:
            times = self._gathered[key, version] = _Times(sent_time)
            self._bound()
        elif sent_time > times.use:
            times.use = sent_time
        return times

    def _bound(self) -> None:
        while len(self._gathered) > MAX_TRACKED:
            self._gathered.popitem(last=False)

    async def _send_gathered(self) -> None:
        """Send what there is now, longest waiting first. Raises GatehouseError; what was not taken is kept then."""
        left = len(self._gathered)
        while left > 0 and self._gathered:
            batch = [self._gathered.popitem(last=False) for _ in range(min(_MAX_BATCH, len(self._gathered)))]
            left -= len(batch)
            try:
                await self._send(batch)
            except GatehouseError as error:
                if error.kind in _PASSING:
                    self._keep(batch)
                    raise
                _log.error(names.EVENT_KEY_OUTCOMES_DROPPED, reason=error.reason, count=len(batch))
            except BaseException:
                self._keep(batch)
                raise
            if not self._connected:
                self._connected = True
                _log.info(names.EVENT_DEPENDENCY_BACK, dependency="key-vault")

    async def _send(self, batch: list[tuple[_Version, _Times]]) -> None:
        request = pb.ReportKeyOutcomesRequest(outcomes=[_outcome_to_pb(*each) for each in batch])
        try:
            await self._access.ReportKeyOutcomes(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, service="key-vault") from None

    def _keep(self, batch: list[tuple[_Version, _Times]]) -> None:
        """Put a batch back in front, merged with what has come since."""
        for version, times in reversed(batch):
            newer = self._gathered.get(version)
            self._gathered[version] = times if newer is None else _latest(times, newer)
            self._gathered.move_to_end(version, last=False)
        self._bound()

    def _report(self, error: Exception) -> None:
        if not isinstance(error, GatehouseError | TimeoutError):
            _log.error(names.EVENT_UNCAUGHT, exc_info=error)
        elif self._connected:
            # Once for each loss, not for each try.
            self._connected = False
            reason = error.reason if isinstance(error, GatehouseError) else type(error).__name__
            _log.warning(names.EVENT_DEPENDENCY_LOST, dependency="key-vault", reason=reason, count=len(self._gathered))


def _latest(one: _Times, other: _Times) -> _Times:
    return _Times(
        use=max(one.use, other.use),
        success=max(one.success, other.success),
        rejection=max(one.rejection, other.rejection),
        exhaustion=max(one.exhaustion, other.exhaustion),
    )


def _outcome_to_pb(version: _Version, times: _Times) -> pb.KeyOutcome:
    return pb.KeyOutcome(
        name=version[0],
        version=version[1],
        last_use_time=_timestamp(times.use),
        last_success_time=_timestamp(times.success),
        last_rejection_time=_timestamp(times.rejection),
        last_exhaustion_time=_timestamp(times.exhaustion),
    )


def _timestamp(seconds: float) -> Timestamp | None:
    """None, which leaves the field unset, for never."""
    if not seconds:
        return None
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))
