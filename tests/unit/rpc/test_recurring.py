"""Work that is done again and again: it goes on whatever fails, says so once, and ends when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import uvloop
from structlog.testing import capture_logs
from structlog.typing import EventDict

from libs.core.errors import Aborted, Unavailable
from libs.rpc.recurring import Recurring

DOWN = Unavailable("DATABASE_UNAVAILABLE", "down")
SEALED = Unavailable("VAULT_SEALED", "sealed")
Outcome = BaseException | None


class Work:
    """Work with the outcomes a test gives it, and pauses that end when the test says so."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.calls = 0
        self.pauses: list[float] = []
        self.paused = asyncio.Event()
        self.over = asyncio.Event()
        self.began = asyncio.Event()
        self.may_end: asyncio.Event | None = None
        self.recurring: Recurring | None = None

    async def __call__(self) -> None:
        self.calls += 1
        self.began.set()
        if self.may_end is not None:
            await self.may_end.wait()
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.paused.set()
        await self.over.wait()
        self.over.clear()

    async def done(self) -> None:
        """Wait until the next call is over."""
        await self.paused.wait()
        self.paused.clear()

    async def again(self) -> None:
        """End the pause, and wait until the next call is over."""
        self.over.set()
        await self.done()

    async def run(self, *outcomes: Outcome) -> None:
        """Have the work end so, once each."""
        self.outcomes = list(outcomes)
        await self.done()
        for _ in outcomes[1:]:
            await self.again()


Start = Callable[..., Recurring]


@pytest.fixture
async def work(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Work]:
    work = Work()
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "sleep", work.pause)
        yield work
        if work.recurring is not None:
            await work.recurring.close()


@pytest.fixture
def start(work: Work) -> Start:
    def started(**options: object) -> Recurring:
        work.recurring = Recurring("sweep", work, **({"interval_s": 60.0} | options))  # type: ignore[arg-type]
        return work.recurring

    return started


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


async def test_the_work_is_done_at_once_and_after_every_interval(work: Work, start: Start) -> None:
    start()
    await work.run(None, None, None)
    assert work.calls == 3


async def test_pauses_differ_by_a_tenth_at_most_and_are_not_all_alike(work: Work, start: Start) -> None:
    start()
    await work.run(*[None] * 30)
    assert all(54 <= pause <= 66 for pause in work.pauses)
    assert max(work.pauses) - min(work.pauses) > 1


async def test_what_failed_is_tried_again_sooner_when_told_so(work: Work, start: Start) -> None:
    start(retry_s=1.0)
    await work.run(DOWN, ValueError("defect"), None)
    assert [0.9 <= pause <= 1.1 for pause in work.pauses] == [True, True, False]


async def test_otherwise_what_failed_is_tried_again_at_its_next_time(work: Work, start: Start) -> None:
    start()
    await work.run(DOWN)
    assert 54 <= work.pauses[0] <= 66


async def test_a_failure_is_told_once_until_it_is_over(work: Work, start: Start, lines: list[EventDict]) -> None:
    start()
    await work.run(DOWN, DOWN, DOWN, None, None, DOWN)
    assert [(line["event"], line["log_level"], line["work"], line.get("reason")) for line in lines] == [
        ("recurring_work_failed", "warning", "sweep", "DATABASE_UNAVAILABLE"),
        ("recurring_work_recovered", "info", "sweep", None),
        ("recurring_work_failed", "warning", "sweep", "DATABASE_UNAVAILABLE"),
    ]


async def test_an_outage_hides_neither_another_nor_a_defect(work: Work, start: Start, lines: list[EventDict]) -> None:
    defect = ValueError("defect")
    start()
    await work.run(DOWN, SEALED, DOWN, defect, Aborted("ETAG_MISMATCH", "x"), SEALED, ValueError("again"))
    assert [(line["log_level"], line.get("reason"), type(line.get("exc_info"))) for line in lines] == [
        ("warning", "DATABASE_UNAVAILABLE", type(None)),
        ("warning", "VAULT_SEALED", type(None)),
        ("error", None, ValueError),
        ("error", None, Aborted),
    ]
    assert lines[2]["exc_info"] is defect


async def test_it_goes_on_when_something_it_waited_for_was_cancelled(
    work: Work, start: Start, lines: list[EventDict]
) -> None:
    start()
    await work.run(asyncio.CancelledError(), None)
    assert work.calls == 2
    assert [line["event"] for line in lines] == ["recurring_work_failed", "recurring_work_recovered"]


async def test_closing_ends_a_pause(work: Work, start: Start) -> None:
    recurring = start()
    await work.run(None)
    await recurring.close()
    work.over.set()
    assert work.calls == 1


async def test_closing_cancels_what_is_under_way(work: Work, start: Start, lines: list[EventDict]) -> None:
    work.may_end = asyncio.Event()
    recurring = start()
    await work.began.wait()
    await recurring.close()
    assert (work.calls, work.pauses, lines) == (1, [], [])


async def test_it_can_be_closed_before_it_began(work: Work, start: Start) -> None:
    await start().close()
    assert work.calls == 0


async def test_last_work_is_done_once_more_at_the_end(work: Work, start: Start) -> None:
    recurring = start(last=True)
    await work.run(None)
    await recurring.close()
    assert work.calls == 2


async def test_last_work_is_done_also_when_it_was_cancelled_half_way(work: Work, start: Start) -> None:
    work.may_end = asyncio.Event()
    recurring = start(last=True)
    await work.began.wait()
    work.began.clear()
    closing = asyncio.create_task(recurring.close())
    await work.began.wait()
    work.may_end.set()
    await closing
    assert work.calls == 2
    work.recurring = None


async def test_last_work_that_fails_lets_the_rest_be_closed(work: Work, start: Start, lines: list[EventDict]) -> None:
    recurring = start(last=True)
    await work.run(None)
    work.outcomes = [DOWN]
    await recurring.close()
    assert [line["event"] for line in lines] == ["recurring_work_failed"]
    work.recurring = None


async def test_whoever_gives_up_closing_is_let_go(work: Work, start: Start) -> None:
    recurring = start(last=True)
    await work.run(None)
    work.may_end = asyncio.Event()
    work.began.clear()
    closing = asyncio.create_task(recurring.close())
    await work.began.wait()
    closing.cancel()
    await asyncio.wait({closing})
    assert closing.cancelled()
    work.recurring = None


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_endless_interval_means_once(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    calls = []

    async def once() -> None:
        calls.append(1)

    async def main() -> None:
        recurring = Recurring("import", once, interval_s=float("inf"), retry_s=0.001)
        await asyncio.sleep(0.05)
        await recurring.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
    assert calls == [1]
