"""Random histories of keys, held against a model of a few lines."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from libs.core.errors import GatehouseError
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from libs.storage.database import Database
from libs.storage.migrations import upgrade
from services.key_vault.domain import key as key_module
from services.key_vault.domain.commands import (
    Command,
    CreateKey,
    DeleteKey,
    DestroyKeyVersion,
    RollbackKey,
    RotateKey,
    SetKeyState,
    UpdateKey,
)
from services.key_vault.domain.delete_key import delete_key
from services.key_vault.domain.destroy_key_version import destroy_key_version
from services.key_vault.domain.expire_versions import VersionExpirer
from services.key_vault.domain.key import KeyState
from services.key_vault.domain.key_outcome import KeyOutcome
from services.key_vault.domain.open_keys import KeyUse
from services.key_vault.domain.ports import KeyAnswer, KeyTransaction, Request, WrappedVersion
from services.key_vault.domain.record_outcomes import OutcomeRecorder
from services.key_vault.domain.rewrap_keys import KeyRewrapper
from services.key_vault.domain.rollback_key import rollback_key
from services.key_vault.domain.set_key_state import set_key_state
from services.key_vault.domain.update_key import update_key
from services.key_vault.storage.store import MIGRATIONS, SqlKeyStore
from tests.databases import PostgresServer
from tests.integration.key_vault.key_life_model import KEPT_VERSIONS, Model, Refused
from tests.unit.key_vault.memory import SEAL
from tests.unit.key_vault.world import ANN, ORIGIN, Replica

# A few hundred lives; on a machine that others use as well they take their time.
pytestmark = pytest.mark.timeout(400)

T = TypeVar("T")

NAMES = [KeyName.parse(f"tenants/{each}/keys/k") for each in ("acme", "acme/users/bob", "globex")]
MATERIALS = [Secret(f"sk-{letter * 12}".encode()) for letter in "abc"]
KEPT = timedelta(hours=5)
DAY = timedelta(days=1)

a_name, a_material = st.sampled_from(NAMES), st.sampled_from(MATERIALS)
an_overlap = st.sampled_from([timedelta(0), timedelta(hours=1), timedelta(hours=3)])
# Which of the keys there are, or of all names; which of a key's versions, or one it does not have.
a_choice = st.integers(0, 99)
an_etag = st.sampled_from(["", "", "", "seen", "stale"])


@dataclass(frozen=True)
class Done:
    """A change that was made under a request id, how to ask for it once more, and what was answered."""

    again: Callable[[], Awaitable[Any]]
    answer: Any
    time: datetime


class KeyLifeMachine(RuleBasedStateMachine):
    """Everything that can happen to a key, in any order."""

    fresh_url: ClassVar[Any]

    @initialize()
    def open(self) -> None:
        self.url, self.discard = type(self).fresh_url()
        self.runner = asyncio.Runner()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(key_module, "MOST_VERSIONS", KEPT_VERSIONS)
        self.database = Database.open(self.url, name="key_vault")
        self.replica = Replica(SqlKeyStore(self.database, SEAL))
        self.model = Model()
        self.done: list[Done] = []
        self.etags: dict[KeyName, str] = {}
        for name, material in zip(NAMES, MATERIALS, strict=True):
            self.create(name, material)
            self.rotate_to_the_next_material(NAMES.index(name), timedelta(hours=3))

    @property
    def now(self) -> datetime:
        return self.replica.clock.now()

    def do(self, action: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(action)

    def attempt(
        self, command: Command, use_case: Callable[[Any], Coroutine[Any, Any, Any]], expected: Callable[[], None]
    ) -> Any:
        """Do a command: it ends as the model does, and when it is repeated in the same way."""
        self.replica.clock.seconds += 1
        request = Request(caller="ann", method=command.action, request_id=str(uuid.uuid4()), digest=b"d" * 32)
        command = replace(command, request=request)
        reason = self.refusal(expected)
        ended: str | None = None
        answer = None
        try:
            answer = self.do(use_case(command))
        except GatehouseError as error:
            ended = error.reason
        assert ended == reason
        if reason is None:
            self.done.append(Done(lambda: use_case(command), answer, self.now))
        return answer

    def change(self, command: Command, use_case: Any, expected: Callable[[], None]) -> None:
        self.attempt(command, lambda command: self.replica.change(use_case, command), expected)

    def chosen(self, choice: int) -> KeyName:
        names = list(self.model.keys) * 3 + NAMES
        return names[choice % len(names)]

    def chosen_version(self, name: KeyName, choice: int) -> int:
        key = self.model.keys.get(name)
        numbers = [1] if key is None else [*key.versions, *key.versions, key.last_version + 1, 1]
        return numbers[choice % len(numbers)]

    def etag(self, name: KeyName, which: str) -> str:
        return self.etags.get(name, "") if which == "seen" else {"": "", "stale": "0" * 16}[which]

    @staticmethod
    def refusal(expected: Callable[[], object]) -> str | None:
        try:
            expected()
        except Refused as refused:
            return str(refused)
        return None

    @rule(name=a_name, material=a_material)
    def create(self, name: KeyName, material: Secret) -> None:
        command = CreateKey(name=name, author=ANN, provider_type="openai", origin=ORIGIN, material=material)
        answer = self.attempt(command, self.replica.create, lambda: self.model.create(name, material))
        self.names_duplicates(answer)

    @rule(choice=a_choice, etag=an_etag)
    def update(self, choice: int, etag: str) -> None:
        name = self.chosen(choice)
        text = self.replica.new_uid()
        command = UpdateKey(name=name, author=ANN, etag=self.etag(name, etag), display_name=text)
        self.change(command, update_key, lambda: self.model.update(name, text, is_stale=etag == "stale"))

    @rule(choice=a_choice, material=a_material, overlap=an_overlap, etag=an_etag)
    def rotate(self, choice: int, material: Secret, overlap: timedelta, etag: str) -> None:
        name = self.chosen(choice)
        command = RotateKey(name=name, author=ANN, etag=self.etag(name, etag), material=material, overlap=overlap)
        answer = self.attempt(
            command,
            self.replica.rotate,
            lambda: self.model.rotate(name, material, overlap, self.now, is_stale=etag == "stale"),
        )
        self.names_duplicates(answer)

    @rule(choice=a_choice, overlap=an_overlap)
    def rotate_to_the_next_material(self, choice: int, overlap: timedelta) -> None:
        key = self.model.keys.get(self.chosen(choice))
        if key is not None:
            material = MATERIALS[(MATERIALS.index(key.current.material) + 1) % len(MATERIALS)]
            self.rotate(choice, material, overlap, "")

    @rule(choice=a_choice, version=a_choice, etag=an_etag)
    def roll_back(self, choice: int, version: int, etag: str) -> None:
        name = self.chosen(choice)
        number = self.chosen_version(name, version)
        command = RollbackKey(name=name, author=ANN, etag=self.etag(name, etag), version=number)
        stale = etag == "stale"
        self.change(command, rollback_key, lambda: self.model.roll_back(name, number, self.now, is_stale=stale))

    @rule(choice=a_choice, version=a_choice, etag=an_etag)
    def destroy(self, choice: int, version: int, etag: str) -> None:
        name = self.chosen(choice)
        number = self.chosen_version(name, version)
        command = DestroyKeyVersion(name=name, author=ANN, etag=self.etag(name, etag), version=number)
        stale = etag == "stale"
        self.change(command, destroy_key_version, lambda: self.model.destroy(name, number, self.now, is_stale=stale))

    @rule(choice=a_choice, state=st.sampled_from(KeyState), etag=an_etag)
    def set_state(self, choice: int, state: KeyState, etag: str) -> None:
        name = self.chosen(choice)
        command = SetKeyState(name=name, author=ANN, etag=self.etag(name, etag), state=state)
        disabled = state is KeyState.DISABLED
        self.change(
            command,
            set_key_state,
            lambda: self.model.set_state(name, is_disabled=disabled, is_stale=etag == "stale"),
        )

    @rule(name=a_name, etag=an_etag)
    def delete(self, name: KeyName, etag: str) -> None:
        command = DeleteKey(name=name, author=ANN, etag=self.etag(name, etag))
        self.change(command, delete_key, lambda: self.model.delete(name, is_stale=etag == "stale"))

    @rule(choice=st.integers(0, 1000))
    def repeat(self, choice: int) -> None:
        recent = [each for each in self.done if self.now - each.time < DAY]
        if recent:
            done = recent[choice % len(recent)]
            assert self.do(_coroutine(done.again())) == done.answer

    @rule(minutes=st.sampled_from([1, 59, 60, 61, 180, 24 * 60]))
    def wait(self, minutes: int) -> None:
        self.replica.clock.seconds += 60 * minutes

    @rule(choice=a_choice, works=st.booleans(), version=a_choice)
    def report(self, choice: int, works: bool, version: int) -> None:
        name = self.chosen(choice)
        number = self.chosen_version(name, version)
        self.replica.clock.seconds += 1
        outcome = KeyOutcome(
            name=name,
            version=number,
            last_use_time=self.now,
            last_success_time=self.now if works else None,
            last_rejection_time=None if works else self.now,
        )
        recorder = OutcomeRecorder(
            store=self.replica.store, clock=self.replica.clock, new_uid=self.replica.new_uid, notified=lambda _: None
        )
        self.do(recorder([outcome]))
        key = self.model.keys.get(name)
        if key is not None and key.version == number:
            key.condition = "working" if works else "rejected"

    @rule()
    def expire(self) -> None:
        self.replica.clock.seconds += 1
        self.model.expire(self.now - KEPT, self.now)
        expirer = VersionExpirer(
            store=self.replica.store, clock=self.replica.clock, new_uid=self.replica.new_uid, kept=KEPT
        )
        self.do(expirer())

    @rule()
    def rewrap(self) -> None:
        rewrapper = KeyRewrapper(
            store=self.replica.store,
            vault=self.replica.vault,
            clock=self.replica.clock,
            new_uid=self.replica.new_uid,
            refused=_none_is_refused,
        )
        self.do(rewrapper.begin(ANN, rotate_sealing_key=True))
        while self.do(rewrapper.go_on()):
            pass
        run = self.do(_coroutine(rewrapper.progress()))
        assert run is not None
        assert (run.remaining, run.failed, run.end_time) == (0, 0, self.now)
        self.model.events["platform"].append(("RewrapKeys", ""))

    @invariant()
    def the_keys_are_those_of_the_model(self) -> None:
        keys = self.do(self.replica.store.read(lambda transaction: list(map(transaction.keys.get, NAMES))))
        for name, found in zip(NAMES, keys, strict=True):
            expected = self.model.keys.get(name)
            assert (found is None) == (expected is None)
            if found is None or expected is None:
                continue
            self.etags[name] = found.etag
            assert [
                (each.number, found.state_of(each, self.now).value, each.mask, each.usable_until)
                for each in found.versions
            ] == [
                (number, expected.state(number, self.now), each.material.mask(), each.usable_until)
                for number, each in sorted(expected.versions.items(), reverse=True)
            ]
            assert (found.revision, found.version, found.last_version) == (
                expected.revision,
                expected.version,
                expected.last_version,
            )
            assert (found.state is KeyState.DISABLED, found.display_name, found.status.condition) == (
                expected.is_disabled,
                expected.display_name,
                expected.condition,
            )

    @invariant()
    def everything_opens_to_what_the_model_has(self) -> None:
        uses = [
            KeyUse(name=name, origin=ORIGIN, service="router", version=number)
            for name in NAMES
            for number in range(self.model.keys[name].last_version + 2 if name in self.model.keys else 2)
        ]
        for use, opened in zip(uses, self.do(self.replica.open(uses)), strict=True):
            if isinstance(opened, GatehouseError):
                found: object = opened.reason
            else:
                found = (opened.material, opened.version, opened.fallback_version)
            assert found == self.expected(use), use

    def expected(self, use: KeyUse) -> object:
        try:
            return self.model.open(use.name, use.version, self.now)
        except Refused as refused:
            return str(refused)

    @invariant()
    def every_change_is_one_event(self) -> None:
        def events(transaction: KeyTransaction) -> dict[str, list[tuple[str, str]]]:
            chains = [head.scope for head in transaction.audit.heads()]
            found = {chain: transaction.audit.following(chain, after=0, limit=999) for chain in chains}
            return {chain: [(each.event.action, each.event.target) for each in found[chain]] for chain in chains}

        stored = self.do(self.replica.store.read(events)) or {}
        assert {chain: _in_order(found) for chain, found in stored.items()} == {
            chain: _in_order(expected) for chain, expected in self.model.events.items()
        }
        for chain in self.model.events:
            assert self.do(_coroutine(self.replica.store.verify_audit(chain, []))).is_intact

    def names_duplicates(self, answer: KeyAnswer | None) -> None:
        """Ann is an admin of acme: she sees the keys of its users, and none of another tenant."""
        if answer is None:
            return
        same = self.model.same_material(answer.key.name)
        assert (set(answer.duplicates), answer.hidden_duplicates) == (same, 0)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.do(self.database.close())
            self.runner.close()
            self.patch.undo()
            self.discard()


async def _coroutine(awaitable: Awaitable[T]) -> T:
    return await awaitable


FreshUrl = Callable[[], tuple[str, Callable[[], object]]]


def run(fresh_url: FreshUrl, *, examples: int, steps: int) -> None:
    machine = type("Machine", (KeyLifeMachine,), {"fresh_url": staticmethod(fresh_url)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_life_on_sqlite_is_that_of_the_model(tmp_path: Path) -> None:
    template = tmp_path / "template.db"
    upgrade(f"sqlite:///{template}", MIGRATIONS)

    def fresh_url() -> tuple[str, Callable[[], object]]:
        directory = tempfile.mkdtemp(dir=tmp_path)
        shutil.copy(template, f"{directory}/keys.db")
        return f"sqlite:///{directory}/keys.db", lambda: shutil.rmtree(directory)

    run(fresh_url, examples=25, steps=40)


@pytest.mark.postgres
def test_any_life_on_postgresql_is_that_of_the_model(postgres_server: PostgresServer) -> None:
    def fresh_url() -> tuple[str, Callable[[], object]]:
        url = postgres_server.create_database()
        upgrade(url, MIGRATIONS)
        return url, lambda: postgres_server.drop_database(url)

    run(fresh_url, examples=10, steps=30)


def _in_order(events: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Versions that expire together do so in no promised order."""
    runs = itertools.groupby(events, key=lambda event: event[0])
    return [event for action, run in runs for event in (sorted(run) if action == "DestroyKeyVersion" else run)]


def _none_is_refused(wrapped: WrappedVersion) -> None:
    raise AssertionError(f"Vault refused {wrapped.key_uid}/{wrapped.version}")
