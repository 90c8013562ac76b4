from pathlib import Path

import orjson
import pytest

from libs.sandbox.bill import Bill, Entry, key_fingerprint

KEY = "sk-sandbox-canary-7f3a"


def finish_one(bill: Bill, entry_id: str) -> None:
    entry = Entry(bill, entry_id, "openai", KEY, "op/1")
    entry.model, entry.stream, entry.prompt_tokens = "sandbox-small", True, 12
    entry.accept()
    entry.completion_tokens = 5
    entry.finish("completed", 200)
    entry.finish("client_gone", None)


def test_a_call_is_accepted_once_and_finished_once(tmp_path: Path) -> None:
    bill = Bill(tmp_path / "sub" / "bill.jsonl")
    finish_one(bill, "req_1")
    bill.close()
    lines = [orjson.loads(line) for line in (tmp_path / "sub" / "bill.jsonl").read_bytes().splitlines()]
    assert [(line["event"], line["outcome"]) for line in lines] == [("accepted", None), ("finished", "completed")]
    assert (lines[1]["prompt_tokens"], lines[1]["completion_tokens"], lines[1]["call"]) == (12, 5, "op/1")


def test_the_bill_names_a_key_by_its_fingerprint_only(tmp_path: Path) -> None:
    bill = Bill(tmp_path / "bill.jsonl")
    finish_one(bill, "req_1")
    bill.close()
    text = (tmp_path / "bill.jsonl").read_text()
    assert key_fingerprint(KEY) in text
    assert "canary" not in text


def test_what_was_refused_costs_nothing() -> None:
    bill = Bill()
    entry = Entry(bill, "req_1", "openai", "", None)
    entry.prompt_tokens = 9
    entry.finish("refused", 429)
    (record,) = bill.records()
    assert (record.prompt_tokens, record.status, record.key_fingerprint) == (0, 429, None)


def test_a_line_torn_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "bill.jsonl"
    bill = Bill(path)
    finish_one(bill, "req_1")
    bill.close()
    with path.open("ab") as file:
        file.write(b'{"event":"acc')
    bill = Bill(path)
    finish_one(bill, "req_2")
    bill.close()
    assert [record.id for record in bill.records()] == ["req_1", "req_1", "req_2", "req_2"]


async def test_waiting_for_a_call_that_never_ends_times_out() -> None:
    bill = Bill()
    finish_one(bill, "req_1")
    await bill.wait_finished(1)
    with pytest.raises(TimeoutError):
        await bill.wait_finished(2, timeout_s=0.01)
