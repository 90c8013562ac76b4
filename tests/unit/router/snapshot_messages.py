"""Messages of provider_config, short to write."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gatehouse.providerconfig.v1 import model_pb2, preference_pb2, provider_pb2, route_pb2
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb

ACME = "tenants/acme"


def provider(name: str, *models: str, scope: str = ACME) -> pb.ProviderSnapshot:
    full = f"{scope}/providers/{name}"
    return pb.ProviderSnapshot(
        provider=provider_pb2.Provider(name=full, type="openai", active=True),
        models=[model_pb2.Model(name=f"{full}/models/{each}", provider_model_id=each, enabled=True) for each in models],
    )


def route(task: str, *providers: str) -> route_pb2.Route:
    targets = [route_pb2.RouteTarget(provider=f"{ACME}/providers/{each}") for each in providers]
    return route_pb2.Route(name=f"{ACME}/routes/{task}", active=True, targets=targets)


def preferences(user: str, chosen: str) -> preference_pb2.Preferences:
    choice = preference_pb2.Choice(provider=f"{ACME}/providers/{chosen}")
    return preference_pb2.Preferences(name=f"{ACME}/users/{user}/preferences", preferred=choice)


def profile(user: str, name: str, *providers: str) -> preference_pb2.Profile:
    used = [f"{ACME}/providers/{each}" for each in providers]
    return preference_pb2.Profile(name=f"{ACME}/users/{user}/profiles/{name}", providers=used)


def snapshot(scope: str, revision: int, *providers: pb.ProviderSnapshot, **fields: Any) -> pb.Snapshot:
    return pb.Snapshot(scope=scope, revision=revision, providers=providers, **fields)


def delta(
    scope: str, since: int, revision: int, *providers: pb.ProviderSnapshot, deleted: Iterable[str] = (), **fields: Any
) -> pb.SnapshotDelta:
    return pb.SnapshotDelta(
        scope=scope, from_revision=since, revision=revision, providers=providers, deleted=deleted, **fields
    )


def heartbeat(revision: int, requests: int) -> pb.Heartbeat:
    return pb.Heartbeat(revision=revision, requests=requests)
