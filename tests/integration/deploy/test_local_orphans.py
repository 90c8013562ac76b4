"""Nothing outlives a launcher that was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "did not happen within 20 s"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    stat_file = Path(f"/proc/{pid}/stat")
    try:
        return stat_file.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
def test_a_killed_launcher_leaves_no_process_behind(tmp_path: Path) -> None:
    program = Path(__file__).with_name("two_process_launcher.py")
    launcher = subprocess.Popen(
        [sys.executable, program, tmp_path], cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
    )
    try:
        wait_for((tmp_path / "ready").exists)
        pids = json.loads((tmp_path / "processes.json").read_text())
        assert len(pids) == 2
        assert all(runs(pid) for pid in pids.values())
    finally:
        launcher.send_signal(signal.SIGKILL)
        launcher.wait()
    wait_for(lambda: not any(runs(pid) for pid in pids.values()))
