"""Creating, rotating and deleting keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from libs.core.audit import AuditEvent, AuditOutcome
from libs.core.audit_authors import Occasion
from libs.core.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from libs.core.resource_names import KeyName
from libs.core.secret import Secret
from services.key_vault.domain.commands import DeleteKey, RotateKey, UpdateKey
from services.key_vault.domain.delete_key import delete_key
from services.key_vault.domain.digests import Digests
from services.key_vault.domain.errors import vault_sealed
from services.key_vault.domain.key import MOST_VERSIONS, Condition, Key, KeyStatus
from services.key_vault.domain.ports import KeyAnswer
from services.key_vault.domain.update_key import update_key
from tests.unit.key_vault.memory import MemoryContent
from tests.unit.key_vault.world import ANN, CREATE, NAME, NEW, NEWEST, OLD, ORIGIN, World, a_request

ROTATE = RotateKey(name=NAME, author=ANN, material=NEW)
DELETE = DeleteKey(name=NAME, author=ANN)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_created_key_opens_to_its_material(world: World) -> None:
    key = (await world.create(CREATE)).key
    assert await world.material() == OLD
    assert (key.version, key.last_version, key.revision, key.current.mask) == (1, 1, 1, "…6789")
    assert (key.rotate_time, key.fallback, key.status) == (None, None, KeyStatus())
    assert world.key() == key


async def test_a_taken_name_costs_no_vault_call(world: World) -> None:
    await world.create(CREATE)
    with pytest.raises(AlreadyExists, match="exists already"):
        await world.create(CREATE)
    assert world.vault.sealed == 1


async def test_a_name_taken_while_vault_seals_is_noticed(world: World) -> None:
    other = replace((await world.create(replace(CREATE, validate_only=True))).key, uid="of somebody else")
    world.vault.while_sealing = lambda: world.store.transaction.keys.add(other, "theirs")
    with pytest.raises(AlreadyExists):
        await world.create(CREATE)
    assert world.key() == other
    assert world.store.content.ciphertexts == {(other.uid, 1): "theirs"}


async def test_nothing_is_stored_when_vault_cannot_seal(world: World) -> None:
    world.vault.failure = vault_sealed()
    with pytest.raises(Unavailable, match="sealed"):
        await world.create(replace(CREATE, request=a_request("CreateKey")))
    assert world.store.content == MemoryContent()


async def test_validate_only_answers_what_would_be_and_stores_nothing(world: World) -> None:
    answer = await world.create(replace(CREATE, validate_only=True, request=a_request("CreateKey")))
    assert (answer.key.name, answer.key.current.mask) == (NAME, "…6789")
    assert world.store.content == MemoryContent()


async def test_validate_only_finds_a_taken_name_and_a_sealed_vault(world: World) -> None:
    world.vault.failure = vault_sealed()
    with pytest.raises(Unavailable):
        await world.create(replace(CREATE, validate_only=True))
    world.vault.failure = None
    await world.create(CREATE)
    with pytest.raises(AlreadyExists):
        await world.create(replace(CREATE, validate_only=True))


async def test_a_repeated_create_answers_the_same_even_when_the_key_is_gone_and_vault_sealed(world: World) -> None:
    command = replace(CREATE, request=a_request("CreateKey"))
    first = await world.create(command)
    await world.change(delete_key, DELETE)
    world.vault.failure = vault_sealed()
    assert await world.create(command) == first


async def test_a_request_id_for_another_request_is_refused(world: World) -> None:
    await world.create(replace(CREATE, request=a_request("CreateKey")))
    with pytest.raises(InvalidArgument):
        await world.create(replace(CREATE, request=a_request("CreateKey", b"other")))


async def test_two_equal_requests_at_once_make_one_key(world: World) -> None:
    command = replace(CREATE, request=a_request("CreateKey"))
    base = (await world.create(replace(CREATE, validate_only=True))).key
    first: list[KeyAnswer] = []

    def meanwhile() -> None:
        world.vault.while_sealing = lambda: None
        answer = KeyAnswer(key=replace(base, uid="the other's"))
        world.store.transaction.keys.add(answer.key, "theirs")
        world.store.transaction.requests.remember(a_request("CreateKey"), answer, now=world.clock.now())
        first.append(answer)

    world.vault.while_sealing = meanwhile
    assert [await world.create(command)] == first


async def test_rotating_replaces_material_mask_and_fingerprint(world: World) -> None:
    before = (await world.create(CREATE)).key
    world.clock.seconds += 60
    after = (await world.rotate(ROTATE)).key
    assert await world.material() == NEW
    assert (after.version, after.last_version, after.revision, after.current.mask) == (2, 2, 2, "…3210")
    assert after.current.fingerprint != before.current.fingerprint
    assert after.etag != before.etag
    assert (after.uid, after.create_time, after.rotate_time) == (before.uid, before.create_time, world.clock.now())
    assert world.key() == after


async def test_the_old_version_stays_usable_for_the_overlap_and_not_longer(world: World) -> None:
    await world.create(CREATE)
    overlap = timedelta(hours=1)
    key = (await world.rotate(replace(ROTATE, overlap=overlap))).key
    assert key.fallback is not None
    assert (key.fallback.number, key.fallback.usable_until) == (1, world.clock.now() + overlap)
    assert await world.material(version=1) == OLD


async def test_a_rotation_to_the_same_material_changes_nothing(world: World) -> None:
    before = (await world.create(CREATE)).key
    with pytest.raises(FailedPrecondition) as caught:
        await world.rotate(replace(ROTATE, material=OLD))
    assert caught.value.reason == "KEY_UNCHANGED"
    assert world.vault.sealed == 1
    assert world.key() == before


async def test_validating_a_rotation_answers_what_would_be_and_stores_nothing(world: World) -> None:
    await world.create(CREATE)
    before = world.store.content.snapshot()
    answer = await world.rotate(replace(ROTATE, validate_only=True, request=a_request("RotateKey")))
    assert (answer.key.version, answer.key.current.mask) == (2, "…3210")
    assert world.store.content == before
    world.vault.failure = vault_sealed()
    with pytest.raises(Unavailable):
        await world.rotate(replace(ROTATE, validate_only=True))


async def test_a_stale_etag_rotates_and_deletes_nothing(world: World) -> None:
    stale = (await world.create(CREATE)).key.etag
    current = (await world.rotate(ROTATE)).key
    with pytest.raises(Aborted):
        await world.rotate(replace(ROTATE, material=NEWEST, etag=stale))
    with pytest.raises(Aborted):
        await world.change(delete_key, replace(DELETE, etag=stale))
    assert world.key() == current


async def test_rotating_or_deleting_a_missing_key_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.rotate(ROTATE)
    with pytest.raises(NotFound):
        await world.change(delete_key, DELETE)


async def test_the_old_material_stays_when_vault_cannot_seal_the_new(world: World) -> None:
    before = (await world.create(CREATE)).key
    world.vault.failure = vault_sealed()
    with pytest.raises(Unavailable):
        await world.rotate(ROTATE)
    world.vault.failure = None
    assert await world.material() == OLD
    assert world.key() == before


@pytest.mark.parametrize("with_etag", [False, True])
async def test_whoever_loses_a_race_is_told_and_the_winner_stays(world: World, with_etag: bool) -> None:
    created = (await world.create(CREATE)).key
    other = created.rotated(
        replace(created.current, number=2, fingerprint="theirs"), overlap=timedelta(0), now=world.clock.now()
    )
    world.vault.while_sealing = lambda: world.store.transaction.keys.add_version(other, "theirs")
    with pytest.raises(Aborted) as caught:
        await world.rotate(replace(ROTATE, etag=created.etag if with_etag else ""))
    assert caught.value.reason == "ETAG_MISMATCH"
    assert world.key() == other
    assert world.store.content.ciphertexts[other.uid, 2] == "theirs"


async def test_a_key_made_anew_while_vault_seals_is_not_taken_for_the_old_one(world: World) -> None:
    created = (await world.create(CREATE)).key

    def replaced() -> None:
        world.store.transaction.keys.remove(created)
        world.store.transaction.keys.add(replace(created, uid="another"), "theirs")

    world.vault.while_sealing = replaced
    with pytest.raises(Aborted):
        await world.rotate(ROTATE)
    assert world.key().uid == "another"


async def test_what_was_reported_while_vault_seals_is_kept(world: World) -> None:
    created = (await world.create(CREATE)).key
    used = world.clock.now() + timedelta(seconds=1)
    reported = KeyStatus(condition=Condition.REJECTED, last_use_time=used, last_rejection_time=used)
    world.vault.while_sealing = lambda: world.store.transaction.statuses.put({created.uid: reported})
    answer = await world.rotate(ROTATE)
    assert answer.key.status == world.key().status == KeyStatus(last_use_time=used)


async def test_a_repeated_rotation_happens_once(world: World) -> None:
    await world.create(CREATE)
    command = replace(ROTATE, request=a_request("RotateKey"))
    first = await world.rotate(command)
    await world.rotate(replace(ROTATE, material=NEWEST))
    assert await world.rotate(command) == first
    assert world.key().version == 3
    world.clock.seconds += 24 * 3600
    assert (await world.rotate(command)).key.version == 4


async def test_a_rotation_that_was_overtaken_by_its_own_repetition_answers_the_same(world: World) -> None:
    await world.create(CREATE)
    command = replace(ROTATE, request=a_request("RotateKey"))
    answers: list[Key] = []

    def meanwhile() -> None:
        world.vault.while_sealing = lambda: None
        key = world.key()
        other = key.rotated(
            replace(key.current, number=2, fingerprint="new"), overlap=timedelta(0), now=world.clock.now()
        )
        world.store.transaction.keys.add_version(other, "theirs")
        world.store.transaction.requests.remember(a_request("RotateKey"), KeyAnswer(key=other), now=world.clock.now())
        answers.append(other)

    world.vault.while_sealing = meanwhile
    assert [(await world.rotate(command)).key] == answers


async def test_deleting_erases_every_version(world: World) -> None:
    await world.create(CREATE)
    await world.rotate(ROTATE)
    await world.change(delete_key, DELETE)
    assert world.store.content.keys == {}
    assert world.store.content.ciphertexts == {}


async def test_a_repeated_deletion_does_not_touch_the_key_made_since(world: World) -> None:
    command = replace(DELETE, request=a_request("DeleteKey"))
    await world.create(CREATE)
    await world.change(delete_key, command)
    made = (await world.create(CREATE)).key
    await world.change(delete_key, command)
    assert world.key() == made


async def test_each_change_is_one_event_by_whom_from_where_to_what(world: World) -> None:
    created = (await world.create(replace(CREATE, request=a_request("CreateKey")))).key
    await world.create(replace(CREATE, request=a_request("CreateKey")))
    await world.rotate(replace(ROTATE, overlap=timedelta(seconds=90)))
    await world.change(delete_key, DELETE)
    events = world.audited()
    assert [(event.action, dict(event.details)) for event in events] == [
        ("CreateKey", {"provider_type": "openai", "origin": ORIGIN}),
        ("RotateKey", {"version": "2", "overlap_s": "90"}),
        ("DeleteKey", {"uid": created.uid}),
    ]
    assert events[0] == AuditEvent(
        scope="tenants/acme",
        event_id=events[0].event_id,
        time=world.clock.now(),
        actor="tenants/acme/users/ann",
        roles=("tenant_admin",),
        address="192.0.2.7",
        action="CreateKey",
        target=str(NAME),
        outcome=AuditOutcome.SUCCEEDED,
        reason="",
        request_id="req-1",
        details=events[0].details,
    )


async def test_what_failed_is_not_in_the_audit_log(world: World) -> None:
    await world.create(CREATE)
    with pytest.raises(AlreadyExists):
        await world.create(CREATE)
    with pytest.raises(FailedPrecondition):
        await world.rotate(replace(ROTATE, material=OLD))
    assert [event.action for event in world.audited()] == ["CreateKey"]


async def test_a_change_that_cannot_be_recorded_is_not_made(world: World) -> None:
    # Longer than an event takes: what stands for any failure to record.
    author = replace(ANN, request_id="x" * 129)
    with pytest.raises(ValueError, match="request_id"):
        await world.create(replace(CREATE, author=author))
    assert world.store.content == MemoryContent()


async def test_what_happens_to_a_users_key_is_in_the_log_of_its_tenant(world: World) -> None:
    await world.create(replace(CREATE, name=KeyName.parse("tenants/acme/users/bob/keys/mine")))
    await world.create(replace(CREATE, name=KeyName.parse("platform/keys/ours")))
    assert [event.target for event in world.audited()] == ["tenants/acme/users/bob/keys/mine"]
    assert [event.target for event in world.audited("platform")] == ["platform/keys/ours"]


async def test_no_material_is_in_what_is_stored_or_recorded(world: World) -> None:
    await world.create(replace(CREATE, request=a_request("CreateKey")))
    await world.rotate(replace(ROTATE, request=a_request("RotateKey")))
    assert "sk-" not in repr(world.store.content)
    assert "sk-" not in repr((CREATE, ROTATE))


def test_fingerprints_depend_on_owner_material_and_key() -> None:
    digests = Digests(Secret(b"k" * 32))
    fingerprint = digests.fingerprint(NAME.owner, OLD)
    assert fingerprint == digests.fingerprint(NAME.owner, OLD)
    assert len(fingerprint) == 16
    assert fingerprint != digests.fingerprint(NAME.owner, NEW)
    assert fingerprint != digests.fingerprint(KeyName.parse("platform/keys/x").owner, OLD)
    assert fingerprint != Digests(Secret(b"other" * 8)).fingerprint(NAME.owner, OLD)


def test_a_tenant_and_its_users_share_a_fingerprint() -> None:
    digests = Digests(Secret(b"k" * 32))
    users = KeyName.parse("tenants/acme/users/bob/keys/x").owner
    assert digests.fingerprint(users, OLD) == digests.fingerprint(NAME.owner, OLD)
    assert digests.fingerprint(KeyName.parse("tenants/globex/keys/x").owner, OLD) != digests.fingerprint(users, OLD)


def test_keys_derived_for_other_purposes_differ() -> None:
    digests = Digests(Secret(b"k" * 32))
    one, other = digests.derived_key("audit heads"), digests.derived_key("other")
    assert one != other
    assert len(one) == 32
    assert one != Digests(Secret(b"o" * 32)).derived_key("audit heads")


async def test_versions_that_a_rotation_pushes_out_go_with_its_event(world: World) -> None:
    await world.create(CREATE)
    for number in range(MOST_VERSIONS + 1):
        await world.rotate(RotateKey(name=NAME, author=ANN, material=Secret(b"sk-pushed-out-%d" % number)))
    assert world.audited()[-2].details.get("destroyed_versions") is None
    assert world.audited()[-1].details["destroyed_versions"] == "1"


async def test_an_update_that_changes_nothing_is_none(world: World) -> None:
    await world.create(CREATE)
    before = world.key()
    occasion = Occasion(now=world.clock.now(), uid=world.new_uid())
    same = UpdateKey(name=NAME, author=ANN, display_name=before.display_name)
    assert await world.store.write(lambda transaction: update_key(transaction, same, occasion)) == before
    assert [event.action for event in world.audited()] == ["CreateKey"]
    other = UpdateKey(name=NAME, author=ANN, display_name="other")
    await world.store.write(lambda transaction: update_key(transaction, other, occasion))
    assert world.audited()[-1].details == {"changed": "display_name"}
