"""Anchors in a file: on disk when told so, whole lines only, and readable past damage."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from libs.core.audit_anchors import Anchor, encode_anchor
from services.key_vault.anchors.anchor_file import AnchorFile

ANCHOR = Anchor(
    time=datetime(2026, 1, 1, tzinfo=UTC),
    scope="tenants/acme",
    sequence=1,
    hash="a" * 64,
    signer="audit-anchors",
    signature="vault:v1:abc",
)


def anchors(count: int, scope: str = "tenants/acme") -> list[Anchor]:
    return [replace(ANCHOR, scope=scope, sequence=number) for number in range(1, count + 1)]


def content(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, lines: bytes) -> None:
    path.write_bytes(lines)


def mode(path: Path) -> int:
    return path.stat().st_mode


def entries(path: Path) -> list[Path]:
    return list(path.iterdir())


def cut(path: Path, bytes_: int) -> None:
    os.truncate(path, path.stat().st_size - bytes_)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "anchors.jsonl"


async def test_anchors_of_a_chain_are_read_in_their_order_and_no_others(path: Path) -> None:
    file = AnchorFile(path)
    await file.append(anchors(2))
    await file.append(anchors(2, "platform"))
    await file.append([replace(ANCHOR, sequence=9)])
    assert await file.read("tenants/acme") == [*anchors(2), replace(ANCHOR, sequence=9)]
    assert await file.read("platform") == anchors(2, "platform")
    assert await file.read("tenants/ac") == []


async def test_a_file_that_is_not_there_holds_no_anchors_and_is_not_made_by_reading(tmp_path: Path) -> None:
    assert await AnchorFile(tmp_path / "anchors").read("platform") == []
    assert entries(tmp_path) == []


async def test_only_its_owner_may_read_or_write_the_file(path: Path) -> None:
    before = os.umask(0)
    try:
        await AnchorFile(path).append([ANCHOR])
    finally:
        os.umask(before)
    assert stat.S_IMODE(mode(path)) == 0o600


async def test_what_is_there_already_is_never_changed(path: Path) -> None:
    write(path, b"kept before\n")
    await AnchorFile(path).append([ANCHOR])
    assert content(path) == b"kept before\n" + encode_anchor(ANCHOR)


async def test_after_a_torn_line_the_next_anchor_begins_one_of_its_own(path: Path) -> None:
    file = AnchorFile(path)
    await file.append(anchors(2))
    cut(path, 20)
    await file.append([replace(ANCHOR, sequence=3)])
    with capture_logs() as lines:
        assert await file.read("tenants/acme") == [ANCHOR, replace(ANCHOR, sequence=3)]
    assert [(line["event"], line["line"], line["problem"]) for line in lines] == [("anchor_damaged", 2, "is not JSON")]


async def test_damaged_lines_are_told_by_number_and_never_quoted(path: Path) -> None:
    good, canary = encode_anchor(ANCHOR), b'{"canary": "sk-canary-0123456789", "scope":"tenants/acme"}\n'
    write(path, good + canary + b"\xff\xfe\n" + b"[" * 100_000 + b"\n" + good)
    with capture_logs() as lines:
        assert await AnchorFile(path).read("tenants/acme") == [ANCHOR, ANCHOR]
    assert [line["line"] for line in lines] == [2, 3, 4]
    assert "canary" not in repr(lines)


async def test_anchors_are_on_disk_when_they_are_said_to_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, bytes]] = []

    def fsync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), content(path)))

    monkeypatch.setattr(os, "fsync", fsync)
    await AnchorFile(path).append([ANCHOR])
    line = encode_anchor(ANCHOR)
    # The file, and the first time the directory that names it.
    assert synced == [(False, line), (True, line)]
    await AnchorFile(path).append([ANCHOR])
    assert synced[2:] == [(False, line * 2)]


async def test_a_disk_that_takes_less_at_a_time_gets_the_rest(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    await AnchorFile(path).append(anchors(2))
    monkeypatch.undo()
    assert await AnchorFile(path).read("tenants/acme") == anchors(2)


@pytest.mark.parametrize("failing", ["write", "fsync"])
async def test_a_disk_that_fails_is_told_and_leaves_no_open_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    write(path, b"")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    opened = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - /proc's links are no paths to look at
    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left"):
        await AnchorFile(path).append([ANCHOR])
    assert len(os.listdir("/proc/self/fd")) == opened  # noqa: PTH208 - as above


async def test_a_place_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await AnchorFile(tmp_path / "nowhere" / "anchors").append([ANCHOR])


def _append_slowly(path: Path, scope: str) -> None:
    write = os.write
    # Seven bytes at a time: without turns, lines of several processes would be in pieces.
    os.write = lambda descriptor, data: write(descriptor, bytes(data)[:7])
    for number in range(1, 21):
        AnchorFile(path)._append(encode_anchor(replace(ANCHOR, scope=scope, sequence=number)))


async def test_processes_that_append_at_once_take_turns(path: Path) -> None:
    scopes = [f"tenants/t{number}" for number in range(3)]
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_slowly, args=(path, scope)) for scope in scopes]
    for writer in writers:
        writer.start()
    with capture_logs() as lines:
        while any(writer.is_alive() for writer in writers):
            for scope in scopes:
                await AnchorFile(path).read(scope)
            await asyncio.sleep(0)
        for writer in writers:
            writer.join()
        for scope in scopes:
            assert await AnchorFile(path).read(scope) == anchors(20, scope)
    assert lines == []
