from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from gatehouse.cli.progress import progress
from gatehouse.keyvault.v1.key_maintenance_service_pb2 import (
    GetRewrapProgressResponse,
    RewrapKeysResponse,
    RewrapProgress,
)
from rich.console import Console

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import NOON

Run = Callable[..., Any]


def run_with(remaining: int, *, failed: int = 0) -> RewrapProgress:
    state = RewrapProgress(
        sealing_key_version=3, total_count=200, remaining_count=remaining, failed_count=failed, start_time=NOON
    )
    if remaining == failed:
        state.end_time.CopyFrom(NOON)
    return state


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehouse.cli.key_maintenance._POLL_S", 0.0)
    later = iter([150, 145, 60, 0])
    fake.answers |= {
        "RewrapKeys": lambda _: RewrapKeysResponse(progress=run_with(200)),
        "GetRewrapProgress": lambda _: GetRewrapProgressResponse(progress=run_with(next(later))),
    }


def methods(fake: FakeGatehouse) -> list[str]:
    return [call.method for call in fake.received]


def test_rewrap_waits_for_the_end_and_tells_each_tenth(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "rewrap")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "re-wrapped: 50 of 200",
        "re-wrapped: 140 of 200",
        "re-wrapped: 200 of 200",
    ]
    assert re.search(r"^remaining +0 *$", result.stdout, re.MULTILINE)
    assert methods(fake) == ["RewrapKeys", *["GetRewrapProgress"] * 4]
    assert fake.last("RewrapKeys").request.rotate_sealing_key is False


def test_the_sealing_key_is_rotated_only_on_request(fake: FakeGatehouse, run: Run) -> None:
    assert run("keys", "rewrap", "--rotate", "--no-wait").exit_code == 0
    assert fake.last("RewrapKeys").request.rotate_sealing_key is True


def test_rewrap_need_not_be_waited_for(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "rewrap", "--no-wait")
    assert re.search(r"^ended +not yet *$", result.stdout, re.MULTILINE)
    assert methods(fake) == ["RewrapKeys"]
    assert json.loads(run("keys", "rewrap", "--no-wait", "--json").stdout)["remaining_count"] == "200"


def test_what_does_not_open_is_said_loudly_and_fails_the_command(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["GetRewrapProgress"] = lambda _: GetRewrapProgressResponse(progress=run_with(2, failed=2))
    result = run("keys", "rewrap")
    assert result.exit_code == 1
    assert "2 ciphertexts do not open" in result.stderr
    assert "Enter these keys again" in result.stderr
    assert run("keys", "rewrap-progress").exit_code == 1


def test_a_restart_of_the_service_in_between_is_waited_out(fake: FakeGatehouse, run: Run) -> None:
    down = failure(grpc.StatusCode.UNAVAILABLE, "going away", "OVERLOADED")
    answers: Iterator[Any] = iter([down, down, run_with(0)])

    def answer(_: object) -> GetRewrapProgressResponse:
        following = next(answers)
        if isinstance(following, Exception):
            raise following
        return GetRewrapProgressResponse(progress=following)

    fake.answers["GetRewrapProgress"] = answer
    assert run("keys", "rewrap").exit_code == 0
    assert len(fake.received) == 4


def test_an_outage_without_an_end_is_given_up(fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehouse.cli.key_maintenance._OUTAGE_S", 0.0)
    fake.fails("GetRewrapProgress", failure(grpc.StatusCode.UNAVAILABLE, "gone", "OVERLOADED"))
    assert run("keys", "rewrap").exit_code == 1
    assert len(fake.received) == 2


def test_a_refusal_ends_the_waiting(fake: FakeGatehouse, run: Run) -> None:
    fake.fails("GetRewrapProgress", failure(grpc.StatusCode.PERMISSION_DENIED, "no", "PERMISSION_DENIED"))
    assert run("keys", "rewrap").exit_code == 1
    assert len(fake.received) == 2


def test_an_interrupted_wait_says_that_it_goes_on(
    fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gatehouse.cli.key_maintenance.time.sleep", interrupt)
    result = run("keys", "rewrap")
    assert result.exit_code == 130
    assert "it goes on without you: gatehouse keys rewrap-progress" in result.stderr


def test_progress_is_shown_without_beginning_anything(fake: FakeGatehouse, run: Run) -> None:
    result = run("keys", "rewrap-progress")
    assert re.search(r"^remaining +150 *$", result.stdout, re.MULTILINE)
    assert methods(fake) == ["GetRewrapProgress"]
    fake.answers["GetRewrapProgress"] = lambda _: GetRewrapProgressResponse()
    never = run("keys", "rewrap-progress")
    assert (never.exit_code, never.stdout) == (0, "")
    assert "never re-wrapped" in never.stderr


@pytest.mark.parametrize(
    ("total", "live", "shown"),
    [(200, True, "20/200"), (None, True, "exported 20 "), (200, False, "exported: 20 of 200"), (None, False, "")],
)
def test_a_terminal_gets_a_bar_unless_it_would_be_in_the_way(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    total: int | None,
    live: bool,
    shown: str,
) -> None:
    def terminal(*, stderr: bool) -> Console:
        return Console(stderr=stderr, force_terminal=True, width=100)

    monkeypatch.setattr("gatehouse.cli.progress.console", terminal)
    with progress("exported", total=total, live=live) as tell:
        tell(20)
    err = capsys.readouterr().err
    assert shown in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", err)
    assert ("\x1b" in err) is live
