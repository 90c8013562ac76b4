"""Changes are sent again when nobody knows whether they arrived, always under the same request id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from gatehouse import DeadlineExceeded, GatehouseError, InvalidArgument, Unavailable
from gatehouse.cli import changes
from gatehouse.cli.changes import change
from gatehouse.keyvault.v1.key_service_pb2 import DisableKeyResponse

from tests.unit.client.fake_gatehouse import Failure, FakeGatehouse

CUT = Unavailable("no connection", reason="CONNECTION_FAILED", domain="client.gatehouse")
LATE = DeadlineExceeded("no answer", reason="DEADLINE_EXCEEDED", domain="client.gatehouse")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_LONGEST_PAUSE_S", 0.0)


def sender(*outcomes: GatehouseError | str) -> tuple[list[str], Callable[[str], str]]:
    """The ids it was called with, and what gives or raises one outcome after the other."""
    used: list[str] = []
    left: Iterator[GatehouseError | str] = iter(outcomes)

    def send(request_id: str) -> str:
        used.append(request_id)
        outcome = next(left)
        if isinstance(outcome, GatehouseError):
            raise outcome
        return outcome

    return used, send


@pytest.mark.parametrize("lost", [CUT, LATE])
def test_a_lost_answer_is_asked_for_again_under_the_same_id(
    capsys: pytest.CaptureFixture[str], lost: GatehouseError
) -> None:
    used, send = sender(lost, CUT, "done")
    assert change(send) == "done"
    assert len(used) == 3
    assert len(set(used)) == 1
    assert capsys.readouterr().err.count("sending the same request again") == 2


def test_each_change_has_an_id_of_its_own() -> None:
    first, send = sender("one")
    change(send)
    second, send = sender("two")
    change(send)
    assert first != second


@pytest.mark.parametrize(
    "answer",
    [
        Unavailable("sealed", reason="VAULT_SEALED", domain="keyvault.gatehouse"),
        Unavailable("no trust", reason="CERTIFICATE_REJECTED", domain="client.gatehouse"),
        InvalidArgument("too short", reason="INVALID_FIELD"),
    ],
)
def test_an_answer_of_the_server_is_final(answer: GatehouseError) -> None:
    used, send = sender(answer)
    with pytest.raises(type(answer)):
        change(send)
    assert len(used) == 1


def test_after_a_while_it_is_given_up_and_said_that_nobody_knows(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_GIVE_UP_AFTER_S", 0.0)
    used, send = sender(CUT)
    with pytest.raises(Unavailable):
        change(send)
    assert len(used) == 1
    assert "it is not known whether this was done: look before you repeat it" in capsys.readouterr().err


def test_what_never_left_this_machine_is_not_sent_again(fake: FakeGatehouse, run: Callable[..., Any]) -> None:
    fake.profile.write_text(fake.profile.read_text().replace(fake.target, "localhost:1"))
    result = run("keys", "enable", "openai")
    assert result.exit_code == 1
    assert "make run" in result.stderr
    assert "again" not in result.stderr


def test_a_connection_that_breaks_after_the_change_was_sent_is_mended(
    fake: FakeGatehouse, run: Callable[..., Any]
) -> None:
    # As gRPC tells of a connection that was cut: without any details of Gatehouse.
    answers: Iterator[Failure | None] = iter([Failure(grpc.StatusCode.UNAVAILABLE, "Socket closed"), None])

    def answer(_: object) -> DisableKeyResponse:
        if (cut := next(answers)) is not None:
            raise cut
        return DisableKeyResponse()

    fake.answers["DisableKey"] = answer
    result = run("keys", "disable", "openai")
    assert result.exit_code == 0
    assert "sending the same request again" in result.stderr
    first, second = (call.request for call in fake.received)
    assert first == second
    assert first.request_id
