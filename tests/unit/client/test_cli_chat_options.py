"""What `gatehouse chat` sends beside the prompt, and what it shows of thoughts and tools."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gatehouse.router.v1 import generation_pb2 as pb
from gatehouse.router.v1.generation_pb2 import Generation, ReasoningRequest
from gatehouse.router.v1.generation_service_pb2 import (
    Completed,
    GenerateResponse,
    ReasoningDelta,
    StreamGenerateResponse,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from gatehouse.router.v1.message_pb2 import ROLE_ASSISTANT, Message, Part, Reasoning, Signature, ToolCall

from tests.unit.client.fake_gatehouse import FakeGatehouse
from tests.unit.client.samples import OUTCOME, STREAM

Run = Callable[..., Any]
PNG, WAV, PDF = b"\x89PNG\r\n\x1a\n..", b"RIFF\x24\x00\x00\x00WAVEfmt ", b"%PDF-1.7 .."
SIGNED = Signature(data=b"\x01", provider="tenants/acme/providers/a")
COMPLETED = StreamGenerateResponse(completed=Completed(outcome=OUTCOME))
CALLS = [
    StreamGenerateResponse(reasoning_delta=ReasoningDelta(text="A clock ")),
    StreamGenerateResponse(reasoning_delta=ReasoningDelta(text="is needed.", signature=SIGNED)),
    StreamGenerateResponse(text_delta="One moment."),
    StreamGenerateResponse(tool_call_started=ToolCallStarted(index=0, id="c1", name="clock")),
    StreamGenerateResponse(tool_arguments_delta=ToolArgumentsDelta(index=0, arguments_json='{"city":"Oslo"}')),
    COMPLETED,
]
CALLED = Message(
    role=ROLE_ASSISTANT,
    parts=[
        Part(reasoning=Reasoning(text="A clock is needed.", signature=SIGNED)),
        Part(text="One moment."),
        Part(tool_call=ToolCall(id="c1", name="clock", arguments_json='{"city":"Oslo"}')),
    ],
)


def sent(fake: FakeGatehouse) -> Generation:
    generation: Generation = fake.last("StreamGenerate").request.generation
    return generation


def test_files_go_along_with_the_prompt(fake: FakeGatehouse, run: Run, tmp_path: Path) -> None:
    for name, data in (("a.png", PNG), ("b.wav", WAV), ("c.pdf", PDF), ("d.txt", b"words")):
        (tmp_path / name).write_bytes(data)
    files = {name: str(tmp_path / name) for name in ("a.png", "b.wav", "c.pdf", "d.txt")}
    explicit = ["--image", files["a.png"], "--audio", files["b.wav"], "--document", files["c.pdf"]]
    attached = [word for name in files.values() for word in ("--attach", name)]
    assert run("chat", *attached, *explicit, "--image", "https://example.com/x", "What?").exit_code == 0
    parts = sent(fake).messages[0].parts
    assert [part.WhichOneof("content") for part in parts] == [
        "image", "audio", "document", "document", "image", "image", "audio", "document", "text",
    ]  # fmt: skip
    assert parts[3].document.name == "d.txt"
    assert parts[5].image.url == "https://example.com/x"


def test_every_option_reaches_its_field(fake: FakeGatehouse, run: Run) -> None:
    sampling = ["--temperature", "0", "--top-p", "0.5", "--top-k", "40", "--seed", "7", "--stop", "A", "--stop", "B"]
    penalties = ["--frequency-penalty", "-0.5", "--presence-penalty", "0"]
    service = [
        "--compatibility",
        "drop",
        "--fallback",
        "--service-tier",
        "flex",
        "--end-user",
        "u",
        "--prompt-cache-key",
        "k",
    ]
    assert run("chat", *sampling, *penalties, *service, "--reasoning", "high", "hi").exit_code == 0
    generation = sent(fake)
    assert (generation.temperature, generation.top_p, generation.top_k, generation.seed) == (0, 0.5, 40, 7)
    assert list(generation.stop) == ["A", "B"]
    assert (generation.frequency_penalty, generation.presence_penalty) == (-0.5, 0)
    assert generation.HasField("presence_penalty")
    assert (generation.compatibility, generation.fallback) == (pb.COMPATIBILITY_DROP, pb.FALLBACK_POLICY_ANY)
    assert (generation.service_tier, generation.end_user) == (pb.SERVICE_TIER_FLEX, "u")
    assert generation.prompt_cache_key == "k"
    assert generation.reasoning == ReasoningRequest(effort=pb.REASONING_EFFORT_HIGH)


def test_what_is_not_said_is_not_sent(fake: FakeGatehouse, run: Run) -> None:
    run("chat", "hi")
    assert [field.name for field, _ in sent(fake).ListFields()] == ["messages"]
    run("chat", "--no-fallback", "hi")
    assert sent(fake).fallback == pb.FALLBACK_POLICY_NONE


def test_reasoning_may_be_a_number_of_tokens_and_hidden(fake: FakeGatehouse, run: Run) -> None:
    run("chat", "--reasoning", "2048", "--hide-thoughts", "hi")
    assert sent(fake).reasoning == ReasoningRequest(budget_tokens=2048, hide=True)


MCP = {"tools": [{"name": "clock", "inputSchema": {"type": "object"}}]}
OURS = [{"name": "clock", "description": "tells", "parameters": {"type": "object"}}]
OPENAI = [{"type": "function", "function": OURS[0]}]


@pytest.mark.parametrize("content", [MCP, MCP["tools"], OURS, OURS[0], OPENAI])
def test_tools_come_from_a_file(fake: FakeGatehouse, run: Run, tmp_path: Path, content: object) -> None:
    file = tmp_path / "tools.json"
    file.write_text(json.dumps(content))
    options = ["--tools", str(file), "--tool-choice", "required", "--one-tool-at-a-time"]
    assert run("chat", *options, "hi").exit_code == 0
    generation = sent(fake)
    (tool,) = generation.tools
    assert "clock" in (tool.name, json.loads(tool.mcp_json or "{}").get("name"))
    assert json.loads(tool.parameters_schema_json or tool.mcp_json)
    assert generation.tool_choice.mode == 2
    assert generation.HasField("parallel_tool_calls")
    assert not generation.parallel_tool_calls


def test_the_shape_of_the_answer(fake: FakeGatehouse, run: Run, tmp_path: Path) -> None:
    run("chat", "--json-answer", "hi")
    assert sent(fake).response_format.WhichOneof("format") == "json"
    file = tmp_path / "schema.json"
    file.write_text('{"type": "object"}')
    run("chat", "--schema", str(file), "hi")
    assert sent(fake).response_format.json_schema.schema_json == '{"type": "object"}'
    assert run("chat", "--schema", "-", "hi", input='{"type": "string"}').exit_code == 0
    assert sent(fake).response_format.json_schema.schema_json == '{"type": "string"}'


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--attach", "/nowhere"], "/nowhere cannot be read"),
        (["--image", "{text}"], "not a PNG, JPEG, GIF or WebP image"),
        (["--audio", "{text}"], "not a WAV, MP3"),
        (["--document", "{png}"], "neither a PDF nor text"),
        (["--tools", "{text}"], "is no JSON"),
        (["--tools", "{json}"], "`tools/list`"),
        (["--schema", "{list}"], "does not hold a JSON Schema"),
        (["--schema", "{json}", "--json-answer"], "leave --json-answer out"),
        (["--reasoning", "hard"], "neither none, low, medium, high or max nor a number of tokens"),
        (["--compatibility", "loose"], "strict"),
        (["--service-tier", "fast"], "priority"),
    ],
)
def test_mistakes_are_told_before_the_call(
    fake: FakeGatehouse, run: Run, tmp_path: Path, options: list[str], told: str
) -> None:
    files = {"text": b"words", "png": PNG, "json": b'{"a": 1}', "list": b"[]"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    result = run("chat", *(word.format(**{name: tmp_path / name for name in files}) for word in options), "hi")
    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())
    assert fake.received == []


def test_thoughts_go_to_stderr_and_tool_calls_to_stdout(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["StreamGenerate"] = lambda _: CALLS
    result = run("chat", "hi")
    assert result.stdout == 'One moment.\ncalls clock {"city":"Oslo"}\n'
    assert result.stderr.startswith("thinking:\nA clock is needed.\nopenai / gpt-4o-mini")
    hidden = run("chat", "--hide-thoughts", "hi")
    assert hidden.stdout == result.stdout
    assert hidden.stderr.startswith("openai / gpt-4o-mini")


def test_a_whole_answer_is_shown_the_same_way(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["Generate"] = lambda _: GenerateResponse(message=CALLED, outcome=OUTCOME)
    fake.answers["StreamGenerate"] = lambda _: CALLS
    whole, streamed = run("chat", "--no-stream", "hi"), run("chat", "hi")
    assert (whole.stdout, whole.stderr) == (streamed.stdout, streamed.stderr)


def test_json_holds_thoughts_and_the_message_to_send_back(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["Generate"] = lambda _: GenerateResponse(message=CALLED, outcome=OUTCOME)
    document = json.loads(run("chat", "--json", "hi").stdout)
    assert (document["reasoning"], document["text"]) == ("A clock is needed.", "One moment.")
    assert [call["name"] for call in document["tool_calls"]] == ["clock"]
    assert document["message"]["parts"][0]["reasoning"]["signature"]["data"] == "AQ=="


def test_a_conversation_asks_what_tools_answer(
    fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gatehouse.cli.chat.stdin_is_terminal", lambda: True)
    fake.answers["StreamGenerate"] = lambda request: CALLS if len(request.generation.messages) == 1 else STREAM
    (tmp_path / "a.png").write_bytes(PNG)
    result = run("chat", "--attach", str(tmp_path / "a.png"), input="What time?\nnoon\nThanks\n")
    assert result.exit_code == 0
    assert "What do the tools answer?" in result.stderr
    _, second, third = [call.request.generation.messages for call in fake.received]
    assert second[1] == CALLED
    assert (second[2].parts[0].tool_result.tool_call_id, second[2].parts[0].tool_result.content) == ("c1", "noon")
    assert [part.WhichOneof("content") for part in second[0].parts] == ["image", "text"]
    # What goes along goes along once.
    assert [part.text for part in third[-1].parts] == ["Thanks"]


def test_a_conversation_that_ends_at_a_tool_ends(
    fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatehouse.cli.chat.stdin_is_terminal", lambda: True)
    fake.answers["StreamGenerate"] = lambda _: CALLS
    assert run("chat", input="What time?\n").exit_code == 0
    assert len(fake.received) == 1
