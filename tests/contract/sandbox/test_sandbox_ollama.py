"""What Ollama's client does not show of the sandbox: lines, faults, the bill, keys."""

from typing import Any

import aiohttp
import orjson
import pytest

from libs.sandbox import BillRecord, Sandbox

KEY = "sk-sandbox-canary-7f3a"


async def post(
    sandbox: Sandbox, text: str, *, path: str = "/api/chat", key: str | None = KEY, **fields: Any
) -> tuple[int, str, bytes]:
    body = {"model": "sandbox-small", "messages": [{"role": "user", "content": text}], **fields}
    body = {name: value for name, value in body.items() if value is not None}
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.url}/ollama{path}", data=orjson.dumps(body), headers=headers) as response,
    ):
        return response.status, response.content_type, await response.read()


async def lines(sandbox: Sandbox, words: str, **fields: Any) -> list[dict[str, Any]]:
    status, kind, body = await post(sandbox, f"Hi [[sandbox {words}]]", **fields)
    assert (status, kind) == (200, "application/x-ndjson")
    return [orjson.loads(line) for line in body.splitlines()]


def finished(sandbox: Sandbox) -> BillRecord:
    return [record for record in sandbox.bill.records() if record.event == "finished"][-1]


async def test_an_answer_is_a_line_for_each_piece_and_a_last_one(sandbox: Sandbox) -> None:
    got = await lines(sandbox, "tokens=3 reasoning=2")
    assert [each["done"] for each in got] == [False] * 5 + [True]
    assert ["thinking" in each["message"] for each in got] == [True, True, False, False, False, False]
    assert (got[-1]["done_reason"], got[-1]["eval_count"]) == ("stop", 5)
    record = finished(sandbox)
    assert (record.dialect, record.operation, record.outcome) == ("ollama", "chat", "completed")
    assert (record.prompt_tokens, record.completion_tokens) == (got[-1]["prompt_eval_count"], 5)
    assert (record.reasoning_tokens, record.chunks) == (2, 5)


@pytest.mark.parametrize("pace", ["", " pace_ms=0.1"], ids=["at once", "line by line"])
async def test_calls_come_whole_and_are_billed(sandbox: Sandbox, pace: str) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    got = await lines(sandbox, f"tools=2 text_before_tools{pace}", tools=[tool])
    calls = [call["function"] for each in got for call in each["message"].get("tool_calls", ())]
    assert calls == [{"name": "look", "arguments": {}}] * 2
    assert "".join(each["message"]["content"] for each in got) == "Let me ask a tool."
    record = finished(sandbox)
    assert (got[-1]["eval_count"], len(got) - 1) == (record.completion_tokens, record.chunks)


async def test_the_last_line_can_be_changed_and_left_out(sandbox: Sandbox) -> None:
    assert "done_reason" not in (await lines(sandbox, "no_finish"))[-1]
    assert "eval_count" not in (await lines(sandbox, "no_usage"))[-1]
    assert (await lines(sandbox, "finish=load"))[-1]["done_reason"] == "load"
    assert not (await lines(sandbox, "no_done"))[-1]["done"]


async def test_errors_inside_a_stream_are_lines(sandbox: Sandbox) -> None:
    got = await lines(sandbox, "error_after=1 error_status=503")
    assert got[-1] == {"error": "server busy, please try again.  maximum pending requests exceeded"}
    assert len(got) == 2
    assert finished(sandbox).outcome == "failed"


async def test_no_messages_only_load_the_model(sandbox: Sandbox) -> None:
    for stream in (True, False):
        _, _, body = await post(sandbox, "", messages=[], stream=stream)
        assert orjson.loads(body)["done_reason"] == "load"


async def test_no_key_is_needed_but_a_wrong_one_is_refused(sandbox: Sandbox) -> None:
    assert (await post(sandbox, "Hi", key=None))[0] == 200
    assert finished(sandbox).key_fingerprint is None
    status, _, body = await post(sandbox, "Hi", key="sk-other")
    assert (status, orjson.loads(body)) == (401, {"error": "unauthorized"})


async def test_embeddings_are_billed_by_their_input(sandbox: Sandbox) -> None:
    status, _, body = await post(
        sandbox, "", path="/api/embed", messages=None, model="sandbox-embed", input=["Hello, world!", "Hi"]
    )
    answer = orjson.loads(body)
    assert (status, len(answer["embeddings"]), answer["prompt_eval_count"]) == (200, 2, 5)
    record = finished(sandbox)
    assert (record.operation, record.prompt_tokens, record.completion_tokens) == ("embeddings", 5, 0)
    assert (record.outcome, record.stream, record.model) == ("completed", False, "sandbox-embed")


@pytest.mark.parametrize(
    ("words", "status", "outcome"),
    [
        ("status=429", 429, "refused"),
        ("error_after=0", 200, "failed"),
        ("garbage", 200, "broken"),
        ("html", 200, "broken"),
    ],
)
async def test_directives_stand_in_texts_to_embed_too(sandbox: Sandbox, words: str, status: int, outcome: str) -> None:
    got = await post(
        sandbox, "", path="/api/embed", messages=None, model="sandbox-embed", input=["a", f"[[sandbox {words}]]"]
    )
    assert got[0] == status
    assert finished(sandbox).outcome == outcome


@pytest.mark.parametrize("path", ["/ollama/api/generate", "/ollama/", "/nowhere", "/ollamas/api/chat"])
async def test_unknown_paths_are_refused_in_the_words_of_the_nearest_dialect(sandbox: Sandbox, path: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(sandbox.url + path) as response:
        body = await response.text()
        assert response.status == 404
    assert (body == "404 page not found") == path.startswith("/ollama/")
    async with aiohttp.ClientSession() as session, session.get(f"{sandbox.url}/ollama/api/chat") as response:
        assert (response.status, await response.text()) == (405, "405 method not allowed")
