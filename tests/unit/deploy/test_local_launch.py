"""The launch around the first call: its exit codes, and what is told of the start."""

import asyncio
import io
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console

from deploy.local import launch
from deploy.local.issuer import Issuer
from deploy.local.layout import StateLayout
from deploy.local.process import ProcessEvent, ProcessSpec, RestartPolicy, SupervisedProcess
from deploy.local.progress import Progress
from deploy.local.settings import LauncherSettings
from deploy.local.stack import Stack


def spec(layout: StateLayout, name: str = "one") -> ProcessSpec:
    async def ready() -> bool:
        return True

    return ProcessSpec(
        name=name,
        command=(sys.executable, "-S", "-c", "import time; time.sleep(60)"),
        environment={},
        working_directory=layout.root,
        log_file=layout.log(name),
        probe=ready,
    )


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command line whose launch starts one process that does nothing."""

    def prepare(_: LauncherSettings, layout: StateLayout) -> Stack:
        issuer = Issuer(key_file=layout.issuer_key, kid="k")
        return Stack(processes=(spec(layout),), ports=(), issuer=issuer)

    monkeypatch.setattr(launch, "prepare_stack", prepare)
    return ["--state-dir", str(tmp_path / "state")]


async def goes_well(*_: object) -> bool:
    return True


async def goes_wrong(*_: object) -> bool:
    return False


async def goes_wrong_and_is_stopped(*_: object) -> bool:
    asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGINT)
    return False


async def is_stopped_in_the_middle(*_: object) -> bool:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(30)
    return False


def test_once_ends_after_a_first_call_that_went_well_with_0(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch.run([*arguments, "--once"], tour=goes_well) == 0
    output = capsys.readouterr().out
    assert "Serving after" in output
    assert "All processes stopped." in output


def test_what_is_to_be_known_about_the_state_is_told(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def prepare(_: LauncherSettings, layout: StateLayout) -> Stack:
        issuer = Issuer(key_file=layout.issuer_key, kid="k")
        return Stack(processes=(spec(layout),), ports=(), issuer=issuer, notices=("[old] state",))

    monkeypatch.setattr(launch, "prepare_stack", prepare)
    launch.run([*arguments, "--once"], tour=goes_well)
    assert "note: [old] state" in capsys.readouterr().out


def test_once_ends_after_a_first_call_that_failed_with_1(arguments: list[str]) -> None:
    assert launch.run([*arguments, "--once"], tour=goes_wrong) == 1


def test_a_first_call_that_failed_does_not_end_the_serving(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch.run(arguments, tour=goes_wrong_and_is_stopped) == 0
    assert "Serving until Ctrl-C." in capsys.readouterr().out


@pytest.mark.parametrize("once", [[], ["--once"]])
def test_ctrl_c_in_the_middle_of_the_first_call_stops_everything(
    arguments: list[str], once: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch.run([*arguments, *once], tour=is_stopped_in_the_middle) == 0
    assert "All processes stopped." in capsys.readouterr().out


def supervised(layout: StateLayout, name: str) -> SupervisedProcess:
    return SupervisedProcess(spec(layout, name), policy=RestartPolicy(), listener=lambda *_: None)


@pytest.mark.parametrize("terminal", [False, True])
async def test_the_start_is_told_process_by_process_with_and_without_a_terminal(
    tmp_path: Path, *, terminal: bool
) -> None:
    layout = StateLayout.at(tmp_path)
    output = io.StringIO()
    console = Console(file=output, width=100, force_terminal=terminal, color_system=None)
    progress = Progress(console, ["one", "two"])
    async with progress:
        for name in ("two", "one"):
            progress.notice(supervised(layout, name), ProcessEvent.READY)
        await asyncio.sleep(0.25)
    assert re.search(r"Serving after \d+\.\d s \(one \d+\.\d, two \d+\.\d\)", output.getvalue())
    assert ("✓ one  ✓ two" in output.getvalue()) is terminal


async def test_a_process_that_ended_and_is_back_is_told(tmp_path: Path) -> None:
    output = io.StringIO()
    progress = Progress(Console(file=output, width=100), ["one"])
    process = supervised(StateLayout.at(tmp_path), "one")
    process.was_ready.set()
    process.exit_code, process.ends = -9, 1
    progress.notice(process, ProcessEvent.ENDED)
    progress.notice(process, ProcessEvent.READY)
    assert "one ended (killed by SIGKILL); starting it again." in output.getvalue()
    assert "one is back" in output.getvalue()
