"""A key whose version in use the provider refuses, while an older one still overlaps with it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from libs.core.errors import (
    FailedPrecondition,
    GatehouseError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from services.router.domain.accounting import AttemptOutcome
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.failover import FailoverPolicy
from services.router.domain.generate import Completed, Started, StreamEvent
from services.router.domain.generation import TextDelta
from services.router.domain.outcome import Outcome, StreamInterrupted
from services.router.domain.ports import Granted
from tests.unit.router.fakes import PRICE, World, ask, context, finished, opened, provider, until, world_of

REFUSED = ProviderError(Reason.PROVIDER_KEY_REJECTED, status=401)
OVERLOADED = ProviderError(Reason.PROVIDER_OVERLOADED, status=503)
KEY = "tenants/acme/keys/one"


def rotated(*others: str, **scripts: list[object]) -> World:
    """The key of provider `one` is in version 3, and version 2 overlaps with it."""
    providers = [provider(name, priority=number) for number, name in enumerate(("one", *others))]
    world = world_of(*providers, **scripts)
    world.keys.results[KEY] = opened(3, fallback_version=2)
    return world


async def generate(world: World) -> Outcome:
    _, outcome = await world.generator().generate(ask(), context())
    return outcome


def materials(world: World) -> list[bytes | None]:
    return [each.key.reveal() if each.key is not None else None for each in world.providers.dispatched]


def tried(outcome: Outcome) -> list[tuple[int, str, int, str]]:
    return [(each.number, each.target.provider.id, each.key_version, each.error_reason) for each in outcome.attempts]


async def test_a_refused_key_costs_no_call_while_an_older_version_overlaps() -> None:
    world = rotated(one=[REFUSED])
    outcome = await generate(world)
    assert tried(outcome) == [(1, "one", 3, "PROVIDER_KEY_REJECTED"), (2, "one", 2, "")]
    assert materials(world) == [b"material 3", b"material 2"]
    assert world.keys.asked == [0, 2]


async def test_the_overlapping_version_comes_before_other_targets() -> None:
    outcome = await generate(rotated("two", one=[REFUSED]))
    assert outcome.served_by.provider.id == "one"


async def test_each_version_is_reserved_and_settled_for_itself() -> None:
    world = rotated(one=[REFUSED])
    await generate(world)
    assert [each.attempt for each in world.ledger.reserved] == [1, 2]
    assert [(each.attempt, each.outcome, each.error_reason, each.fallback) for each in world.ledger.settled] == [
        (1, AttemptOutcome.FAILED, "PROVIDER_KEY_REJECTED", False),
        (2, AttemptOutcome.SUCCEEDED, "", True),
    ]
    assert world.ledger.released == []
    assert world.ledger.open_attempts() == set()


async def test_a_call_without_trouble_opens_one_key_once() -> None:
    world = rotated()
    outcome = await generate(world)
    assert tried(outcome) == [(1, "one", 3, "")]
    assert world.keys.asked == [0]
    assert world.observer.key_fallbacks == []


async def test_the_fallback_is_told_with_both_versions() -> None:
    world = rotated(one=[REFUSED])
    await generate(world)
    assert world.observer.key_fallbacks == [(KEY, 3, 2)]


async def test_without_an_overlapping_version_the_next_target_is_tried() -> None:
    world = rotated("two", one=[REFUSED])
    world.keys.results[KEY] = opened(3)
    outcome = await generate(world)
    assert tried(outcome) == [(1, "one", 3, "PROVIDER_KEY_REJECTED"), (2, "two", 1, "")]


@pytest.mark.parametrize(
    "reason", [Reason.PROVIDER_PERMISSION_DENIED, Reason.PROVIDER_BILLING, Reason.PROVIDER_MODEL_NOT_FOUND]
)
async def test_only_a_refusal_of_the_key_itself_asks_for_the_older_version(reason: Reason) -> None:
    world = rotated("two", one=[ProviderError(reason, status=403)])
    outcome = await generate(world)
    assert [each.target.provider.id for each in outcome.attempts] == ["one", "two"]
    assert world.keys.asked == [0, 0]


async def test_when_both_versions_are_refused_the_next_target_is_tried() -> None:
    world = rotated("two", one=[REFUSED, REFUSED])
    outcome = await generate(world)
    assert tried(outcome) == [
        (1, "one", 3, "PROVIDER_KEY_REJECTED"),
        (2, "one", 2, "PROVIDER_KEY_REJECTED"),
        (3, "two", 1, ""),
    ]
    assert world.ledger.open_attempts() == set()


async def test_a_call_falls_back_once_even_when_the_older_version_overlaps_with_another() -> None:
    world = rotated(one=[REFUSED, REFUSED, REFUSED])
    world.keys.versions[KEY, 2] = opened(2, fallback_version=1)
    with pytest.raises(FailedPrecondition) as failure:
        await generate(world)
    assert failure.value.reason == "PROVIDER_KEY_REJECTED"
    assert world.keys.asked == [0, 2]


async def test_every_target_may_fall_back_once() -> None:
    world = rotated("two", one=[REFUSED, REFUSED], two=[REFUSED])
    world.keys.results["tenants/acme/keys/two"] = opened(9, fallback_version=8)
    outcome = await generate(world)
    assert [(each.target.provider.id, each.key_version) for each in outcome.attempts] == [
        ("one", 3),
        ("one", 2),
        ("two", 9),
        ("two", 8),
    ]


async def test_a_retry_after_the_fallback_keeps_to_the_version_that_was_not_refused() -> None:
    world = rotated(one=[REFUSED, OVERLOADED])
    outcome = await generate(world)
    assert [(each.key_version, each.error_reason) for each in outcome.attempts] == [
        (3, "PROVIDER_KEY_REJECTED"),
        (2, "PROVIDER_OVERLOADED"),
        (2, ""),
    ]


async def test_a_retry_of_the_version_in_use_may_still_fall_back() -> None:
    world = rotated(one=[OVERLOADED, REFUSED])
    outcome = await generate(world)
    assert [each.key_version for each in outcome.attempts] == [3, 3, 2]
    assert world.keys.asked == [0, 0, 2]


async def test_the_fallback_counts_among_the_attempts_of_a_call() -> None:
    world = rotated(one=[REFUSED])
    world.policy = FailoverPolicy(max_attempts=1)
    with pytest.raises(FailedPrecondition) as failure:
        await generate(world)
    assert failure.value.reason == "PROVIDER_KEY_REJECTED"
    assert world.keys.asked == [0]


async def test_a_call_whose_deadline_has_passed_does_not_fall_back() -> None:
    world = rotated(one=[REFUSED])
    with pytest.raises(FailedPrecondition):
        await world.generator().generate(ask(), context(seconds=0.0))
    assert world.keys.asked == [0]


@pytest.mark.parametrize(
    "gone",
    [
        FailedPrecondition("KEY_VERSION_RETIRED", "version 2 was replaced"),
        NotFound("KEY_VERSION_NOT_FOUND", "no version 2"),
        PermissionDenied("PERMISSION_DENIED", "you may not do this, or the resource does not exist"),
    ],
)
async def test_an_older_version_that_is_gone_meanwhile_does_not_hide_the_refusal(gone: GatehouseError) -> None:
    world = rotated(one=[REFUSED])
    world.keys.versions[KEY, 2] = gone
    with pytest.raises(FailedPrecondition) as failure:
        await generate(world)
    assert (failure.value.reason, failure.value.metadata["status"]) == ("PROVIDER_KEY_REJECTED", "401")
    assert failure.value.precondition_violations == ()
    assert [each.attempt for each in world.ledger.settled] == [1]
    assert [each.attempt for each in world.ledger.released] == [2]


async def test_an_older_version_that_is_gone_meanwhile_leaves_the_next_target() -> None:
    world = rotated("two", one=[REFUSED])
    world.keys.versions[KEY, 2] = FailedPrecondition("KEY_VERSION_RETIRED", "version 2 was replaced")
    outcome = await generate(world)
    assert tried(outcome) == [(1, "one", 3, "PROVIDER_KEY_REJECTED"), (3, "two", 1, "")]
    assert outcome.warnings == ()
    assert world.ledger.open_attempts() == set()


async def test_a_sealed_vault_at_the_fallback_says_that_trying_again_helps() -> None:
    world = rotated("two", one=[REFUSED])
    world.keys.versions[KEY, 2] = Unavailable("VAULT_SEALED", "sealed")
    with pytest.raises(Unavailable) as failure:
        await generate(world)
    assert failure.value.reason == "VAULT_SEALED"
    assert world.ledger.open_attempts() == set()


async def test_a_quota_that_ends_between_the_versions_holds() -> None:
    world = rotated(one=[REFUSED])
    world.ledger.results = [Granted(PRICE), ResourceExhausted("QUOTA_EXCEEDED", "too much")]
    with pytest.raises(ResourceExhausted, match="too much"):
        await generate(world)
    assert len(world.providers.dispatched) == 1


async def test_a_call_cancelled_while_it_falls_back_leaves_nothing_reserved() -> None:
    world = rotated(one=[REFUSED, None])
    task = asyncio.create_task(generate(world))
    await until(lambda: len(world.providers.dispatched) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(each.attempt, each.outcome) for each in world.ledger.settled] == [
        (1, AttemptOutcome.FAILED),
        (2, AttemptOutcome.CANCELLED),
    ]
    assert world.ledger.open_attempts() == set()


@pytest.mark.parametrize("script", [REFUSED, [REFUSED]], ids=["by its status", "by its first event"])
async def test_a_stream_refused_before_its_first_content_falls_back_unseen(script: object) -> None:
    world = rotated(one=[script, [TextDelta("Hello"), finished()]])
    events = [event async for event in world.generator().stream(ask(), context())]
    assert [type(event) for event in events] == [Started, TextDelta, Completed]
    last = events[-1]
    assert isinstance(last, Completed)
    assert tried(last.outcome) == [(1, "one", 3, "PROVIDER_KEY_REJECTED"), (2, "one", 2, "")]
    assert all(each.closed for each in world.providers.streams)
    assert world.ledger.open_attempts() == set()


async def test_a_stream_refused_after_content_never_falls_back() -> None:
    world = rotated(one=[[TextDelta("Hel"), REFUSED]])
    seen: list[StreamEvent] = []
    with pytest.raises(StreamInterrupted):
        async for event in world.generator().stream(ask(), context()):
            seen.append(event)
    assert [type(event) for event in seen] == [Started, TextDelta]
    assert world.keys.asked == [0]
    assert [each.outcome for each in world.ledger.settled] == [AttemptOutcome.INTERRUPTED]


def test_an_opened_key_shows_its_versions_and_not_its_material() -> None:
    key = opened(3, fallback_version=2)
    assert repr(key) == "OpenedKey(version=3, fallback_version=2)"
    assert replace(key, version=4).material.reveal() == b"material 3"
