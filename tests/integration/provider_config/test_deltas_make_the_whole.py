"""However the configuration changes: a router that is sent changes holds what one that is sent everything holds."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from libs.core.resource_names import KeyName, ModelName, Owner, ProfileName, ProviderName, RouteName
from libs.storage.engines import backend_for
from services.provider_config.api.convert_snapshots import SnapshotMessages
from services.provider_config.domain import snapshot_news
from services.provider_config.domain.model import Model, ModelSettings
from services.provider_config.domain.policy import PlatformFallback, RoutingPolicy
from services.provider_config.domain.ports import Transaction
from services.provider_config.domain.preference import Choice, Preferences, PreferenceSettings
from services.provider_config.domain.profile import Profile, ProfileSettings
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.route import Route, RouteSettings, RouteTarget, RoutingStrategy
from services.provider_config.domain.snapshot_news import news_of
from services.provider_config.storage import revisions
from services.provider_config.storage.store import SqlTransaction
from services.router.clients.snapshots import changed, snapshot_in
from services.router.domain.configuration import Snapshot
from tests.unit.provider_config.builders import ACME, NOTHING_KNOWN
from tests.unit.provider_config.memory_store import NOW, SEAL

_ANN = Owner("acme", "ann")
_IDS = ("p0", "p1", "p2")
_MESSAGES = SnapshotMessages(NOTHING_KNOWN)

Change = Callable[[Transaction], object]


def _put_provider(owner: Owner, name: str, priority: int) -> Change:
    """Create the provider, or change it."""

    def change(transaction: Transaction) -> object:
        wanted = ProviderSettings(base_url="https://x.example/v1", key=KeyName(owner, "k"), priority=priority)
        full = ProviderName(owner, name)
        present = transaction.providers.get(full)
        if present is not None:
            transaction.providers.put(present.changed(wanted, now=NOW))
        else:
            transaction.providers.add(
                Provider(
                    name=full, uid=str(uuid.uuid4()), version=1, type="openai", settings=wanted, created_by="x",
                    create_time=NOW, update_time=NOW,
                )
            )  # fmt: skip
        return full

    return change


def _drop_provider(owner: Owner, name: str) -> Change:
    def change(transaction: Transaction) -> object:
        present = transaction.providers.get(ProviderName(owner, name))
        if present is not None:
            transaction.providers.remove(present)
        return ProviderName(owner, name)

    return change


def _switch_model(owner: Owner, name: str, model: str) -> Change:
    """Add the model to the provider, or take it away."""

    def change(transaction: Transaction) -> object:
        provider = transaction.providers.get(ProviderName(owner, name))
        if provider is not None:
            full = ModelName(provider.name, model)
            present = transaction.models.get(full)
            if present is not None:
                transaction.models.remove(present)
            else:
                transaction.models.add(
                    Model(
                        name=full, uid=str(uuid.uuid4()), version=1, provider_type="openai", create_time=NOW,
                        update_time=NOW, settings=ModelSettings(provider_model_id=model),
                    ),
                    provider,
                )  # fmt: skip
        return ProviderName(owner, name)

    return change


def _switch_route(task: str, target: str) -> Change:
    def change(transaction: Transaction) -> object:
        name = RouteName("acme", task)
        targets = (RouteTarget(provider=ProviderName(ACME, target)),)
        wanted = RouteSettings(strategy=RoutingStrategy.PRIORITY, targets=targets)
        present = transaction.routes.get(name)
        if present is None:
            transaction.routes.add(
                Route(
                    name=name, uid=str(uuid.uuid4()), version=1, settings=wanted, created_by="x", create_time=NOW,
                    update_time=NOW,
                )
            )  # fmt: skip
        elif present.settings.targets == targets:
            transaction.routes.remove(present)
        else:
            transaction.routes.put(present.changed(wanted, now=NOW))
        return name

    return change


def _put_preferences(user: str, target: str) -> Change:
    def change(transaction: Transaction) -> object:
        owner = Owner("acme", user)
        present = transaction.preferences.get(owner) or Preferences(user=owner)
        wanted = PreferenceSettings(preferred=Choice(provider=ProviderName(ACME, target)))
        transaction.preferences.put(present.changed(wanted, uid=str(uuid.uuid4()), now=NOW))
        return present.name

    return change


def _switch_profile(user: str, name: str) -> Change:
    def change(transaction: Transaction) -> object:
        full = ProfileName("acme", user, name)
        present = transaction.profiles.get(full)
        if present is not None:
            transaction.profiles.remove(present)
        else:
            transaction.profiles.add(
                Profile(
                    name=full, uid=str(uuid.uuid4()), version=1, settings=ProfileSettings(), create_time=NOW,
                    update_time=NOW,
                )
            )  # fmt: skip
        return full

    return change


def _put_policy(fallback: PlatformFallback) -> Change:
    def change(transaction: Transaction) -> object:
        present = transaction.policies.get(ACME) or RoutingPolicy(tenant=ACME)
        transaction.policies.put(present.changed(fallback, uid=str(uuid.uuid4()), now=NOW))
        return present.name

    return change


_owners, _ids, _users = st.sampled_from([ACME, _ANN]), st.sampled_from(_IDS), st.sampled_from(["ann", "bob"])
_changes = st.one_of(
    st.builds(_put_provider, _owners, _ids, st.integers(0, 2)),
    st.builds(_drop_provider, _owners, _ids),
    st.builds(_switch_model, _owners, _ids, st.sampled_from(["m", "n"])),
    st.builds(_switch_route, st.sampled_from(["default", "x"]), _ids),
    st.builds(_put_preferences, _users, _ids),
    st.builds(_switch_profile, _users, st.sampled_from(["work", "home"])),
    st.builds(_put_policy, st.sampled_from(PlatformFallback)),
)
# Each step is what one call changes, and whether the router is told then.
_steps = st.lists(st.tuples(st.lists(_changes, max_size=4), st.booleans()), max_size=12)


@pytest.fixture
def engine(config_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A migrated database of which every example undoes what it did; its log of changes is soon full."""
    monkeypatch.setattr(revisions, "_REMEMBERED", 3)
    writer = backend_for(config_url).writer()
    yield writer
    writer.dispose()


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=_steps, looked_up=st.sampled_from([0, 2, 16]))
@example(steps=[([_put_provider(ACME, "p0", 1)], True), ([_drop_provider(ACME, "p0")], True)], looked_up=16)
def test_a_router_that_is_sent_changes_holds_the_whole(
    engine: Engine, steps: list[tuple[list[Change], bool]], looked_up: int
) -> None:
    with patch.object(snapshot_news, "_LOOKED_UP", looked_up), engine.connect() as connection:
        undone = connection.begin()
        transaction = SqlTransaction(connection, SEAL)
        held: Snapshot | None = None
        for changes, is_told in steps:
            if changes:
                transaction.advance(ACME, *[change(transaction) for change in changes])
            if is_told:
                held = _told(transaction, held)
        held = _told(transaction, held)
        assert _in_order(held) == _in_order(_told(transaction, None))
        undone.rollback()


def _told(transaction: Transaction, held: Snapshot | None) -> Snapshot:
    """What a router holds after the news since what it held."""
    news = _MESSAGES.message(news_of(transaction, ACME, since=-1 if held is None else held.revision))
    message = pb.WatchSnapshotsResponse.FromString(news.SerializeToString())
    if message.HasField("snapshot"):
        return snapshot_in(message.snapshot)
    assert held is not None
    assert message.delta.from_revision == held.revision
    return changed(held, message.delta)


def _in_order(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, providers=tuple(sorted(snapshot.providers, key=lambda each: each.name)))
