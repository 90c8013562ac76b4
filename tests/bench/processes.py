"""Starting and stopping the benchmark's processes, and reading what they used."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import psutil

from deploy.local.settings import inherited_environment

REPOSITORY = Path(__file__).parents[2]
_TETHER = REPOSITORY / "deploy" / "local" / "tether.py"
_STOP_S = 20.0
_HAS_CPU_CLOCKS = platform.system() == "Linux"


class BenchError(Exception):
    """The benchmark cannot go on; the text says why."""


@contextmanager
def running(
    module: str, *arguments: str, log: Path, environment: Mapping[str, str] | None = None, stdout: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m module` while the context is open, stopped by its process id; it dies with this process too.

    With `stdout` its standard input and output are pipes, else both outputs go to `log`.
    """
    with log.open("ab") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE if stdout else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout else log_file,
            stderr=log_file,
            cwd=REPOSITORY,
            env={**inherited_environment(), **(environment or {})},
            # Ctrl-C reaches the benchmark only, which stops everything in order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    with ExitStack() as pipes:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipes.enter_context(pipe)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def read_line(pipe: IO[bytes] | None, what: str, log: Path) -> bytes:
    """The next line of a process. Raises BenchError when it ended instead."""
    line = pipe.readline() if pipe is not None else b""
    if not line:
        raise BenchError(f"{what} ended.\n{tail(log)}")
    return line


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def cpu_s(pid: int) -> float:
    """Seconds of CPU that all threads of a process used so far, user and system, also those that ended."""
    if _HAS_CPU_CLOCKS:
        # The process's CPU clock (clock_getcpuclockid(3)): /proc/<pid>/stat says the same, rounded to 10 ms.
        return time.clock_gettime((~pid << 3) | 2)
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def machine_busy_s() -> float:
    """Seconds of CPU that everything on this machine used so far."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in megabytes."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6
