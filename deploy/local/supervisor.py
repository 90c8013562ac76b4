"""Keeps a table of processes running, and stops them in the opposite order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.errors import LauncherError
from deploy.local.process import Listener, ProcessEvent, ProcessSpec, RestartPolicy, SupervisedProcess
from deploy.local.state_files import PRIVATE, write_file


class Supervisor:
    """Runs processes while its context is open; leaving it stops all of them, last one first.

    `processes_file` always holds the current process ids by name, so that people and tests can find them.
    """

    def __init__(
        self,
        specs: Iterable[ProcessSpec],
        *,
        processes_file: Path,
        listener: Listener,
        policy: RestartPolicy | None = None,
    ) -> None:
        self._listener = listener
        self._processes_file = processes_file
        self._processes = {
            spec.name: SupervisedProcess(spec, policy=policy or RestartPolicy(), listener=self._notice)
            for spec in specs
        }
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        for name, process in self._processes.items():
            self._tasks[name] = asyncio.create_task(self._keep(process), name=f"keeper of {name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, process in reversed(self._processes.items()):
            await process.stop()
            if not process.started:  # it waits for another process to become ready
                self._tasks[name].cancel()
            await asyncio.gather(self._tasks[name], return_exceptions=True)
        self._processes_file.unlink(missing_ok=True)

    def pids(self) -> dict[str, int]:
        """The ids of the running processes by name."""
        return {name: process.pid for name, process in self._processes.items() if process.pid is not None}

    def kill_all(self) -> None:
        """SIGKILL to every process at once, for someone who does not want to wait."""
        for process in self._processes.values():
            process.kill()

    async def wait_ready(self, timeout_s: float) -> None:
        """Return when every process was ready once.

        Raises LauncherError, with the end of the log, when one keeps ending or takes more than `timeout_s` seconds.
        """
        all_ready = asyncio.create_task(self._all_ready(), name="all processes ready")
        try:
            await asyncio.wait(
                {all_ready, *self._tasks.values()}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            self._raise_failures()
        finally:
            all_ready.cancel()
        late = [process for process in self._processes.values() if not process.was_ready.is_set()]
        if late:
            names = ", ".join(process.spec.name for process in late)
            excerpts = "\n".join(process.log_excerpt() for process in late)
            raise LauncherError(f"Not ready after {timeout_s:g} seconds: {names}.\n{excerpts}")

    async def serve(self) -> None:
        """Never return; raise LauncherError when a process cannot be started any more."""
        await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
        self._raise_failures()

    def _raise_failures(self) -> None:
        for task in self._tasks.values():
            if task.done():
                task.result()

    async def _all_ready(self) -> None:
        for process in self._processes.values():
            await process.was_ready.wait()

    async def _keep(self, process: SupervisedProcess) -> None:
        for other in process.spec.after:
            await self._processes[other].was_ready.wait()
        await process.run()

    def _notice(self, process: SupervisedProcess, event: ProcessEvent) -> None:
        if event is not ProcessEvent.READY:
            write_file(self._processes_file, json.dumps(self.pids(), indent=2).encode() + b"\n", mode=PRIVATE)
        self._listener(process, event)
