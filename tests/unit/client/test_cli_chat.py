from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import gatehouse
import grpc
import pytest
from gatehouse.router.v1.generation_pb2 import FINISH_REASON_LENGTH, Outcome, PartialOutcome, TokenUsage
from gatehouse.router.v1.generation_service_pb2 import Completed, GenerateResponse, StreamGenerateResponse

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import OUTCOME, STREAM
from tests.unit.client.test_client_generate import endless, slow

Run = Callable[..., Any]


def test_the_answer_goes_to_stdout_and_the_facts_to_stderr(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["StreamGenerate"] = lambda _: STREAM
    result = run("chat", "Why is the sky blue?")
    assert (result.exit_code, result.stdout) == (0, "Because of Rayleigh.\n")
    assert result.stderr == (
        "openai / gpt-4o-mini · key openai · 12 in, 34 out · $0.00001245 · "
        "gateway 2.1 ms, provider 412 ms · 1 attempt\n"
    )


def test_options_reach_the_call(fake: FakeGatehouse, run: Run) -> None:
    options = ["--model", "gpt", "--provider", "openai", "--system", "Be brief.", "--max-output-tokens", "5"]
    assert run("chat", *options, "--task", "demo", "--label", "a=b", "--revision", "9", "hi").exit_code == 0
    generation = fake.last("StreamGenerate").request.generation
    assert [message.parts[0].text for message in generation.messages] == ["Be brief.", "hi"]
    assert (generation.model, generation.provider, generation.max_output_tokens) == ("gpt", "openai", 5)
    assert (generation.task, dict(generation.labels)) == ("demo", {"a": "b"})
    assert fake.last("StreamGenerate").metadata["gatehouse-revision"] == "9"


def test_no_stream_asks_for_a_whole_answer(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["Generate"] = lambda _: GenerateResponse(message=gatehouse.assistant("Whole."), outcome=OUTCOME)
    result = run("chat", "--no-stream", "hi")
    assert result.stdout == "Whole.\n"
    assert "$0.00001245" in result.stderr


def test_json_holds_text_and_outcome(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["Generate"] = lambda _: GenerateResponse(message=gatehouse.assistant("Whole."), outcome=OUTCOME)
    result = run("chat", "--json", "hi")
    document = json.loads(result.stdout)
    assert (document["text"], document["outcome"]["served_by"]["model"]) == ("Whole.", "gpt-4o-mini")
    assert result.stderr == ""


def test_a_piped_prompt_is_read_from_stdin(fake: FakeGatehouse, run: Run) -> None:
    assert run("chat", input="piped\nquestion\n").exit_code == 0
    assert fake.last("StreamGenerate").request.generation.messages[0].parts[0].text == "piped\nquestion"


def test_nothing_to_ask_is_a_usage_error(fake: FakeGatehouse, run: Run) -> None:
    result = run("chat", input="")
    assert (result.exit_code, fake.received) == (2, [])


def test_unknown_figures_are_not_shown_as_zero(fake: FakeGatehouse, run: Run) -> None:
    completed = Completed(outcome=Outcome(finish_reason=FINISH_REASON_LENGTH, warnings=["temperature was left out"]))
    fake.answers["StreamGenerate"] = lambda _: [
        StreamGenerateResponse(text_delta="x"),
        StreamGenerateResponse(completed=completed),
    ]
    stderr = run("chat", "hi").stderr
    assert "tokens unknown · unknown" in stderr
    assert "cut off at the output limit" in stderr
    assert "warning: temperature was left out" in stderr


def test_a_failure_is_one_clear_message_and_exit_code_1(fake: FakeGatehouse, run: Run) -> None:
    fake.fails("StreamGenerate", failure(grpc.StatusCode.FAILED_PRECONDITION, "no provider can", "NO_USABLE_TARGET"))
    result = run("chat", "hi")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: no provider can (NO_USABLE_TARGET)\n`gatehouse explain`")
    assert result.stderr.endswith("request id req-1\n")


def test_a_broken_stream_keeps_what_came_and_says_what_was_used(fake: FakeGatehouse, run: Run) -> None:
    def broken(_: object) -> Any:
        yield StreamGenerateResponse(text_delta="half")
        partial = PartialOutcome(usage=TokenUsage(input_tokens=5, output_tokens=2), estimated=True)
        raise failure(grpc.StatusCode.UNAVAILABLE, "the stream broke", "STREAM_INTERRUPTED", partial)

    fake.answers["StreamGenerate"] = broken
    result = run("chat", "hi")
    assert (result.exit_code, result.stdout) == (1, "half\n")
    assert "used until then: about 5 tokens in, 2 out" in result.stderr


def test_a_server_that_is_down_asks_whether_it_runs(fake: FakeGatehouse, run: Run) -> None:
    fake.profile.write_text(fake.profile.read_text().replace(fake.target, "localhost:1"))
    result = run("chat", "hi")
    assert result.exit_code == 1
    assert "Is Gatehouse running? `make run` starts it on this machine." in result.stderr


def test_foreign_text_cannot_steer_the_terminal(fake: FakeGatehouse, run: Run) -> None:
    fake.fails("StreamGenerate", failure(grpc.StatusCode.INTERNAL, "\x1b[2Jgone \x9b31m\u202e", "BAD\x07"))
    stderr = run("chat", "hi").stderr
    assert "error: [2Jgone 31m (BAD)" in stderr
    assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(stderr)


def test_a_conversation_keeps_its_history_and_outlives_failures(
    fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatehouse.cli.chat.stdin_is_terminal", lambda: True)

    def answer(request: Any) -> Any:
        if request.generation.messages[-1].parts[0].text == "fail":
            raise failure(grpc.StatusCode.UNAVAILABLE, "down", "PROVIDER_ERROR")
        return STREAM

    fake.answers["StreamGenerate"] = answer
    result = run("chat", "--system", "S", input="one\n\nfail\ntwo\n")
    assert result.exit_code == 0
    assert "down (PROVIDER_ERROR)" in result.stderr
    assert [message.parts[0].text for message in fake.last("StreamGenerate").request.generation.messages] == [
        "S",
        "one",
        "Because of Rayleigh.",
        "two",
    ]


def test_ctrl_c_cancels_the_call_and_exits_130(fake: FakeGatehouse) -> None:
    fake.answers["StreamGenerate"] = endless
    command = [
        sys.executable,
        "-c",
        "from gatehouse.cli import app; app()",
        "--profile",
        str(fake.profile),
        "chat",
        "hi",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.read(10) == "word word "
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, stderr) == (130, "cancelled\n")
    assert fake.ended.wait(10)


def test_ctrl_c_cancels_a_call_that_does_not_stream(fake: FakeGatehouse) -> None:
    fake.answers["Generate"] = slow
    command = [sys.executable, "-c", "from gatehouse.cli import app; app()", "--profile", str(fake.profile)]
    process = subprocess.Popen([*command, "chat", "--no-stream", "hi"], stderr=subprocess.PIPE, text=True)
    try:
        while not fake.received:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, stderr) == (130, "cancelled\n")


def test_a_call_of_a_conversation_says_so(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["StreamGenerate"] = lambda _: STREAM
    assert run("chat", "--session", "chat-42", "--task", "support", "And then?").exit_code == 0
    generation = fake.last("StreamGenerate").request.generation
    assert (generation.session, generation.task) == ("chat-42", "support")
