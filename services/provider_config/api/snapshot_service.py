"""gatehouse.providerconfig.v1.SnapshotService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from gatehouse.providerconfig.v1.snapshot_service_pb2_grpc import SnapshotServiceServicer

from libs.core.errors import GatehouseError
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.provider_config.api.convert_snapshots import SnapshotMessages
from services.provider_config.api.read_scopes import scopes_in
from services.provider_config.domain.errors import internal
from services.provider_config.domain.snapshot_feed import SnapshotFeed
from services.provider_config.domain.snapshot_stream import SnapshotStream

_log = get_logger(__name__)


class SnapshotServicer(SnapshotServiceServicer):
    """Pushes configuration to routers."""

    def __init__(self, feed: SnapshotFeed, messages: SnapshotMessages) -> None:
        self._feed = feed
        self._messages = messages

    async def WatchSnapshots(
        self, request_iterator: object, _context: object
    ) -> AsyncIterator[pb.WatchSnapshotsResponse]:
        """Send what the router watches, and hear meanwhile what else it wants. Goes on when it says no more."""
        requests = cast(AsyncIterator[pb.WatchSnapshotsRequest], request_iterator)
        with self._feed.open() as stream:
            listening = asyncio.create_task(_listen(requests, stream))
            try:
                async for news in stream.news():
                    # A large scope takes seconds, in which all other streams must not fall silent.
                    yield await asyncio.to_thread(self._messages.message, news)
            finally:
                # Not awaited: a stream that was cut must not wait in its cleanup.
                listening.cancel()


async def _listen(requests: AsyncIterator[pb.WatchSnapshotsRequest], stream: SnapshotStream) -> None:
    """Pass on what the router asks for; whatever goes wrong ends the stream."""
    try:
        async for request in requests:
            asked = scopes_in(request)
            stream.asked(forget=asked.forget, resume=asked.resume, watch=asked.watch)
    except GatehouseError as error:
        stream.fail(error)
    except Exception as error:  # noqa: BLE001 - nobody awaits this task, so the stream has to carry it
        _log.warning(names.EVENT_RPC_CRASHED, exc_info=error)
        stream.fail(internal())
