"""The supervisor, with small real processes."""

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.errors import LauncherError
from deploy.local.process import ProcessEvent, ProcessSpec, RestartPolicy, SupervisedProcess
from deploy.local.supervisor import Supervisor

# Says that it runs, then waits to be told to end; "stubborn" does not listen.
PROGRAM = """
import signal, sys, time, pathlib
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
else: signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), sys.exit(0)))
pathlib.Path(sys.argv[1]).touch()
print("hello", flush=True)
time.sleep(60)
"""


class Stage:
    """Builds processes and remembers what happened to them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.events: list[tuple[str, ProcessEvent]] = []

    def notice(self, process: SupervisedProcess, event: ProcessEvent) -> None:
        self.events.append((process.spec.name, event))

    def spec(
        self,
        name: str,
        *arguments: str,
        code: str = PROGRAM,
        after: tuple[str, ...] = (),
        ready: Callable[[], bool] | None = None,
        before_start: Callable[[], None] = lambda: None,
        on_ready: Callable[[], None] = lambda: None,
    ) -> ProcessSpec:
        sign = self.directory / f"{name}.ready"

        async def probe() -> bool:
            return ready() if ready else sign.exists()

        def forget_sign() -> None:
            sign.unlink(missing_ok=True)
            before_start()

        return ProcessSpec(
            name=name,
            command=(sys.executable, "-c", code, str(sign), *arguments),
            environment={"PATH": os.environ["PATH"], "GIVEN": "yes"},
            working_directory=self.directory,
            log_file=self.directory / f"{name}.log",
            probe=probe,
            before_start=forget_sign,
            on_ready=on_ready,
            after=after,
            stop_grace_s=0.3 if "stubborn" in arguments else 10.0,
        )

    def supervisor(self, *specs: ProcessSpec) -> Supervisor:
        policy = RestartPolicy(first_delay_s=0.01, most_delay_s=0.02)
        return Supervisor(specs, processes_file=self.pids_file, listener=self.notice, policy=policy)

    @property
    def pids_file(self) -> Path:
        return self.directory / "processes.json"

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def count(self, name: str, event: ProcessEvent) -> int:
        return self.events.count((name, event))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_processes_run_while_the_context_is_open(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.spec("one"), stage.spec("two"))
    async with supervisor:
        await supervisor.wait_ready(20)
        pids = supervisor.pids()
        assert json.loads(stage.pids_file.read_text()) == pids
        assert all(runs(pid) for pid in pids.values())
    assert not any(runs(pid) for pid in pids.values())
    assert stage.log("one") == "hello\nbye\n"
    assert not stage.pids_file.exists()


async def test_the_last_process_stops_first(stage: Stage) -> None:
    supervisor = stage.supervisor(*(stage.spec(name) for name in ("one", "two", "three")))
    async with supervisor:
        await supervisor.wait_ready(20)
    ends = [name for name, event in stage.events if event is ProcessEvent.ENDED]
    assert ends == ["three", "two", "one"]


async def test_a_killed_process_is_started_again_every_time(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.spec("one"), stage.spec("two"))
    async with supervisor:
        await supervisor.wait_ready(20)
        other = supervisor.pids()["two"]
        for kills in range(1, 6):
            pid = supervisor.pids()["one"]
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda kills=kills: stage.count("one", ProcessEvent.READY) == kills + 1)  # type: ignore[misc]
            assert supervisor.pids()["one"] != pid
            assert json.loads(stage.pids_file.read_text()) == supervisor.pids()
        assert supervisor.pids()["two"] == other


async def test_a_process_that_ends_by_itself_is_started_again(stage: Stage) -> None:
    code = "import sys, pathlib; pathlib.Path(sys.argv[1]).touch(); sys.stdin.read(); import time; time.sleep(0.2)"
    supervisor = stage.supervisor(stage.spec("one", code=code, ready=lambda: True))
    async with supervisor:
        await eventually(lambda: stage.count("one", ProcessEvent.STARTED) >= 3)


async def test_a_process_that_does_not_listen_is_killed_after_its_grace(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.spec("one", "stubborn"))
    async with supervisor:
        await supervisor.wait_ready(20)
        pid = supervisor.pids()["one"]
    assert not runs(pid)
    assert stage.log("one") == "hello\n"


async def test_children_of_a_killed_process_die_with_it(stage: Stage) -> None:
    code = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path('child.pid').write_text(str(child.pid)); pathlib.Path(sys.argv[1]).touch(); time.sleep(60)\n"
    )
    supervisor = stage.supervisor(stage.spec("one", code=code))
    async with supervisor:
        await supervisor.wait_ready(20)
        child = int((stage.directory / "child.pid").read_text())
        os.kill(supervisor.pids()["one"], signal.SIGKILL)
        await eventually(lambda: not runs(child) or is_zombie(child))


def is_zombie(pid: int) -> bool:
    stat_file = Path(f"/proc/{pid}/stat")
    return stat_file.exists() and stat_file.read_text().rpartition(")")[2].split()[0] == "Z"


async def test_killing_all_does_not_wait_for_anyone(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.spec("one"), stage.spec("two"))
    async with supervisor:
        await supervisor.wait_ready(20)
        supervisor.kill_all()
    assert stage.log("one") == "hello\n"
    assert stage.count("one", ProcessEvent.STARTED) == 1


async def test_a_process_that_keeps_ending_stops_the_launch_with_its_log(stage: Stage) -> None:
    broken = stage.spec("broken", code="import sys; print('no such table'); sys.exit(3)")
    supervisor = stage.supervisor(stage.spec("one"), broken)
    with pytest.raises(LauncherError) as caught:
        async with supervisor:
            await supervisor.wait_ready(20)
    assert "broken does not start: exit code 3." in str(caught.value)
    assert "no such table" in str(caught.value)
    assert stage.count("broken", ProcessEvent.STARTED) == 3
    assert stage.count("one", ProcessEvent.ENDED) == 1


async def test_a_process_that_never_answers_is_named(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.spec("one"), stage.spec("mute", ready=lambda: False))
    with pytest.raises(LauncherError, match=r"Not ready after 2 seconds: mute\."):
        async with supervisor:
            await supervisor.wait_ready(2)


async def test_a_program_that_is_not_there_is_named(stage: Stage) -> None:
    spec = ProcessSpec(
        name="ghost",
        command=("/no/such/program",),
        environment={},
        working_directory=stage.directory,
        log_file=stage.directory / "ghost.log",
        probe=stage.spec("x").probe,
    )
    supervisor = stage.supervisor(spec)
    with pytest.raises(LauncherError, match="cannot run /no/such/program: No such file"):
        async with supervisor:
            await supervisor.wait_ready(20)


async def test_a_process_waits_for_those_it_comes_after(stage: Stage) -> None:
    open_gate: list[bool] = []
    first = stage.spec("first", ready=lambda: bool(open_gate))
    supervisor = stage.supervisor(first, stage.spec("second", after=("first",)))
    async with supervisor:
        await eventually(lambda: stage.count("first", ProcessEvent.STARTED) == 1)
        await asyncio.sleep(0.2)
        assert stage.count("second", ProcessEvent.STARTED) == 0
        open_gate.append(True)
        await supervisor.wait_ready(20)


async def test_stopping_does_not_wait_for_a_process_that_never_started(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.spec("first", ready=lambda: False), stage.spec("second", after=("first",)))
    async with asyncio.timeout(20), supervisor:
        await eventually(lambda: stage.count("first", ProcessEvent.STARTED) == 1)
    assert stage.count("second", ProcessEvent.STARTED) == 0


async def test_what_fails_when_a_process_is_ready_ends_the_launch(stage: Stage) -> None:
    def fail() -> None:
        raise LauncherError("cannot complete the set-up")

    supervisor = stage.supervisor(stage.spec("one", on_ready=fail))
    with pytest.raises(LauncherError, match="cannot complete the set-up"):
        async with supervisor:
            await supervisor.wait_ready(20)


async def test_what_fails_before_a_restart_ends_the_service(stage: Stage) -> None:
    starts: list[int] = []

    def second_start_fails() -> None:
        starts.append(1)
        if len(starts) > 1:
            raise LauncherError("the seal key is gone")

    supervisor = stage.supervisor(stage.spec("one", before_start=second_start_fails))
    async with asyncio.timeout(20), supervisor:
        await supervisor.wait_ready(20)
        os.kill(supervisor.pids()["one"], signal.SIGKILL)
        with pytest.raises(LauncherError, match="the seal key is gone"):
            await supervisor.serve()


async def test_a_ready_process_is_tidied_up_after_with_its_pid(stage: Stage) -> None:
    tidied: list[int] = []
    spec = dataclasses.replace(stage.spec("one"), tidy=tidied.append, tidy_interval_s=0.01)
    supervisor = stage.supervisor(spec)
    async with supervisor:
        await supervisor.wait_ready(20)
        await eventually(lambda: len(tidied) > 2)
        assert set(tidied) == {supervisor.pids()["one"]}


async def test_a_process_gets_exactly_its_environment(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    code = "import os, sys, time; print(sorted(os.environ), flush=True); open(sys.argv[1], 'w').close(); time.sleep(60)"
    supervisor = stage.supervisor(stage.spec("one", code=code))
    async with supervisor:
        await supervisor.wait_ready(20)
        # The interpreter itself adds LC_CTYPE under the C locale.
        await eventually(lambda: "GIVEN" in stage.log("one"))
        assert "OPENAI" not in stage.log("one")


async def test_a_large_log_is_put_aside_at_the_next_start(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.process.MOST_LOG_BYTES", 10)
    (stage.directory / "one.log").write_text("x" * 11)
    supervisor = stage.supervisor(stage.spec("one"))
    async with supervisor:
        await supervisor.wait_ready(20)
    assert (stage.directory / "one.log.1").read_text() == "x" * 11
    assert stage.log("one").startswith("hello")


def test_the_first_restart_comes_at_once() -> None:
    assert RestartPolicy().delay_s(1) == 0


@given(st.integers(min_value=2, max_value=10**9))
def test_later_restarts_wait_but_never_long(failures: int) -> None:
    policy = RestartPolicy()
    assert policy.first_delay_s <= policy.delay_s(failures) <= policy.most_delay_s
    assert policy.delay_s(failures) <= policy.delay_s(failures + 1)
