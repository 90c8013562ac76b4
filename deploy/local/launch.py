"""The launch itself: lock, prepare, start, first call, serve, stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deploy.local.errors import LauncherError
from deploy.local.layout import StateLayout
from deploy.local.ports import check_ports_free
from deploy.local.progress import Progress
from deploy.local.settings import LauncherSettings, load_settings, variable
from deploy.local.stack import Stack, prepare_stack
from deploy.local.state_lock import state_lock
from deploy.local.supervisor import Supervisor

Tour = Callable[[LauncherSettings, StateLayout, Console], Awaitable[bool]]
"""What is shown once everything serves: the first call. Whether it went well; what did not, it has shown itself."""

_FAILED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line."""

    once: bool
    state_dir: Path | None


def run(arguments: Sequence[str], *, tour: Tour | None = None) -> int:
    """Launch as `arguments` say, with the first call as `tour` unless another is given.

    Returns the exit code: 0 after Ctrl-C too, 1 when something went wrong, with --once also when the tour did.
    """
    options = _parse(arguments)
    console = Console(highlight=False)
    try:
        settings = load_settings()
        layout = StateLayout.at(options.state_dir or settings.state_dir)
        layout.make()
        with state_lock(layout.lock):
            stack = prepare_stack(settings, layout)
            check_ports_free(stack.ports)
            launch = _Launch(
                stack=stack,
                settings=settings,
                layout=layout,
                once=options.once,
                console=console,
                tour=tour or _first_call,
            )
            went_well = asyncio.run(launch.run())
    except LauncherError as error:
        return _report(str(error))
    except OSError as error:
        # Disk full, no permission, state directory removed: what the system says is what can be done about it.
        return _report(f"{error.strerror or error} ({error.filename or 'no file'}).")
    return 0 if went_well or not options.once else _FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Launch:
    stack: Stack
    settings: LauncherSettings
    layout: StateLayout
    once: bool
    console: Console
    tour: Tour

    async def run(self) -> bool:
        """Start, show, serve, stop; whether the tour went well. True when a stop signal came before its end."""
        progress = Progress(self.console, [spec.name for spec in self.stack.processes])
        supervisor = Supervisor(
            self.stack.processes, processes_file=self.layout.processes_file, listener=progress.notice
        )
        body = asyncio.create_task(self._serve(supervisor, progress), name="the launch itself")
        with _on_stop_signals(body.cancel, supervisor.kill_all) as stopped:
            try:
                went_well = await body
            except asyncio.CancelledError:
                if not stopped():
                    raise
                went_well = True
        self.console.print("All processes stopped.")
        return went_well

    async def _serve(self, supervisor: Supervisor, progress: Progress) -> bool:
        self.console.print(
            f"[bold]Starting Gatehouse[/]; its state is in {escape(str(self.layout.root))}", soft_wrap=True
        )
        async with supervisor:
            try:
                async with progress:
                    await supervisor.wait_ready(self.settings.start_timeout_s)
                for notice in self.stack.notices:
                    self.console.print(f"[yellow]note:[/] {escape(notice)}", soft_wrap=True)
                went_well = await self.tour(self.settings, self.layout, self.console)
                if not self.once:
                    self.console.print("[bold]Serving until Ctrl-C.[/]")
                    await supervisor.serve()
            finally:
                self.console.print("Stopping …")
        return went_well


async def _first_call(settings: LauncherSettings, layout: StateLayout, console: Console) -> bool:
    # Loaded while the processes are already running: gRPC takes a moment.
    from deploy.local.first_call import show_first_call

    return await show_first_call(settings, layout, console)


@contextlib.contextmanager
def _on_stop_signals(first: Callable[[], object], more: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Call `first` at the first stop signal, `more` at every further one; yields whether one came."""
    received: list[signal.Signals] = []
    loop = asyncio.get_running_loop()

    def notice(number: signal.Signals) -> None:
        received.append(number)
        if len(received) == 1:
            first()
        else:
            more()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, notice, number)
    try:
        yield lambda: bool(received)
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _parse(arguments: Sequence[str]) -> Options:
    variables = "\n".join(
        f"  {variable(name):42} {'' if field.default is None else field.default}"
        for name, field in LauncherSettings.model_fields.items()
        if not name.startswith("openai_")
    )
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="Start Gatehouse on this machine and keep it serving until Ctrl-C.",
        epilog=f"environment variables and their defaults:\n{variables}\n"
        "  OPENAI_API_KEY                             imported as a platform key, used for the first call\n"
        "  OPENAI_BASE_URL                            https://api.openai.com/v1",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--once", action="store_true", help="stop after the first call and exit 0")
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="where everything is kept (wins over GATEHOUSE_STATE_DIR)"
    )
    parsed = parser.parse_args(arguments)
    return Options(once=parsed.once, state_dir=parsed.state_dir)


def _report(message: str) -> int:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error:[/] {escape(message)}")
    return _FAILED
