from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from gatehouse.router.v1.generation_pb2 import COMPATIBILITY_DROP, FALLBACK_POLICY_ANY, FALLBACK_POLICY_NONE
from gatehouse.router.v1.generation_service_pb2 import EMBEDDING_PURPOSE_QUERY, EmbedResponse, Vector

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import OUTCOME

Run = Callable[..., Any]
NUMBERS = {"bread": [0.6, 0.8], "toast": [0.8, 0.6], "rock": [-0.6, -0.8]}


@pytest.fixture(autouse=True)
def answering(fake: FakeGatehouse) -> None:
    def answer(request: Any) -> EmbedResponse:
        vectors = [Vector(values=NUMBERS.get(text, [0.0, 0.0])) for text in request.embedding.inputs]
        return EmbedResponse(vectors=vectors, outcome=OUTCOME)

    fake.answers["Embed"] = answer


def test_a_pipe_gets_a_json_line_for_each_text(run: Run) -> None:
    result = run("embed", "bread", "rock")
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"index": 0, "text": "bread", "vector": [0.6, 0.8]},
        {"index": 1, "text": "rock", "vector": [-0.6, -0.8]},
    ]
    assert "openai / gpt-4o-mini" in result.stderr
    assert "$0.00001245" in result.stderr


def test_json_alone_has_no_remarks(run: Run) -> None:
    assert run("embed", "--json", "bread").stderr == ""


def test_a_table_tells_how_near_they_are(run: Run) -> None:
    result = run("embed", "--table", "bread", "toast", "rock", "nothing")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0][:4] == ["#", "TEXT", "DIMENSIONS", "NORM"]
    assert [(row[1], row[2], row[3], row[4]) for row in rows[1:]] == [
        ("bread", "2", "1.000", "+1.000"),
        ("toast", "2", "1.000", "+0.960"),
        ("rock", "2", "1.000", "-1.000"),
        ("nothing", "2", "0.000", "+0.000"),
    ]
    assert "--lines" in result.stderr


def test_texts_come_from_lines_too(fake: FakeGatehouse, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_text("bread\n\n  rock  \nÜber\n", encoding="utf-8")
    assert run("embed", "--file", str(file)).exit_code == 0
    assert list(fake.last("Embed").request.embedding.inputs) == ["bread", "rock", "Über"]
    assert run("embed", input="toast\nbread\n").exit_code == 0
    assert list(fake.last("Embed").request.embedding.inputs) == ["toast", "bread"]
    assert run("embed", "--file", "-", input="rock").exit_code == 0
    assert list(fake.last("Embed").request.embedding.inputs) == ["rock"]


def test_many_texts_are_several_calls_of_the_one_that_began(fake: FakeGatehouse, run: Run) -> None:
    result = run("embed", "--batch", "2", "bread", "toast", "rock")
    assert [json.loads(line)["index"] for line in result.stdout.splitlines()] == [0, 1, 2]
    first, second = [call.request.embedding for call in fake.received]
    assert (list(first.inputs), list(second.inputs)) == (["bread", "toast"], ["rock"])
    assert (first.provider, first.model) == ("", "")
    assert (second.provider, second.model) == (OUTCOME.served_by.provider, "gpt-4o-mini")
    assert result.stderr.count("openai / gpt-4o-mini") == 2


def test_options_reach_the_call(fake: FakeGatehouse, run: Run) -> None:
    options = ["--model", "m", "--provider", "openai", "--dimensions", "64", "--purpose", "query", "--end-user", "u-7"]
    more = ["--compatibility", "drop", "--task", "search", "--label", "a=b", "--revision", "9", "--fallback"]
    assert run("embed", *options, *more, "bread").exit_code == 0
    embedding = fake.last("Embed").request.embedding
    assert (embedding.model, embedding.provider, embedding.dimensions) == ("m", "openai", 64)
    assert (embedding.purpose, embedding.compatibility) == (EMBEDDING_PURPOSE_QUERY, COMPATIBILITY_DROP)
    assert (embedding.end_user, embedding.task, dict(embedding.labels)) == ("u-7", "search", {"a": "b"})
    assert embedding.fallback == FALLBACK_POLICY_ANY
    assert fake.last("Embed").metadata["gatehouse-revision"] == "9"
    run("embed", "bread")
    assert fake.last("Embed").request.embedding.fallback == FALLBACK_POLICY_NONE


@pytest.mark.parametrize(
    ("arguments", "piped", "told"),
    [
        (["bread", "--file", "x"], "", "but not both"),
        (["--file", "/nowhere"], "", "cannot be read"),
        ([], "", "there is no text"),
        ([], "\n \n", "there is no text"),
        (["bread", ""], "", "there is no text, or an empty one"),
        (["bread", "--purpose", "poetry"], "", "clustering"),
        (["bread", "--batch", "4096"], "", "2048"),
    ],
)
def test_mistakes_are_told_before_the_call(
    fake: FakeGatehouse, run: Run, arguments: list[str], piped: str, told: str
) -> None:
    result = run("embed", *arguments, input=piped)
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())
    assert fake.received == []


def test_a_terminal_is_told_what_to_say(fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatehouse.cli.embed.stdin_is_terminal", lambda: True)
    result = run("embed")
    assert (result.exit_code, fake.received) == (2, [])
    assert "gatehouse embed 'bread' 'butter'" in " ".join(result.stderr.replace("│", " ").split())


def test_a_file_that_is_no_text_or_too_large_is_refused(run: Run, tmp_path: Path) -> None:
    binary, large = tmp_path / "binary", tmp_path / "large"
    binary.write_bytes(b"\xff\xfe\x00")
    large.write_bytes(b"x" * (8 * 1024 * 1024 + 1))
    assert "not text in UTF-8" in " ".join(run("embed", "--file", str(binary)).stderr.replace("│", " ").split())
    assert "more than 8 MiB" in " ".join(run("embed", "--file", str(large)).stderr.replace("│", " ").split())


def test_a_failure_is_one_clear_message(fake: FakeGatehouse, run: Run) -> None:
    fake.fails("Embed", failure(grpc.StatusCode.FAILED_PRECONDITION, "no model makes vectors", "NO_USABLE_TARGET"))
    result = run("embed", "bread")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: no model makes vectors (NO_USABLE_TARGET)\n")


def test_help_teaches(run: Run) -> None:
    page = run("embed", "--help").stdout
    assert "near each other" in page
    assert "gatehouse embed 'bread' 'butter'" in page
