"""What routers are told as messages, without what they have no use for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, assert_never

from gatehouse.providerconfig.v1 import model_pb2, preference_pb2, route_pb2
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from google.protobuf.message import Message

from services.provider_config.api.convert import model_message, priced_model_message, provider_message
from services.provider_config.api.convert_routing import (
    policy_message,
    preferences_message,
    profile_message,
    route_message,
)
from services.provider_config.domain.catalogue import Catalogue
from services.provider_config.domain.model import Model
from services.provider_config.domain.policy import RoutingPolicy
from services.provider_config.domain.preference import Preferences
from services.provider_config.domain.profile import Profile
from services.provider_config.domain.route import Route
from services.provider_config.domain.snapshot import Heartbeat, ProviderSnapshot, Snapshot, SnapshotDelta

M = TypeVar("M", bound=Message)

CONTENT_FORMAT = 2
"""Which fields snapshots have. Count it up with every one that is added: what routers hold is replaced then."""

# A router holds thousands of tenants in memory: what only people and tools read stays here.
_OF_ANY = ("etag", "update_time")
_OF_CREATED = (*_OF_ANY, "uid", "create_time")
_OF_MODEL = _OF_CREATED
_OF_PROVIDER = (*_OF_CREATED, "description", "labels", "created_by", "last_test")
_OF_ROUTE = (*_OF_CREATED, "description", "labels", "created_by")
_OF_PROFILE = (*_OF_CREATED, "description", "active")


class SnapshotMessages:
    """Makes messages of news; the prices of `catalogue` go with models that have none of their own."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def message(self, news: Snapshot | SnapshotDelta | Heartbeat) -> pb.WatchSnapshotsResponse:
        """What a router is told."""
        match news:
            case Snapshot():
                return pb.WatchSnapshotsResponse(snapshot=self._snapshot(news))
            case SnapshotDelta():
                return pb.WatchSnapshotsResponse(delta=self._delta(news))
            case Heartbeat():
                return pb.WatchSnapshotsResponse(heartbeat=pb.Heartbeat(revision=news.revision, requests=news.requests))
            case _:
                assert_never(news)

    def _snapshot(self, news: Snapshot) -> pb.Snapshot:
        return pb.Snapshot(
            scope=str(news.scope),
            revision=news.revision,
            providers=map(self._provider, news.providers),
            routes=map(_route, news.routes),
            preferences=map(_preferences, news.preferences),
            profiles=map(_profile, news.profiles),
            policy=_policy(news.policy) if news.policy else None,
        )

    def _delta(self, news: SnapshotDelta) -> pb.SnapshotDelta:
        return pb.SnapshotDelta(
            scope=str(news.scope),
            from_revision=news.from_revision,
            revision=news.revision,
            providers=map(self._provider, news.providers),
            routes=map(_route, news.routes),
            preferences=map(_preferences, news.preferences),
            profiles=map(_profile, news.profiles),
            policy=_policy(news.policy) if news.policy else None,
            deleted=news.deleted,
        )

    def _provider(self, each: ProviderSnapshot) -> pb.ProviderSnapshot:
        return pb.ProviderSnapshot(
            provider=_without(provider_message(each.provider), _OF_PROVIDER), models=map(self._model, each.models)
        )

    def _model(self, model: Model) -> model_pb2.Model:
        priced = model.settings.price is not None
        return _without(model_message(model) if priced else priced_model_message(model, self._catalogue), _OF_MODEL)


def _route(route: Route) -> route_pb2.Route:
    return _without(route_message(route), _OF_ROUTE)


def _preferences(preferences: Preferences) -> preference_pb2.Preferences:
    return _without(preferences_message(preferences), _OF_ANY)


def _profile(profile: Profile) -> preference_pb2.Profile:
    return _without(profile_message(profile), _OF_PROFILE)


def _policy(policy: RoutingPolicy) -> route_pb2.RoutingPolicy:
    return _without(policy_message(policy), _OF_ANY)


def _without(message: M, fields: Iterable[str]) -> M:
    for field in fields:
        message.ClearField(field)
    return message
