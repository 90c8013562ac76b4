"""What the SDK does not show: bytes, disconnects, the bill, the control endpoints, the process."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from libs.sandbox import BillRecord, Rule, Sandbox, key_fingerprint

KEY = "sk-sandbox-canary-7f3a"
HEADERS = {"authorization": f"Bearer {KEY}", "x-gatehouse-attempt": "op-1/2"}


def body(text: str, **fields: Any) -> bytes:
    return orjson.dumps({"model": "sandbox-small", "messages": [{"role": "user", "content": text}], **fields})


async def post(sandbox: Sandbox, text: str, **fields: Any) -> tuple[int, str, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.url}/v1/chat/completions", data=body(text, **fields), headers=HEADERS) as response,
    ):
        return response.status, response.content_type, await response.read()


async def finished(sandbox: Sandbox, count: int = 1) -> BillRecord:
    await sandbox.bill.wait_finished(count)
    return [record for record in sandbox.bill.records() if record.event == "finished"][count - 1]


async def leave_after(sandbox: Sandbox, text: str, marker: bytes, **fields: Any) -> None:
    """Send a call by hand, read up to `marker` (empty: nothing) and close the connection."""
    reader, writer = await asyncio.open_connection(sandbox.host, sandbox.port)
    content = body(text, **fields)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
    writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
    await writer.drain()
    if marker:
        await reader.readuntil(marker)
    else:
        await sandbox.bill.wait_accepted(1)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("words", "marker", "tokens"),
    [
        ("pace_ms=60000", b'"role"', 0),
        ("silence_after=4", b'" sandbox"', 4),
        ("silence_after=2", b'" from"', 2),
        ("silent", b"", 0),
        ("first_ms=60000", b"", 0),
        ("slow_headers=60000", b"", 0),
    ],
)
async def test_a_client_that_leaves_is_noticed_at_once_and_billed_for_what_was_sent(
    sandbox: Sandbox, words: str, marker: bytes, tokens: int
) -> None:
    await leave_after(sandbox, f"Hi [[sandbox {words}]]", marker, stream=True)
    record = await finished(sandbox)
    assert ("client_gone", tokens) == (record.outcome, record.completion_tokens)
    assert record.prompt_tokens > 0


async def test_a_client_that_leaves_a_whole_answer_is_noticed_too(sandbox: Sandbox) -> None:
    await leave_after(sandbox, "Hi [[sandbox pace_ms=1000]]", b"")
    assert (await finished(sandbox)).outcome == "client_gone"


async def test_a_reader_that_stops_reading_holds_back_the_answer(sandbox: Sandbox) -> None:
    await leave_after(sandbox, "Hi [[sandbox tokens=200000]]", b'"role"', stream=True)
    record = await finished(sandbox)
    assert record.outcome == "client_gone"
    assert 0 < record.completion_tokens < 200_000


async def test_the_bill_agrees_with_the_usage_and_carries_the_call(sandbox: Sandbox) -> None:
    _, _, answer = await post(sandbox, "Hi [[sandbox cached=2 reasoning=3]]")
    usage = orjson.loads(answer)["usage"]
    accepted, record = sandbox.bill.records()
    assert ("accepted", "finished", accepted.id) == (accepted.event, record.event, record.id)
    assert ("op-1/2", key_fingerprint(KEY), "completed", 200) == (
        record.call,
        record.key_fingerprint,
        record.outcome,
        record.status,
    )
    assert (usage["prompt_tokens"], usage["completion_tokens"], 2, 3) == (
        record.prompt_tokens,
        record.completion_tokens,
        record.cached_tokens,
        record.reasoning_tokens,
    )


async def test_whoever_has_the_answer_finds_the_bill_written(sandbox: Sandbox) -> None:
    for count, fields in enumerate(({}, {"stream": True}), start=1):
        await post(sandbox, "Hi", **fields)
        assert 2 * count == len(sandbox.bill.records())


async def test_the_key_is_in_no_bill_and_no_remembered_request(sandbox: Sandbox) -> None:
    await post(sandbox, "Hi [[sandbox status=401 echo_key]]")
    assert b"canary" not in sandbox.bill.as_json_lines()
    assert "canary" not in repr(sandbox.requests)
    assert sandbox.requests[0].headers["x-gatehouse-attempt"] == "op-1/2"


async def test_a_call_that_was_reset_costs_nothing(sandbox: Sandbox) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await post(sandbox, "Hi [[sandbox reset]]")
    record = await finished(sandbox)
    assert (record.outcome, record.prompt_tokens, record.completion_tokens) == ("cut", 0, 0)


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer  ", "Basic c2stc2FuZGJveC14"])
async def test_a_call_without_a_key_is_refused_in_openai_s_shape(sandbox: Sandbox, value: str | None) -> None:
    headers = {} if value is None else {"authorization": value}
    url = f"{sandbox.url}/v1/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, data=body("Hi"), headers=headers) as response:
        error = (await response.json())["error"]
        assert response.status == 401
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == "invalid_api_key"
    assert [record.key_fingerprint for record in sandbox.bill.records()] == [None]


@pytest.mark.parametrize("stream", [False, True])
async def test_slow_headers_still_carry_the_whole_answer(sandbox: Sandbox, stream: bool) -> None:
    status, _, answer = await post(sandbox, "Hi [[sandbox slow_headers=1]]", stream=stream)
    assert status == 200
    assert answer.endswith(b"[DONE]\n\n") if stream else orjson.loads(answer)["usage"]
    assert (await finished(sandbox)).outcome == "completed"


async def test_html_comes_with_status_200(sandbox: Sandbox) -> None:
    status, kind, answer = await post(sandbox, "Hi [[sandbox html]]")
    assert (status, kind) == (200, "text/html")
    assert answer.startswith(b"<!DOCTYPE html>")


async def test_an_error_ordered_into_a_whole_answer_has_status_200(sandbox: Sandbox) -> None:
    status, _, answer = await post(sandbox, "Hi [[sandbox error_after=0]]")
    assert status == 200
    assert orjson.loads(answer)["error"]["type"] == "server_error"


async def test_a_long_stream_is_the_same_whichever_way_it_is_sent(sandbox: Sandbox) -> None:
    plain = (await post(sandbox, "Hi [[sandbox tokens=9]]", stream=True))[2]
    sandbox.rules.replace([Rule(action={"pace_ms": 0.01})])
    assert plain == (await post(sandbox, "Hi [[sandbox tokens=9]]", stream=True))[2]
    long = (await post(sandbox, "Hi [[sandbox tokens=3000]]", stream=True))[2]
    assert long.count(b"data: ") == 3000 + 3


async def test_rules_are_set_shown_and_taken_back_over_http(sandbox: Sandbox) -> None:
    rules = {"rules": [{"model": "sandbox-small", "key_suffix": "7f3a", "times": 1, "action": {"status": 500}}]}
    async with aiohttp.ClientSession(sandbox.url) as session:
        async with session.post("/_sandbox/rules", json={"rules": [{"action": {"colour": "red"}}]}) as response:
            assert response.status == 400
            assert "colour" in await response.text()
        async with session.post("/_sandbox/rules", json=rules) as response:
            assert response.status == 200
        assert (await post(sandbox, "Hi"))[0] == 500
        async with session.get("/_sandbox/rules") as response:
            assert (await response.json())["rules"][0]["times_left"] == 0
        async with session.delete("/_sandbox/rules") as response:
            assert await response.json() == {"rules": []}
        async with session.get("/_sandbox/bill") as response:
            lines = (await response.text()).splitlines()
            assert [orjson.loads(line)["event"] for line in lines] == ["accepted", "finished"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/healthz", 200), ("GET", "/v1/chat/completions", 405), ("POST", "/v1/models", 405), ("GET", "/x", 404)],
)
async def test_paths_answer(sandbox: Sandbox, method: str, path: str, status: int) -> None:
    async with aiohttp.ClientSession() as session, session.request(method, sandbox.url + path) as response:
        assert status == response.status


async def test_a_call_under_way_when_the_sandbox_stops_is_billed_as_cut(tmp_path: Path) -> None:
    async with Sandbox(bill_path=tmp_path / "bill.jsonl") as sandbox:
        call = asyncio.ensure_future(post(sandbox, "Hi [[sandbox silent]]"))
        await sandbox.bill.wait_accepted(1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await call
    assert sandbox.bill.records()[-1].outcome == "cut"


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "libs.sandbox", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_the_process_prints_its_port_serves_and_stops_on_sigterm(tmp_path: Path) -> None:
    process = await start("--port", "0", "--bill", str(tmp_path / "bill.jsonl"))
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        url = line.split()[-1]
        async with aiohttp.ClientSession() as session, session.get(f"{url}/healthz") as response:
            assert response.status == 200
        second = await start("--port", url.rpartition(":")[2])
        _, message = await second.communicate()
        assert second.returncode == 2
        assert b"already in use" in message
    finally:
        process.terminate()
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--bill", "/proc/nowhere/bill.jsonl"], b"bill cannot be opened"),
        (["--port", "70000"], b"not a port"),
        (["--pace-ms", "-1"], b"not a number of milliseconds"),
    ],
)
async def test_wrong_arguments_end_with_code_2_and_say_why(arguments: list[str], part: bytes) -> None:
    process = await start("--port", "0", *arguments)
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert part in errors
    assert b"Traceback" not in errors


async def test_the_help_lists_every_directive() -> None:
    process = await start("--help")
    text, _ = await process.communicate()
    assert process.returncode == 0
    assert b"insufficient_quota" in text
    assert b"slow_headers" in text
