"""Trying providers and adding what they list, over every kind of store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import pytest

from libs.core.errors import Aborted, FailedPrecondition, GatehouseError, NotFound, ResourceExhausted, Unavailable
from libs.core.resource_names import KeyName, ModelName, Owner, ProviderName
from libs.core.secret import Secret
from services.provider_config.domain import changes
from services.provider_config.domain.create_provider import create_provider
from services.provider_config.domain.look_up import get_provider, list_models
from services.provider_config.domain.model import Model, ModelSettings
from services.provider_config.domain.ports import ConfigStore, Transaction
from services.provider_config.domain.probe_ports import MOST_LISTED, Probe
from services.provider_config.domain.probe_provider import UnsavedProvider
from services.provider_config.domain.provider import Provider, ProviderSettings, ProviderTest, ProviderTestOutcome
from services.provider_config.domain.sync_models import ModelSync, SyncedModels, SyncModels, model_id_for
from services.provider_config.domain.update_provider import UpdateProvider, update_provider
from tests.unit.provider_config.builders import (
    ACME,
    RULES,
    FakeCatalogue,
    KnownModel,
    act,
    add_model,
    creation,
    drop_provider,
    provider_name,
)
from tests.unit.provider_config.memory_store import NOW
from tests.unit.provider_config.probing import FLOOR, LISTED, TIMEOUT, TOKEN, Prober

NAME = provider_name("openai")
OUTCOMES = [each for each in ProviderTestOutcome if each is not ProviderTestOutcome.OK]


@pytest.fixture
async def prober(store: ConfigStore) -> Prober:
    """With a stored provider `openai`."""
    await store.write(partial(create_provider, command=creation()))
    return Prober(store)


async def stored(store: ConfigStore) -> Provider:
    return await store.read(partial(get_provider, name=NAME))


async def models(store: ConfigStore) -> dict[str, ModelSettings]:
    found = await store.read(partial(list_models, name=NAME, after=None, size=10_000))
    return {model.name.model: model.settings for model in found}


async def change(store: ConfigStore, **settings: object) -> None:
    command = UpdateProvider(
        name=NAME,
        fields=frozenset(settings),
        settings=ProviderSettings(**settings),  # type: ignore[arg-type]
        act=act("UpdateProvider"),
    )
    await store.write(partial(update_provider, command=command, rules=RULES))


async def events(store: ConfigStore, action: str) -> list[dict[str, str]]:
    chain = await store.read(lambda transaction: transaction.audit.following("tenants/acme", after=0, limit=100))
    return [dict(each.event.details) for each in chain if each.event.action == action]


class TestTesting:
    async def test_a_stored_provider_is_tried_as_it_is_and_keeps_the_result(self, prober: Prober) -> None:
        before = await stored(prober.store)
        test = await prober.test(model="gpt-4o")
        assert prober.router.asked == [
            Probe(
                type="openai",
                base_url="https://api.openai.com/v1",
                options={},
                key=KeyName(ACME, "prod"),
                model="gpt-4o",
                caller_token=TOKEN,
                timeout=TIMEOUT,
            )
        ]
        assert test == ProviderTest(
            time=NOW,
            outcome=ProviderTestOutcome.OK,
            message="it is OK",
            duration=timedelta(milliseconds=120),
            model_count=2,
        )
        after = await stored(prober.store)
        assert after.last_test == test
        assert (after.etag, after.version, after.update_time) == (before.etag, before.version, before.update_time)
        assert await events(prober.store, "TestProvider") == [{"outcome": "OK", "saved": "true"}]

    @pytest.mark.parametrize("outcome", OUTCOMES)
    async def test_a_provider_that_fails_is_a_result(self, prober: Prober, outcome: ProviderTestOutcome) -> None:
        prober.finds(outcome)
        assert (await prober.test()).outcome is outcome
        last = (await stored(prober.store)).last_test
        assert last is not None
        assert (last.outcome, last.model_count) == (outcome, 0)

    async def test_a_test_changes_nothing_for_routers(self, prober: Prober) -> None:
        revision = await prober.store.read(lambda transaction: transaction.revision())
        await prober.test()
        assert await prober.store.read(lambda transaction: transaction.revision()) == revision

    async def test_the_result_stays_when_the_provider_changes_and_goes_with_it(self, prober: Prober) -> None:
        test = await prober.test()
        await change(prober.store, display_name="Ours")
        assert (await stored(prober.store)).last_test == test
        await prober.store.write(drop_provider(NAME))
        await prober.store.write(partial(create_provider, command=creation()))
        assert (await stored(prober.store)).last_test is None

    async def test_one_that_is_not_stored_is_tried_and_nothing_is_kept(self, prober: Prober) -> None:
        settings = ProviderSettings(base_url="https://other.example.com", key=KeyName(ACME, "next"), options={"a": 1})
        unsaved = UnsavedProvider(type="openai_compatible", settings=settings, api_key=None)
        test = await prober.test(unsaved=unsaved)
        (asked,) = prober.router.asked
        assert (asked.type, asked.base_url, asked.key) == (
            "openai_compatible",
            "https://other.example.com",
            settings.key,
        )
        assert test.outcome is ProviderTestOutcome.OK
        assert (await stored(prober.store)).last_test is None
        assert await events(prober.store, "TestProvider") == [{"outcome": "OK", "saved": "false"}]

    async def test_a_key_in_clear_is_used_and_kept_nowhere(self, prober: Prober) -> None:
        unsaved = UnsavedProvider(
            type="openai", settings=ProviderSettings(base_url="https://x.example.com"), api_key=Secret(b"sk-canary")
        )
        await prober.test(provider_name("new"), unsaved=unsaved)
        assert prober.router.asked[0].key == Secret(b"sk-canary")
        assert "canary" not in repr(prober.router.asked)

    async def test_one_that_does_not_exist_is_not_found(self, prober: Prober) -> None:
        with pytest.raises(NotFound):
            await prober.test(provider_name("none"))
        assert prober.router.asked == []


class TestHowOften:
    async def test_two_at_once_are_one_too_many(self, prober: Prober) -> None:
        prober.router.free.clear()
        first = asyncio.create_task(prober.test())
        await until_asked(prober)
        with pytest.raises(Aborted) as second:
            await prober.test()
        assert (second.value.reason, second.value.metadata) == ("TEST_UNDER_WAY", {"name": str(NAME)})
        prober.router.free.set()
        assert (await first).outcome is ProviderTestOutcome.OK
        assert len(prober.router.asked) == 1

    async def test_another_provider_may_be_tried_meanwhile(self, prober: Prober) -> None:
        await prober.store.write(partial(create_provider, command=creation("other")))
        prober.router.free.clear()
        tests = [asyncio.create_task(prober.test(provider_name(name))) for name in ("openai", "other")]
        await until_asked(prober, 2)
        prober.router.free.set()
        await asyncio.gather(*tests)

    async def test_the_next_has_to_wait_for_the_floor(self, prober: Prober) -> None:
        await prober.test()
        prober.pass_time(FLOOR - timedelta(seconds=2))
        with pytest.raises(ResourceExhausted) as soon:
            await prober.test()
        assert (soon.value.reason, soon.value.retry_delay_s) == ("TEST_TOO_SOON", 2.0)
        prober.pass_time(timedelta(seconds=2))
        await prober.test()

    async def test_the_floor_is_counted_from_the_end(self, prober: Prober) -> None:
        prober.router.free.clear()
        first = asyncio.create_task(prober.test())
        await until_asked(prober)
        prober.pass_time(timedelta(seconds=9))
        prober.router.free.set()
        await first
        with pytest.raises(ResourceExhausted):
            await prober.test()

    async def test_one_that_is_not_stored_waits_as_well(self, prober: Prober) -> None:
        unsaved = UnsavedProvider(type="openai", settings=ProviderSettings(base_url="https://x"), api_key=None)
        await prober.test(provider_name("new"), unsaved=unsaved)
        with pytest.raises(ResourceExhausted):
            await prober.test(provider_name("new"), unsaved=unsaved)

    async def test_a_router_that_is_away_costs_no_waiting(self, prober: Prober) -> None:
        prober.router.finds = Unavailable("SERVICE_UNREACHABLE", "router does not answer")
        with pytest.raises(Unavailable):
            await prober.test()
        assert (await stored(prober.store)).last_test is None
        assert await events(prober.store, "TestProvider") == []
        prober.finds()
        await prober.test()

    async def test_a_caller_that_goes_away_is_no_way_around_the_floor(self, prober: Prober) -> None:
        prober.router.free.clear()
        first = asyncio.create_task(prober.test())
        await until_asked(prober)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        prober.router.free.set()
        with pytest.raises(ResourceExhausted):
            await prober.test()
        prober.pass_time(FLOOR)
        await prober.test()

    async def test_many_of_one_owner_are_too_many_whatever_they_are_called(self, prober: Prober) -> None:
        unsaved = UnsavedProvider(type="openai", settings=ProviderSettings(base_url="https://x"), api_key=None)
        for number in range(16):
            await prober.test(provider_name(f"p_{number}"), unsaved=unsaved)
        prober.pass_time(FLOOR - timedelta(seconds=2))
        with pytest.raises(ResourceExhausted) as many:
            await prober.test()
        assert (many.value.reason, many.value.retry_delay_s) == ("TEST_TOO_SOON", 2.0)
        ann = ProviderName(Owner("acme", "ann"), "p_1")
        await prober.test(ann, unsaved=unsaved)
        prober.pass_time(timedelta(seconds=2))
        await prober.test()

    async def test_a_clock_that_was_wrong_holds_nobody_up(self, prober: Prober) -> None:
        prober.pass_time(timedelta(days=300))
        await prober.test()
        prober.pass_time(timedelta(days=-300))
        await prober.test()

    async def test_a_test_that_died_with_its_process_holds_nobody_up_for_ever(self, prober: Prober) -> None:
        def died(transaction: Transaction) -> None:
            transaction.provider_tests.begin(NAME, "gone", until=NOW + TIMEOUT)

        await prober.store.write(died)
        with pytest.raises(Aborted):
            await prober.test()
        prober.pass_time(TIMEOUT)
        await prober.test()
        # Should it end after all, it is no longer its to end.
        await prober.store.write(lambda transaction: transaction.provider_tests.end(NAME, "gone", free_at=NOW))
        with pytest.raises(ResourceExhausted):
            await prober.test()

    async def test_replicas_know_of_each_other(self, replicas: tuple[ConfigStore, ConfigStore]) -> None:
        one, two = (Prober(store) for store in replicas)
        await one.store.write(partial(create_provider, command=creation()))
        one.router.free.clear()
        first = asyncio.create_task(one.test())
        await until_asked(one)
        with pytest.raises(Aborted):
            await two.test()
        one.router.free.set()
        await first
        with pytest.raises(ResourceExhausted):
            await two.test()

    async def test_of_many_at_once_on_two_replicas_one_is_tried(
        self, replicas: tuple[ConfigStore, ConfigStore]
    ) -> None:
        probers = [Prober(store) for store in replicas]
        await probers[0].store.write(partial(create_provider, command=creation()))
        for prober in probers:
            prober.router.free.clear()
        tests = [asyncio.create_task(prober.test()) for prober in probers for _ in range(5)]
        done, _ = await asyncio.wait(tests, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 9:
            done, _ = await asyncio.wait(tests, timeout=0.05)
        for prober in probers:
            prober.router.free.set()
        results = await asyncio.gather(*tests, return_exceptions=True)
        assert sum(isinstance(each, ProviderTest) for each in results) == 1
        assert {each.reason for each in results if isinstance(each, GatehouseError)} == {"TEST_UNDER_WAY"}


async def until_asked(prober: Prober, times: int = 1) -> None:
    while len(prober.router.asked) < times:
        await asyncio.sleep(0.001)


class TestSyncing:
    async def test_what_is_missing_is_added_with_what_is_known_of_it(self, prober: Prober) -> None:
        await prober.store.write(add_model("mini", provider_model_id="gpt-4o-mini", display_name="Ours"))
        before = await models(prober.store)
        synced = await sync(prober, catalogue=CATALOGUE)
        assert ids(synced.added) == ["gpt-4o"]
        assert (synced.known_count, list(synced.not_listed), list(synced.skipped)) == (1, [], [])
        after = await models(prober.store)
        assert after.keys() == {"gpt-4o", "mini"}
        assert after["mini"] == before["mini"]
        added = after["gpt-4o"]
        assert (added.provider_model_id, added.enabled, added.context_tokens) == ("gpt-4o", False, 128_000)
        assert synced.revision == await prober.store.read(lambda transaction: transaction.revision())
        assert await events(prober.store, "SyncModels") == [{"outcome": "OK", "added": "1"}]
        last = (await stored(prober.store)).last_test
        assert last is not None
        assert (last.outcome, last.model_count) == (ProviderTestOutcome.OK, 2)

    async def test_they_are_enabled_when_that_is_asked_for(self, prober: Prober) -> None:
        await sync(prober, enable=True)
        assert {name: settings.enabled for name, settings in (await models(prober.store)).items()} == dict.fromkeys(
            LISTED, True
        )

    async def test_doing_it_again_adds_nothing_twice(self, prober: Prober) -> None:
        await sync(prober)
        prober.pass_time(FLOOR)
        synced = await sync(prober)
        assert (ids(synced.added), synced.known_count, synced.revision) == ([], 2, 0)

    async def test_what_is_not_listed_any_more_is_told_and_stays(self, prober: Prober) -> None:
        await prober.store.write(add_model("old", provider_model_id="gpt-3"))
        synced = await sync(prober)
        assert list(synced.not_listed) == [ModelName(NAME, "old")]
        assert "old" in await models(prober.store)

    async def test_a_dry_run_says_what_would_be_and_changes_nothing(self, prober: Prober) -> None:
        synced = await sync(prober, validate_only=True)
        assert (ids(synced.added), synced.revision) == (list(LISTED), 0)
        assert await models(prober.store) == {}
        assert await events(prober.store, "SyncModels") == [{"outcome": "OK", "added": "0"}]
        assert (await stored(prober.store)).last_test is not None, "it counts as a test"

    async def test_names_become_ids_and_what_cannot_is_left_out(self, prober: Prober) -> None:
        await prober.store.write(add_model("taken", provider_model_id="x"))
        strange = ("Org/Model-7B:free", "org/model-7b free", "Taken", "模型", "a" * 64, "-")
        prober.finds(ProviderTestOutcome.OK, *strange, "x")
        synced = await sync(prober)
        assert {model.name.model: model.settings.provider_model_id for model in synced.added} == {
            "org-model-7b-free": "Org/Model-7B:free"
        }
        assert set(synced.skipped) == set(strange[1:])
        assert synced.known_count == 1

    async def test_a_model_that_is_listed_with_and_without_its_usual_tag_is_one(self, prober: Prober) -> None:
        await prober.store.write(add_model("mine", provider_model_id="mine:latest"))
        names = ("llama", "llama:8b", "llama:latest", "mine", "mine:latest", "only:latest")
        prober.finds(ProviderTestOutcome.OK, *names)
        synced = await sync(prober)
        assert {model.settings.provider_model_id for model in synced.added} == {"llama", "llama:8b", "only:latest"}
        assert (synced.known_count, list(synced.skipped), list(synced.not_listed)) == (1, [], [])

    async def test_at_most_a_hundred_of_those_are_named(self, prober: Prober) -> None:
        prober.finds(ProviderTestOutcome.OK, *("模" * number for number in range(1, 130)))
        assert len((await sync(prober)).skipped) == 100

    async def test_a_list_that_was_cut_says_nothing_of_what_comes_after(self, prober: Prober) -> None:
        for name in ("m5", "z"):
            await prober.store.write(add_model(name, provider_model_id=f"{name}-gone"))
        prober.finds(ProviderTestOutcome.OK, *(f"m{number:04}" for number in range(MOST_LISTED)))
        synced = await sync(prober, validate_only=True)
        assert list(synced.not_listed) == []
        prober.pass_time(FLOOR)
        prober.finds(ProviderTestOutcome.OK, *(f"n{number:04}" for number in range(MOST_LISTED)))
        assert list((await sync(prober, validate_only=True)).not_listed) == [ModelName(NAME, "m5")]

    @pytest.mark.parametrize("outcome", OUTCOMES)
    async def test_a_list_that_cannot_be_read_adds_nothing_and_says_why(
        self, prober: Prober, outcome: ProviderTestOutcome
    ) -> None:
        prober.finds(outcome)
        passes = outcome in {
            ProviderTestOutcome.UNREACHABLE,
            ProviderTestOutcome.RATE_LIMITED,
            ProviderTestOutcome.PROVIDER_ERROR,
        }
        with pytest.raises(Unavailable if passes else FailedPrecondition) as failed:
            await sync(prober)
        assert failed.value.reason == "PROVIDER_LIST_FAILED"
        assert failed.value.metadata == {"name": str(NAME), "outcome": outcome.value}
        assert f"it is {outcome}" in failed.value.message
        last = (await stored(prober.store)).last_test
        assert last is not None
        assert last.outcome is outcome
        assert await events(prober.store, "SyncModels") == [{"outcome": outcome.value, "added": "0"}]

    async def test_it_counts_as_a_test(self, prober: Prober) -> None:
        await sync(prober)
        with pytest.raises(ResourceExhausted):
            await prober.test()
        prober.pass_time(FLOOR)
        await prober.test()
        with pytest.raises(ResourceExhausted):
            await sync(prober)

    async def test_too_many_are_refused_whole(self, prober: Prober, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(changes, "MAX_SCOPE_BYTES", 10_000)
        prober.finds(ProviderTestOutcome.OK, *(f"m{number}" for number in range(100)))
        with pytest.raises(ResourceExhausted) as full:
            await sync(prober)
        assert full.value.reason == "SCOPE_FULL"
        assert await models(prober.store) == {}

    async def test_a_provider_that_changed_meanwhile_gets_no_models_of_the_other(self, prober: Prober) -> None:
        prober.router.free.clear()
        syncing = asyncio.create_task(sync(prober))
        await until_asked(prober)
        await change(prober.store, base_url="https://other.example.com")
        prober.router.free.set()
        with pytest.raises(Aborted):
            await syncing
        assert await models(prober.store) == {}
        assert (await stored(prober.store)).last_test is None

    async def test_a_new_name_or_description_meanwhile_is_no_hindrance(self, prober: Prober) -> None:
        prober.router.free.clear()
        syncing = asyncio.create_task(sync(prober))
        await until_asked(prober)
        await change(prober.store, display_name="Ours")
        prober.router.free.set()
        assert len((await syncing).added) == 2

    async def test_nobody_waits_for_the_database_while_the_catalogue_is_asked(
        self, prober: Prober, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        writing: list[object] = []
        asked: list[bool] = []
        write = prober.store.write

        async def watched(work: Callable[[Transaction], object]) -> object:
            writing.append(work)
            try:
                return await write(work)
            finally:
                writing.pop()

        class Asked(FakeCatalogue):
            def facts(self, provider_type: str, provider_model_id: str) -> KnownModel:
                asked.append(bool(writing))
                return super().facts(provider_type, provider_model_id)

        monkeypatch.setattr(prober.store, "write", watched)
        assert ids((await sync(prober, catalogue=Asked())).added) == list(LISTED)
        assert asked == [False, False]

    async def test_a_model_that_somebody_adds_meanwhile_is_not_added_twice(self, prober: Prober) -> None:
        prober.router.free.clear()
        syncing = asyncio.create_task(sync(prober))
        await until_asked(prober)
        await prober.store.write(add_model("gpt-4o"))
        prober.router.free.set()
        assert ids((await syncing).added) == ["gpt-4o-mini"]


CATALOGUE = FakeCatalogue(**{"gpt-4o": KnownModel(context_tokens=128_000)})


async def sync(
    prober: Prober,
    *,
    enable: bool = False,
    validate_only: bool = False,
    catalogue: FakeCatalogue = CATALOGUE,
) -> SyncedModels:
    uids = iter(range(100_000))
    run = ModelSync(
        probing=prober.probing, catalogue=catalogue, new_uid=lambda: f"{prober.clock.now():%f%S}{next(uids):06}"
    )
    command = SyncModels(
        name=NAME, enable=enable, validate_only=validate_only, caller_token=TOKEN, act=prober.act("SyncModels")
    )
    return await run(command)


def ids(added: Sequence[Model]) -> list[str]:
    return [model.name.model for model in added]


@pytest.mark.parametrize(
    ("provider_model_id", "model_id"),
    [
        ("gpt-4o", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("meta-llama/Llama-3.3-70B-Instruct", "meta-llama-llama-3.3-70b-instruct"),
        ("llama3.2:latest", "llama3.2-latest"),
        ("models/gemini-2.0-flash", "models-gemini-2.0-flash"),
        ("ft:gpt-4o:acme::7p4", "ft-gpt-4o-acme-7p4"),
        ("_x", "x"),
        ("x (beta)", "x-beta"),
        ("a" * 63, "a" * 63),
        ("a" * 64, None),
        ("模型", None),
        ("", None),
        ("..", None),
    ],
)
def test_a_providers_own_id_becomes_one_of_a_resource(provider_model_id: str, model_id: str | None) -> None:
    assert model_id_for(provider_model_id) == model_id
