"""What waits rides together, in order, and everybody gets an end: a result, an error or their own cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import Aborted, GatehouseError, Internal, Unavailable
from libs.rpc.batcher import Batcher

SOON_S = 5.0


class Peer:
    """Notes the batches it gets and answers each when told."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.answers: list[asyncio.Future[Sequence[str]]] = []
        self.under_way = 0
        self.most_under_way = 0

    async def send(self, items: list[int]) -> Sequence[str]:
        answer: asyncio.Future[Sequence[str]] = asyncio.get_running_loop().create_future()
        self.batches.append(items)
        self.answers.append(answer)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await answer
        finally:
            self.under_way -= 1

    def unanswered(self) -> list[int]:
        return [number for number, answer in enumerate(self.answers) if not answer.done()]

    def answer(self, number: int) -> None:
        self.answers[number].set_result([str(item) for item in self.batches[number]])


async def settle() -> None:
    """Let everything that can run now run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_an_idle_batcher_sends_at_once() -> None:
    peer = Peer()
    future = Batcher(peer.send).submit(1)
    await settle()
    assert peer.batches == [[1]]
    peer.answer(0)
    assert await future == "1"


async def test_what_arrives_in_the_same_moment_goes_together() -> None:
    peer = Peer()
    batcher = Batcher(peer.send)
    futures = [batcher.submit(n) for n in range(5)]
    await settle()
    assert peer.batches == [[0, 1, 2, 3, 4]]
    peer.answer(0)
    assert await asyncio.gather(*futures) == ["0", "1", "2", "3", "4"]


async def test_what_arrives_while_a_batch_is_in_flight_rides_the_next() -> None:
    peer = Peer()
    batcher = Batcher(peer.send, max_in_flight=1)
    batcher.submit(1)
    await settle()
    futures = [batcher.submit(n) for n in (2, 3, 4)]
    await settle()
    assert peer.batches == [[1]]
    peer.answer(0)
    await settle()
    assert peer.batches == [[1], [2, 3, 4]]
    peer.answer(1)
    assert await asyncio.gather(*futures) == ["2", "3", "4"]


async def test_no_more_batches_than_allowed_are_in_flight() -> None:
    peer = Peer()
    batcher = Batcher(peer.send, max_batch=2, max_in_flight=3)
    futures = []
    for n in range(20):
        futures.append(batcher.submit(n))
        await settle()
    assert len(peer.batches) == 3
    while unanswered := peer.unanswered():
        peer.answer(unanswered[0])
        await settle()
    assert all(future.done() for future in futures)
    assert peer.most_under_way == 3
    assert all(len(batch) <= 2 for batch in peer.batches)
    assert sorted(item for batch in peer.batches for item in batch) == list(range(20))


async def test_an_item_cancelled_before_it_is_sent_is_not_sent() -> None:
    peer = Peer()
    batcher = Batcher(peer.send, max_in_flight=1)
    batcher.submit(1)
    await settle()
    kept, dropped = batcher.submit(2), batcher.submit(3)
    dropped.cancel()
    peer.answer(0)
    await settle()
    assert peer.batches == [[1], [2]]
    peer.answer(1)
    assert await kept == "2"


async def test_a_batch_of_only_cancelled_items_is_not_sent() -> None:
    peer = Peer()
    batcher = Batcher(peer.send)
    batcher.submit(1).cancel()
    await batcher.close()
    assert peer.batches == []


async def test_a_result_nobody_waits_for_any_more_is_handed_to_abandoned() -> None:
    peer = Peer()
    abandoned: list[tuple[int, str | GatehouseError]] = []
    batcher = Batcher(peer.send, abandoned=lambda item, result: abandoned.append((item, result)))
    kept, given_up = batcher.submit(1), batcher.submit(2)
    await settle()
    given_up.cancel()
    peer.answer(0)
    assert await kept == "1"
    assert abandoned == [(2, "2")]


async def test_a_result_that_arrives_in_the_moment_of_the_cancellation_is_abandoned_too() -> None:
    peer = Peer()
    abandoned: list[tuple[int, str | GatehouseError]] = []
    batcher = Batcher(peer.send, abandoned=lambda item, result: abandoned.append((item, result)))

    future = batcher.submit(1)
    # Asked before the caller waits, so this runs first: the result is there, and the caller has not run again.
    future.add_done_callback(lambda _: caller.cancel())

    async def wait() -> str:
        return await future

    caller = asyncio.create_task(wait())
    await settle()
    peer.answer(0)
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert abandoned == [(1, "1")]


async def test_an_item_whose_batch_failed_after_its_caller_left_is_abandoned_with_the_failure() -> None:
    failure = Unavailable("SERVICE_UNREACHABLE", "the answer was lost")
    going = asyncio.Event()

    async def send(items: list[int]) -> list[str]:
        await going.wait()
        raise failure

    abandoned: list[tuple[int, str | GatehouseError]] = []
    batcher = Batcher(send, abandoned=lambda item, result: abandoned.append((item, result)))
    given_up = batcher.submit(1)
    await settle()
    given_up.cancel()
    going.set()
    await batcher.close()
    assert abandoned == [(1, failure)]


async def test_a_result_that_reached_its_caller_is_not_abandoned() -> None:
    peer = Peer()
    abandoned: list[int] = []
    batcher = Batcher(peer.send, abandoned=lambda item, _: abandoned.append(item))
    future = batcher.submit(1)
    await settle()
    peer.answer(0)
    assert await future == "1"
    await settle()
    assert abandoned == []


async def test_a_failing_abandoned_keeps_no_result_back() -> None:
    peer = Peer()

    def broken(item: int, result: str | GatehouseError) -> None:
        raise RuntimeError

    batcher = Batcher(peer.send, abandoned=broken)
    given_up, kept = batcher.submit(1), batcher.submit(2)
    await settle()
    given_up.cancel()
    peer.answer(0)
    async with asyncio.timeout(SOON_S):
        assert await kept == "2"


@pytest.mark.parametrize(
    ("failure", "seen"),
    [
        (Aborted("ETAG_MISMATCH", "text"), Aborted),
        (ValueError("secret text"), Internal),
        # As when the channel under `send` is closed.
        (asyncio.CancelledError(), Unavailable),
    ],
)
async def test_every_item_of_a_failed_batch_fails_and_the_next_batch_is_sent(
    failure: BaseException, seen: type[GatehouseError]
) -> None:
    peer = Peer()
    batcher = Batcher(peer.send, max_in_flight=1)
    first = [batcher.submit(1), batcher.submit(2)]
    await settle()
    # Nothing else is submitted later: what waits must not need a newcomer to be sent.
    later = batcher.submit(3)
    if isinstance(failure, asyncio.CancelledError):
        peer.answers[0].cancel()
    else:
        peer.answers[0].set_exception(failure)
    async with asyncio.timeout(SOON_S):
        for future in first:
            with pytest.raises(seen) as caught:
                await future
            assert "secret" not in str(caught.value)
        await settle()
        assert peer.batches == [[1, 2], [3]]
        peer.answer(1)
        assert await later == "3"


@pytest.mark.parametrize("answer", [[], ["1"], ["1", "2", "3"], None])
async def test_another_number_of_results_fails_every_item(answer: Sequence[str] | None) -> None:
    async def send(items: list[int]) -> Sequence[str]:
        return answer  # type: ignore[return-value]

    batcher = Batcher(send)
    futures = [batcher.submit(1), batcher.submit(2)]
    async with asyncio.timeout(SOON_S):
        for future in futures:
            with pytest.raises(Internal):
                await future


async def test_too_many_waiting_items_are_refused() -> None:
    peer = Peer()
    batcher = Batcher(peer.send, max_in_flight=1, max_waiting=2)
    batcher.submit(0)
    await settle()
    waiting = [batcher.submit(1), batcher.submit(2)]
    with pytest.raises(Unavailable) as caught:
        batcher.submit(3)
    assert caught.value.reason == "OVERLOADED"
    assert caught.value.retry_delay_s is not None
    peer.answer(0)
    await settle()
    peer.answer(1)
    assert await asyncio.gather(*waiting) == ["1", "2"]


async def test_close_sends_what_waits_and_waits_for_its_results() -> None:
    peer = Peer()
    batcher = Batcher(peer.send, max_in_flight=1)
    futures = [batcher.submit(1)]
    await settle()
    futures.append(batcher.submit(2))
    closing = asyncio.create_task(batcher.close())
    await settle()
    assert not closing.done()
    peer.answer(0)
    await settle()
    assert not closing.done()
    peer.answer(1)
    async with asyncio.timeout(SOON_S):
        await closing
    assert [future.result() for future in futures] == ["1", "2"]


async def test_closing_an_idle_batcher_returns() -> None:
    async with asyncio.timeout(SOON_S):
        await Batcher(Peer().send).close()


async def test_a_failure_nobody_waits_for_is_no_warning() -> None:
    async def send(items: list[int]) -> Sequence[str]:
        raise Unavailable("OVERLOADED", "text")

    batcher = Batcher(send)
    batcher.submit(1)
    await batcher.close()


@given(
    st.lists(st.sampled_from(["submit", "submit", "submit", "answer", "cancel", "tick"]), max_size=60),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_items_go_out_in_order_and_each_future_gets_its_own_result(
    steps: list[str], max_batch: int, max_in_flight: int
) -> None:
    async def play() -> None:
        peer = Peer()
        abandoned: list[int] = []
        batcher = Batcher(
            peer.send,
            max_batch=max_batch,
            max_in_flight=max_in_flight,
            abandoned=lambda item, _: abandoned.append(item),
        )
        futures: list[asyncio.Future[str]] = []
        for step in steps:
            if step == "submit":
                futures.append(batcher.submit(len(futures)))
            elif step == "cancel" and futures:
                futures[len(futures) // 2].cancel()
            elif step == "tick":
                await settle()
            elif step == "answer" and (unanswered := peer.unanswered()):
                # The latest first: answers need not come in order.
                peer.answer(unanswered[-1])
        closing = asyncio.create_task(batcher.close())
        async with asyncio.timeout(SOON_S):
            while not closing.done():
                for number in peer.unanswered():
                    peer.answer(number)
                await settle()
        check(peer, futures, abandoned)
        assert peer.most_under_way <= max_in_flight
        assert all(0 < len(batch) <= max_batch for batch in peer.batches)

    def check(peer: Peer, futures: list[asyncio.Future[str]], abandoned: list[int]) -> None:
        sent = [item for batch in peer.batches for item in batch]
        assert sent == sorted(set(sent))
        for item, future in enumerate(futures):
            if future.cancelled():
                assert abandoned.count(item) == sent.count(item)
            else:
                assert future.result() == str(item)
                assert item not in abandoned

    asyncio.run(play())
