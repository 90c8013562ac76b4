from __future__ import annotations

import asyncio
import weakref
from contextlib import aclosing
from dataclasses import replace

import pytest

from libs.core.errors import (
    FailedPrecondition,
    GatehouseError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from libs.core.money import TokenCounts
from services.router.domain.accounting import AttemptOutcome
from services.router.domain.configuration import Capabilities
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generate import Completed, Started, StreamEvent
from services.router.domain.generation import (
    Document,
    Finished,
    FinishReason,
    Generation,
    Message,
    Role,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from services.router.domain.outcome import StreamInterrupted
from services.router.domain.ports import Dispatch
from tests.unit.router.fakes import (
    PRICE,
    USAGE,
    World,
    answer,
    ask,
    context,
    finished,
    model,
    provider,
    until,
    world_of,
)

OVERLOADED = ProviderError(Reason.PROVIDER_OVERLOADED, status=503)


async def stream(world: World, request: Generation | None = None) -> list[StreamEvent]:
    return [event async for event in world.generator().stream(request or ask(), context())]


async def test_a_call_is_reserved_keyed_sent_and_settled_once() -> None:
    world = world_of(provider())
    given, outcome = await world.generator().generate(ask(), context())
    assert given.text == "Because."
    assert (outcome.usage, outcome.cost) == (USAGE, PRICE.cost(USAGE))
    assert [each.error_reason for each in outcome.attempts] == [""]
    assert world.keys.opened == ["tenants/acme/keys/one"]
    (settled,) = world.ledger.settled
    assert (settled.outcome, settled.tokens, settled.estimated) == (AttemptOutcome.SUCCEEDED, USAGE, False)
    assert world.ledger.open_attempts() == set()


async def test_the_reservation_is_an_upper_bound_of_what_is_sent() -> None:
    world = world_of(provider(models=[model(max_output_tokens=0)]))
    await world.generator().generate(ask("é" * 50), context())
    (reserved,) = world.ledger.reserved
    assert reserved.input_tokens_estimate >= 100
    assert reserved.output_tokens_limit == world.providers.dispatched[0].output_limit == 4096
    assert reserved.tenant == world.providers.dispatched[0].tenant


async def test_no_more_than_the_context_is_reserved_for_a_document_of_unknown_size() -> None:
    document = Document(url="https://example.com/a.pdf", media_type="application/pdf")
    call = replace(ask(), messages=(Message(Role.USER, (Text("Read this."), document)),))
    able = Capabilities(documents=True)
    for context_tokens, reserved in ((128_000, 128_000), (0, 1_050_000)):
        world = world_of(provider(models=[model(context_tokens=context_tokens, capabilities=able)]))
        await world.generator().generate(call, context())
        estimate = world.ledger.reserved[0].input_tokens_estimate
        assert reserved <= estimate <= reserved + 100


async def test_what_is_reserved_is_sent_as_the_limit() -> None:
    world = world_of(provider(models=[model(max_output_tokens=77)]))
    await world.generator().generate(ask(), context())
    await world.generator().generate(ask(max_output_tokens=5), context())
    assert [each.output_tokens_limit for each in world.ledger.reserved] == [77, 5]
    assert [each.output_limit for each in world.providers.dispatched] == [77, 5]


async def test_too_many_waiting_for_keys_leaves_nothing_reserved() -> None:
    world = world_of(provider())
    world.keys.overloaded = True
    with pytest.raises(Unavailable):
        await world.generator().generate(ask(), context())
    assert world.ledger.futures[0].cancelled()


async def test_a_finish_reason_is_recorded_without_what_cannot_be_printed() -> None:
    odd = Finished(finish_reason=FinishReason.UNKNOWN, raw_finish_reason="st\x00op" + "x" * 100, usage=USAGE)
    world = world_of(provider(), one=[[TextDelta("a"), odd]])
    await stream(world)
    assert world.ledger.settled[0].finish_reason == "stop" + "x" * 60


async def test_a_failing_target_is_replaced_by_the_next_one() -> None:
    world = world_of(provider("one", priority=1), provider("two", priority=2), one=[OVERLOADED])
    _, outcome = await world.generator().generate(ask(), context())
    assert outcome.served_by.provider.id == "two"
    assert [(each.number, each.error_reason) for each in outcome.attempts] == [(1, "PROVIDER_OVERLOADED"), (2, "")]
    assert [(each.outcome, each.fallback) for each in world.ledger.settled] == [
        (AttemptOutcome.FAILED, False),
        (AttemptOutcome.SUCCEEDED, True),
    ]
    assert world.ledger.settled[0].tokens == TokenCounts()


async def test_the_last_target_is_tried_exactly_once_more() -> None:
    world = world_of(provider(), one=[OVERLOADED, OVERLOADED, OVERLOADED])
    with pytest.raises(Unavailable) as failure:
        await world.generator().generate(ask(), context())
    assert failure.value.reason == "PROVIDER_OVERLOADED"
    assert failure.value.metadata == {"provider": "tenants/acme/providers/one", "model": "small", "status": "503"}
    assert len(world.providers.dispatched) == 2
    assert world.ledger.open_attempts() == set()


async def test_a_refused_request_is_not_sent_anywhere_else() -> None:
    refusal = ProviderError(Reason.PROVIDER_INVALID_REQUEST, status=400, message="no such parameter")
    world = world_of(provider("one"), provider("two"), one=[refusal])
    with pytest.raises(InvalidArgument, match="no such parameter"):
        await world.generator().generate(ask(), context())
    assert len(world.providers.dispatched) == 1


async def test_a_timeout_after_sending_is_recorded_with_an_estimate() -> None:
    late = ProviderError(Reason.PROVIDER_TIMEOUT, timer="first_event", sent=True)
    world = world_of(provider("one"), provider("two"), one=[late])
    await world.generator().generate(ask("word " * 100), context())
    first = world.ledger.settled[0]
    assert first.estimated
    assert first.tokens.input_tokens > 50


async def test_no_target_means_no_reservation_and_no_key() -> None:
    world = world_of(provider(active=False))
    with pytest.raises(FailedPrecondition) as nothing:
        await world.generator().generate(ask(), context())
    assert nothing.value.reason == "NO_USABLE_TARGET"
    assert (world.ledger.reserved, world.keys.opened) == ([], [])


async def test_an_exceeded_quota_stops_the_call_before_anything_is_sent() -> None:
    world = world_of(provider("one"), provider("two"))
    world.ledger.results = [ResourceExhausted("QUOTA_EXCEEDED", "too much")]
    with pytest.raises(ResourceExhausted, match="too much"):
        await world.generator().generate(ask(), context())
    assert world.providers.dispatched == []


@pytest.mark.parametrize(
    "refusal", [FailedPrecondition("ORIGIN_MISMATCH", "other origin"), NotFound("KEY_NOT_FOUND", "gone")]
)
async def test_a_key_that_does_not_open_speaks_against_its_target_only(refusal: GatehouseError) -> None:
    world = world_of(provider("one", priority=1), provider("two", priority=2))
    world.keys.results["tenants/acme/keys/one"] = refusal
    _, outcome = await world.generator().generate(ask(), context())
    assert outcome.served_by.provider.id == "two"
    assert [each.attempt for each in world.ledger.released] == [1]
    assert world.ledger.open_attempts() == set()


async def test_when_no_key_opens_every_target_is_named_with_its_reason() -> None:
    world = world_of(provider("one"))
    world.keys.results["tenants/acme/keys/one"] = NotFound("KEY_NOT_FOUND", "the key is gone")
    with pytest.raises(FailedPrecondition) as nothing:
        await world.generator().generate(ask(), context())
    assert [(each.type, each.description) for each in nothing.value.precondition_violations] == [
        ("KEY_UNUSABLE", "the key is gone")
    ]


@pytest.mark.parametrize(
    "reason",
    [
        "KEY_DISABLED",
        "KEY_UNREADABLE",
        "ORIGIN_MISMATCH",
        "VAULT_SECRET_MISSING",
        "VAULT_SECRET_DENIED",
        "VAULT_SECRET_NOT_ALLOWED",
    ],
)
async def test_key_vault_s_reason_and_words_are_what_the_caller_reads(reason: str) -> None:
    world = world_of(provider("one"))
    world.keys.results["tenants/acme/keys/one"] = FailedPrecondition(reason, "what to do about it")
    with pytest.raises(FailedPrecondition) as nothing:
        await world.generator().generate(ask(), context())
    assert nothing.value.reason == "NO_USABLE_TARGET"
    assert nothing.value.message.endswith("tenants/acme/providers/one: what to do about it")
    assert [(each.type, each.subject, each.description) for each in nothing.value.precondition_violations] == [
        (reason, "tenants/acme/providers/one/models/small", "what to do about it")
    ]


async def test_a_price_the_ledger_does_not_know_is_the_cause_a_caller_reads() -> None:
    world = world_of(provider("one"))
    world.ledger.results = [FailedPrecondition("PRICE_UNKNOWN", "set a price")]
    with pytest.raises(FailedPrecondition) as nothing:
        await world.generator().generate(ask(), context())
    assert [(each.type, each.description) for each in nothing.value.precondition_violations] == [
        ("PRICE_UNKNOWN", "set a price")
    ]


async def test_what_a_failed_attempt_went_through_is_let_go_before_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Answer:
        """Stands for what a provider's session holds while it waits: buffers, headers."""

    held: list[weakref.ref[Answer]] = []

    async def fail_once(_: Dispatch[Generation]) -> object:
        if held:
            assert held[0]() is None
            return answer()
        broken = Answer()
        held.append(weakref.ref(broken))
        raise ProviderError(Reason.PROVIDER_OVERLOADED, status=503)

    world = world_of(provider("one"), provider("two"))
    monkeypatch.setattr(world.providers, "generate", fail_once)
    _, outcome = await world.generator().generate(ask(), context())
    assert len(outcome.attempts) == 2


async def test_an_answer_says_which_targets_were_passed_over_and_why() -> None:
    world = world_of(provider("one", priority=1), provider("off", active=False), provider("two", priority=2))
    world.keys.results["tenants/acme/keys/one"] = FailedPrecondition("KEY_DISABLED", "the key is disabled; enable it")
    _, outcome = await world.generator().generate(ask(), context())
    assert outcome.warnings == ("tenants/acme/providers/one was passed over: the key is disabled; enable it",)


async def test_a_key_that_does_not_open_does_not_hide_what_a_provider_said() -> None:
    world = world_of(provider("one", priority=1), provider("two", priority=2), one=[OVERLOADED, OVERLOADED])
    world.keys.results["tenants/acme/keys/two"] = FailedPrecondition("KEY_DISABLED", "the key is disabled; enable it")
    with pytest.raises(Unavailable) as failure:
        await world.generator().generate(ask(), context())
    assert failure.value.reason == "PROVIDER_OVERLOADED"
    assert failure.value.metadata["provider"] == "tenants/acme/providers/one"
    assert [(each.type, each.description) for each in failure.value.precondition_violations] == [
        ("KEY_DISABLED", "the key is disabled; enable it")
    ]
    assert world.ledger.open_attempts() == set()


async def test_a_sealed_vault_fails_the_call_and_gives_the_reservation_back() -> None:
    world = world_of(provider("one"), provider("two"))
    world.keys.results["tenants/acme/keys/one"] = Unavailable("VAULT_SEALED", "sealed")
    with pytest.raises(Unavailable) as failure:
        await world.generator().generate(ask(), context())
    assert failure.value.reason == "VAULT_SEALED"
    assert world.ledger.open_attempts() == set()
    assert world.providers.dispatched == []


async def test_a_lost_answer_of_the_ledger_is_undone() -> None:
    world = world_of(provider())
    world.ledger.unreachable = True
    with pytest.raises(Unavailable):
        await world.generator().generate(ask(), context())
    assert [each.attempt for each in world.ledger.released] == [1]


async def test_a_full_spool_takes_no_new_calls() -> None:
    world = world_of(provider())
    world.ledger.accepting = False
    with pytest.raises(Unavailable) as refused:
        await world.generator().generate(ask(), context())
    assert refused.value.reason == "SPOOL_FULL"
    assert world.ledger.reserved == []


async def test_what_a_dialect_leaves_out_is_told_both_ways() -> None:
    world = world_of(provider())
    world.providers.left_out = ("thinking left out: no room for it",)
    _, outcome = await world.generator().generate(ask(), context())
    assert outcome.warnings == world.providers.left_out
    completed = (await stream(world))[-1]
    assert isinstance(completed, Completed)
    assert completed.outcome.warnings == world.providers.left_out


async def test_an_answer_without_usage_is_estimated_and_says_so() -> None:
    world = world_of(provider(), one=[answer("word " * 40, usage=None)])
    _, outcome = await world.generator().generate(ask(), context())
    assert (outcome.usage, outcome.cost) == (None, None)
    assert "did not say" in outcome.warnings[0]
    (settled,) = world.ledger.settled
    assert settled.estimated
    assert settled.tokens.output_tokens == 50


@pytest.mark.parametrize("hanging", ["provider", "key"])
async def test_a_cancelled_call_leaves_one_record_and_nothing_reserved(hanging: str) -> None:
    world = world_of(provider(), one=[None] if hanging == "provider" else [])
    world.keys.hang = hanging == "key"
    task = asyncio.create_task(world.generator().generate(ask(), context()))
    await until(lambda: bool(world.providers.dispatched if hanging == "provider" else world.keys.opened))
    # A reservation that is still on its way is undone by the ledger's client, not here.
    await until(world.ledger.futures[0].done)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.ledger.open_attempts() == set()
    outcomes = [(each.outcome, each.error_reason) for each in world.ledger.settled]
    assert outcomes == ([(AttemptOutcome.CANCELLED, "CANCELLED")] if hanging == "provider" else [])


async def test_a_call_cut_off_by_its_deadline_says_so_in_the_ledger() -> None:
    world = world_of(provider(), one=[None])
    call = context(seconds=0.05)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.06):
            await world.generator().generate(ask(), call)
    assert [each.error_reason for each in world.ledger.settled] == ["DEADLINE_EXCEEDED"]


async def test_a_stream_is_started_then_deltas_then_completed() -> None:
    script = [TextDelta("a"), ToolCallStarted(0, "c", "t"), ToolArgumentsDelta(0, "{}"), finished()]
    world = world_of(provider(), one=[script])
    events = await stream(world)
    assert isinstance(events[0], Started)
    assert events[1:4] == script[:3]
    last = events[-1]
    assert isinstance(last, Completed)
    assert (len(events), last.outcome.usage) == (5, USAGE)
    assert world.providers.streams[0].closed
    assert world.ledger.open_attempts() == set()


async def test_a_stream_without_content_is_still_started_and_completed() -> None:
    events = await stream(world_of(provider(), one=[[finished()]]))
    assert [type(event) for event in events] == [Started, Completed]


async def test_a_stream_that_fails_before_content_goes_on_with_the_next_target_unseen() -> None:
    world = world_of(provider("one", priority=1), provider("two", priority=2), one=[[OVERLOADED]])
    events = await stream(world)
    assert isinstance(events[0], Started)
    assert events[0].target.provider.id == "two"
    assert sum(isinstance(event, Started) for event in events) == 1


async def test_a_stream_that_breaks_after_content_is_never_switched() -> None:
    world = world_of(provider("one", priority=1), provider("two", priority=2), one=[[TextDelta("a b c"), OVERLOADED]])
    seen: list[StreamEvent] = []
    with pytest.raises(StreamInterrupted) as broken:
        async for event in world.generator().stream(ask(), context()):
            seen.append(event)
    assert [type(event) for event in seen] == [Started, TextDelta]
    assert broken.value.usage.output_tokens == 2
    assert [each.outcome for each in world.ledger.settled] == [AttemptOutcome.INTERRUPTED]
    assert len(world.providers.dispatched) == 1


async def test_closing_a_stream_closes_the_provider_s_and_records_what_was_delivered() -> None:
    world = world_of(provider(), one=[[TextDelta("one"), TextDelta("two"), None]])
    async with aclosing(world.generator().stream(ask(), context())) as events:
        async for event in events:
            if event == TextDelta("two"):
                break
    assert world.providers.streams[0].closed
    (settled,) = world.ledger.settled
    assert (settled.outcome, settled.tokens.output_tokens) == (AttemptOutcome.CANCELLED, 2)


async def test_a_call_cancelled_before_anything_went_out_is_charged_nothing() -> None:
    world = world_of(provider(), one=[None])
    world.providers.held_back = True
    task = asyncio.create_task(world.generator().generate(ask("x" * 400), context()))
    await until(lambda: bool(world.providers.dispatched))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (settled,) = world.ledger.settled
    assert (settled.outcome, settled.tokens, settled.estimated) == (AttemptOutcome.CANCELLED, TokenCounts(), False)


async def test_an_idle_stream_that_is_cancelled_closes_the_provider_s() -> None:
    world = world_of(provider(), one=[[TextDelta("one"), None]])
    task = asyncio.create_task(stream(world))
    await until(lambda: bool(world.providers.streams))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.providers.streams[0].closed
    assert [each.outcome for each in world.ledger.settled] == [AttemptOutcome.CANCELLED]


async def test_explaining_calls_nobody() -> None:
    world = world_of(provider("one"), provider("two", active=False))
    plan = (await world.explainer().explain(ask(), context())).plan
    assert [each.provider.id for each in plan.targets] == ["one"]
    assert [each.provider_name for each in plan.rejected] == ["tenants/acme/providers/two"]
    assert (world.ledger.reserved, world.keys.opened, world.providers.dispatched) == ([], [], [])
