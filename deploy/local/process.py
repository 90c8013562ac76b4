"""One supervised process: started, watched, started again whenever it ends, stopped on demand."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LauncherError
from deploy.local.probes import Probe
from deploy.local.state_files import rotate_file

# Ends in a row before it was ever ready; after that many it is no bad luck.
MOST_EARLY_ENDS = 3
MOST_LOG_BYTES = 10 * 1024 * 1024
LOG_FILES_KEPT = 3

_PROBE_INTERVAL_S = 0.05
_TETHER = Path(__file__).with_name("tether.py")


def _nothing(*_: object) -> None:
    """What most processes need before a start, once they are ready, and from time to time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """What to run and how to know that it runs.

    `command[0]` is an absolute path; `environment` is the whole environment. `before_start` runs before every
    start, `on_ready` whenever it has become ready, `tidy` with its process id every `tidy_interval_s` seconds from
    then on; all are quick. `after` names processes that must have been ready once before this one starts for the
    first time.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    working_directory: Path
    log_file: Path
    probe: Probe
    before_start: Callable[[], None] = _nothing
    on_ready: Callable[[], None] = _nothing
    tidy: Callable[[int], None] = _nothing
    tidy_interval_s: float = 15.0
    after: tuple[str, ...] = ()
    stop_grace_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How long to wait before a process that ended is started again, in seconds.

    The first time not at all; then `first_delay_s`, doubling up to `most_delay_s`. A process that was up for
    `forgive_after_s` starts with a clean record.
    """

    first_delay_s: float = 0.1
    most_delay_s: float = 2.0
    forgive_after_s: float = 10.0

    def delay_s(self, failures: int) -> float:
        """The wait after `failures` ends in a row (at least 1)."""
        if failures <= 1:
            return 0.0
        # The exponent is bounded: a process that fails for days must not overflow a float.
        return min(self.first_delay_s * 2.0 ** min(failures - 2, 16), self.most_delay_s)


class ProcessEvent(enum.Enum):
    """What happens to a process."""

    STARTED = "started"
    READY = "ready"
    ENDED = "ended"


Listener = Callable[["SupervisedProcess", ProcessEvent], None]


class SupervisedProcess:
    """Keeps one process alive from `run` until `stop`. Belongs to one event loop."""

    def __init__(self, spec: ProcessSpec, *, policy: RestartPolicy, listener: Listener) -> None:
        self.spec = spec
        self.ready = asyncio.Event()
        """Set while the process answers its probe."""
        self.was_ready = asyncio.Event()
        """Set for good once it was ready."""
        self.started = False
        """Whether `run` has begun."""
        self.ends = 0
        """How often it ended by itself so far."""
        self.exit_code: int | None = None
        """How it ended last: an exit code, or minus the signal's number."""
        self._policy = policy
        self._listener = listener
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    async def run(self) -> None:
        """Start the process and keep it running; returns after `stop`.

        Raises LauncherError when it ends three times before it was ever ready or cannot be started at all (a program
        that is not there does not come by waiting), and whatever `before_start` and `on_ready` raise.
        """
        self.started = True
        failures = 0
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            started = clock()
            await self._run_once()
            if self._stopping.is_set():
                return
            if self.ends >= MOST_EARLY_ENDS and not self.was_ready.is_set():
                raise LauncherError(f"{self.spec.name} does not start: {self.how_it_ended()}.\n{self.log_excerpt()}")
            failures = 1 if clock() - started >= self._policy.forgive_after_s else failures + 1
            await self._pause(self._policy.delay_s(failures))

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when the process is gone. `run` then returns too."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.spec.stop_grace_s):
                await process.wait()
        except TimeoutError:
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """SIGKILL now, to the whole group."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            self._signal_group(self._process.pid)

    def how_it_ended(self) -> str:
        """How it ended last, for people."""
        if self.exit_code is not None and self.exit_code < 0:
            return f"killed by {signal.Signals(-self.exit_code).name}"
        return f"exit code {self.exit_code}"

    def log_excerpt(self, lines: int = 15) -> str:
        """The last `lines` lines of its log, with where it is."""
        try:
            with self.spec.log_file.open("rb") as log:
                log.seek(max(0, self.spec.log_file.stat().st_size - 16_384))
                tail = log.read().decode(errors="replace").splitlines()[-lines:]
        except OSError:
            tail = []
        return "\n".join([f"The end of {self.spec.log_file}:", *(f"  {line}" for line in tail or ["(empty)"])])

    async def _run_once(self) -> None:
        self.spec.before_start()
        process = self._process = await self._start()
        if self._stopping.is_set():  # `stop` came while it was being started and did not see it
            self._signal_group(process.pid)
        self._listener(self, ProcessEvent.STARTED)
        ended = asyncio.create_task(process.wait(), name=f"end of {self.spec.name}")
        attendance = asyncio.create_task(self._attend(process.pid), name=f"attendance of {self.spec.name}")
        ended.add_done_callback(lambda _: attendance.cancel())
        # Either the process ends, or something that is to happen while it runs fails.
        await asyncio.wait({ended, attendance}, return_when=asyncio.FIRST_EXCEPTION)
        # Nothing of its group may survive and hold its ports.
        self._signal_group(process.pid)
        self.exit_code = await ended
        self.ready.clear()
        if not attendance.cancelled():
            attendance.result()
        if not self._stopping.is_set():
            self.ends += 1
        self._listener(self, ProcessEvent.ENDED)

    async def _start(self) -> asyncio.subprocess.Process:
        rotate_file(self.spec.log_file, most_bytes=MOST_LOG_BYTES, keep=LOG_FILES_KEPT)
        log = os.open(self.spec.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_TETHER), str(os.getpid())),
                *self.spec.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self.spec.working_directory,
                env=dict(self.spec.environment),
                # A group of its own: Ctrl-C reaches only the launcher, which stops everything in order.
                start_new_session=True,
            )
        except OSError as error:
            raise LauncherError(f"{self.spec.name} cannot be started: {error}.") from error
        finally:
            os.close(log)

    async def _attend(self, pid: int) -> None:
        while True:
            if await self.spec.probe():
                break
            await asyncio.sleep(_PROBE_INTERVAL_S)
        self.spec.on_ready()
        self.ready.set()
        self.was_ready.set()
        self._listener(self, ProcessEvent.READY)
        while True:
            await asyncio.sleep(self.spec.tidy_interval_s)
            self.spec.tidy(pid)

    async def _pause(self, delay_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended a moment ago
                self._process.send_signal(number)

    @staticmethod
    def _signal_group(pid: int) -> None:
        # Nobody of the group may be left; macOS says "not permitted" for a group of zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
