"""What routers are told as messages, without what they have no use for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, assert_never

from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from google.protobuf.message import Message

from services.provider_config.api.convert import model_message, provider_message
from services.provider_config.domain.snapshot import Heartbeat, ProviderSnapshot, Snapshot, SnapshotDelta

M = TypeVar("M", bound=Message)

# A router holds thousands of tenants in memory: what only people and tools read stays here.
_OF_ANY = ("etag", "update_time")
_OF_CREATED = (*_OF_ANY, "description", "create_time")
_OF_PROVIDER = (*_OF_CREATED, "labels", "created_by", "last_test")
_OF_MODEL = (*_OF_ANY, "uid", "create_time", "catalogue_price")


def news_message(news: Snapshot | SnapshotDelta | Heartbeat) -> pb.WatchSnapshotsResponse:
    """What a router is told."""
    match news:
        case Snapshot():
            return pb.WatchSnapshotsResponse(snapshot=_snapshot(news))
        case SnapshotDelta():
            return pb.WatchSnapshotsResponse(delta=_delta(news))
        case Heartbeat():
            return pb.WatchSnapshotsResponse(heartbeat=pb.Heartbeat(revision=news.revision, requests=news.requests))
        case _:
            assert_never(news)


def _snapshot(news: Snapshot) -> pb.Snapshot:
    return pb.Snapshot(
        scope=str(news.scope),
        revision=news.revision,
        providers=_providers(news.providers),
    )


def _delta(news: SnapshotDelta) -> pb.SnapshotDelta:
    return pb.SnapshotDelta(
        scope=str(news.scope),
        from_revision=news.from_revision,
        revision=news.revision,
        providers=_providers(news.providers),
        deleted=news.deleted,
    )


def _providers(providers: Iterable[ProviderSnapshot]) -> Sequence[pb.ProviderSnapshot]:
    return [
        pb.ProviderSnapshot(
            provider=_without(provider_message(each.provider), _OF_PROVIDER),
            models=[_without(model_message(model), _OF_MODEL) for model in each.models],
        )
        for each in providers
    ]


def _without(message: M, fields: Iterable[str]) -> M:
    for field in fields:
        message.ClearField(field)
    return message
