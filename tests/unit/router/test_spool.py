from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.spool.segment import Record, RecordKind, SegmentWriter, encode_record, read_segment
from services.router.spool.spool import Spool, SpoolLockedError


def settle(number: int) -> Record:
    return Record(RecordKind.SETTLE, f"settlement {number}".encode())


def payloads(spool: Spool) -> list[bytes]:
    return [entry.record.payload for entry in spool.waiting(10_000)]


def test_what_is_appended_waits_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(5):
        spool.append(settle(number))
    assert payloads(spool) == [settle(number).payload for number in range(5)]
    spool.close()


def test_what_was_not_acknowledged_comes_back_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(5):
        spool.append(settle(number))
    spool.acknowledge(2)
    spool.close()
    reopened = Spool(tmp_path)
    assert payloads(reopened) == [settle(number).payload for number in (2, 3, 4)]
    reopened.acknowledge(3)
    reopened.close()
    assert Spool(tmp_path).pending == 0


def test_acknowledged_segments_are_removed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=200)
    for number in range(100):
        spool.append(settle(number))
    assert len(list(tmp_path.glob("*.segment"))) > 5
    spool.acknowledge(100)
    assert len(list(tmp_path.glob("*.segment"))) == 1
    spool.append(settle(100))
    assert payloads(spool) == [settle(100).payload]


def test_a_torn_tail_loses_only_what_was_torn(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(3):
        spool.append(settle(number))
    spool.close()
    (segment,) = tmp_path.glob("*.segment")
    whole = segment.read_bytes()
    segment.write_bytes(whole[:-4])
    reopened = Spool(tmp_path)
    assert payloads(reopened) == [settle(0).payload, settle(1).payload]
    assert [each.name for each in tmp_path.glob("*.damaged")] == [segment.with_suffix(".damaged").name]


def test_a_second_router_may_not_share_the_directory(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(SpoolLockedError, match="ROUTER_SPOOL_DIR"):
        Spool(tmp_path)
    spool.close()
    Spool(tmp_path).close()


def test_a_spool_over_its_bound_accepts_no_calls_but_loses_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=200)
    number = 0
    while spool.accepting:
        spool.append(settle(number))
        number += 1
    spool.append(settle(number))
    assert spool.pending == number + 1
    spool.acknowledge(spool.pending)


def test_a_full_disk_keeps_entries_in_memory_and_writes_them_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    spool.append(settle(0))
    real_write = os.write

    def full(fd: int, data: bytes) -> int:
        return real_write(fd, data[:3])

    monkeypatch.setattr(os, "write", full)
    spool.append(settle(1))
    assert (spool.accepting, spool.pending) == (False, 2)
    monkeypatch.undo()
    assert payloads(spool) == [settle(0).payload, settle(1).payload]
    assert spool.accepting
    spool.close()
    assert payloads(Spool(tmp_path)) == [settle(0).payload, settle(1).payload]


def test_a_rejected_entry_is_put_aside_readable_by_its_owner_only(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(settle(0))
    spool.reject(spool.waiting(1)[0], "RESERVATION_NOT_FOUND")
    spool.acknowledge(1)
    aside = tmp_path / "rejected"
    assert aside.read_bytes() == encode_record(settle(0))
    assert aside.stat().st_mode & 0o777 == 0o600


def test_what_was_appended_survives_kill_9(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from services.router.spool.spool import Spool;"
        "from services.router.spool.segment import Record, RecordKind\n"
        "spool = Spool(pathlib.Path(sys.argv[1]))\n"
        "for number in range(100_000):\n"
        "    spool.append(Record(RecordKind.SETTLE, f'settlement {number}'.encode())); print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        seen = 0
        for line in writer.stdout:
            seen = int(line)
            if seen >= 500:
                writer.kill()
                break
    kept = payloads(Spool(tmp_path))
    assert len(kept) > seen
    assert kept == [settle(number).payload for number in range(len(kept))]


@given(damage=st.integers(0, 400), bit=st.integers(0, 7), count=st.integers(1, 10))
def test_a_flipped_bit_costs_the_record_it_is_in_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, damage: int, bit: int, count: int
) -> None:
    path = tmp_path_factory.mktemp("spool") / "1.segment"
    writer = SegmentWriter(path)
    for number in range(count):
        writer.append(settle(number))
    writer.close()
    data = bytearray(path.read_bytes())
    damage %= len(data)
    data[damage] ^= 1 << bit
    path.write_bytes(data)
    content = read_segment(path)
    size = len(encode_record(settle(0)))
    assert list(content.records) == [settle(number) for number in range(count) if number != damage // size]
    assert content.damaged_at == damage // size * size


def test_a_small_bound_does_not_stop_a_spool_whose_entries_are_done(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1000)
    for number in range(500):
        spool.append(settle(number))
        spool.acknowledge(1)
        assert spool.accepting


def test_damage_is_put_aside_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for number in range(3):
        spool.append(settle(number))
    spool.close()
    (segment,) = tmp_path.glob("*.segment")
    data = bytearray(segment.read_bytes())
    data[15] ^= 1
    segment.write_bytes(data)
    for _ in range(2):
        reopened = Spool(tmp_path)
        assert payloads(reopened) == [settle(1).payload, settle(2).payload]
        reopened.close()
    assert len(list(tmp_path.glob("*.damaged"))) == 1
