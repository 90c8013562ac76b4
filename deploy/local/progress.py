"""Tells how the start goes, and what happens to the processes afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from deploy.local.process import ProcessEvent, SupervisedProcess

_REFRESH_S = 0.1


class Progress:
    """A line that follows the start on a terminal (elsewhere only its end is told), then a line for each restart.

    Its context is the start; `notice` listens to the supervisor for good.
    """

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console = console
        self._names = tuple(names)
        self._began = time.monotonic()
        self._ready_after: dict[str, float] = {}
        self._live: Live | None = None
        self._ticker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._began = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(self._line(), console=self._console, auto_refresh=False, transient=True)
            self._live.start()
            self._ticker = asyncio.create_task(self._tick(self._live), name="progress of the start")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        if self._live is not None:
            self._live.stop()
        if error is None:
            each = ", ".join(
                f"{name} {self._ready_after[name]:.1f}" for name in self._names if name in self._ready_after
            )
            elapsed = time.monotonic() - self._began
            self._console.print(f"[green]Serving[/] after {elapsed:.1f} s [dim]({each})[/]", soft_wrap=True)

    def notice(self, process: SupervisedProcess, event: ProcessEvent) -> None:
        """Take note of what happened to a process; tell what happened to one that was up."""
        name = process.spec.name
        if event is ProcessEvent.READY:
            self._ready_after.setdefault(name, time.monotonic() - self._began)
        if process.stopping or not process.was_ready.is_set():
            return
        if event is ProcessEvent.ENDED:
            self._console.print(f"[yellow]{name} ended[/] ({process.how_it_ended()}); starting it again.")
        elif event is ProcessEvent.READY and process.ends:
            self._console.print(f"{name} is back (process {process.pid}).")

    async def _tick(self, live: Live) -> None:
        while True:
            live.update(self._line(), refresh=True)
            await asyncio.sleep(_REFRESH_S)

    def _line(self) -> Text:
        line = Text(f"Starting {time.monotonic() - self._began:4.1f} s ", no_wrap=True, overflow="ellipsis")
        for name in self._names:
            done = name in self._ready_after
            line.append(f"  {'✓' if done else '·'} {name}", style="green" if done else "dim")
        return line
