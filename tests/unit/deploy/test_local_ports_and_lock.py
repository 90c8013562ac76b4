"""Ports, the lock and the files of the state directory."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.errors import LauncherError
from deploy.local.layout import StateLayout
from deploy.local.ports import Port, check_ports_free
from deploy.local.state_files import rotate_file, write_file
from deploy.local.state_lock import state_lock


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def port(number: int, process: str = "router") -> Port:
    return Port(number=number, process=process, purpose="its callers", variable=f"GATEHOUSE_{process.upper()}_PORT")


def test_a_taken_port_names_the_port_the_process_and_the_variable(taken: int) -> None:
    with pytest.raises(LauncherError) as caught:
        check_ports_free([port(taken), port(free_port(), "sandbox")], patience_s=0)
    assert f"Port {taken} is taken; router needs it" in str(caught.value)
    assert "GATEHOUSE_ROUTER_PORT=" in str(caught.value)
    assert "sandbox" not in str(caught.value)


def test_a_port_that_others_may_share_counts_as_taken() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(LauncherError, match="is taken"):
            check_ports_free([port(server.getsockname()[1])], patience_s=0)


def test_free_ports_pass() -> None:
    check_ports_free([port(free_port())], patience_s=0)


def test_one_port_given_to_two_processes_is_refused(taken: int) -> None:
    with pytest.raises(LauncherError, match=f"Port {taken} is given twice: GATEHOUSE_ROUTER_PORT.*GATEHOUSE_SANDBOX"):
        check_ports_free([port(taken), port(taken, "sandbox")], patience_s=0)


def test_a_second_launcher_in_the_same_directory_is_told_who_has_it(tmp_path: Path) -> None:
    with (
        state_lock(tmp_path / "lock"),
        pytest.raises(LauncherError, match=rf"already runs in .* \(launcher process {os.getpid()}\)"),
        state_lock(tmp_path / "lock"),
    ):
        pytest.fail("two launchers held the lock")


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with state_lock(tmp_path / "lock"):
            pass


def test_a_written_file_replaces_the_old_one_with_the_wanted_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_file(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, b"new", mode=0o600)
    assert path.read_text() == "old"


def test_rotation_keeps_the_newest_files(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for number in range(5):
        log.write_text(f"{number}" * 20)
        rotate_file(log, most_bytes=10, keep=2)
    assert {path.name: path.read_text()[0] for path in tmp_path.iterdir()} == {"log.1": "4", "log.2": "3"}


def test_a_small_file_is_not_rotated(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("small")
    rotate_file(log, most_bytes=10, keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%b", 'a"b', "a$b", "a\\b", "a\nb"])
def test_a_state_directory_that_would_need_escaping_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LauncherError, match="must not contain"):
        StateLayout.at(tmp_path / name)


def test_the_state_directory_is_closed_to_others(tmp_path: Path) -> None:
    layout = StateLayout.at(tmp_path / "state")
    layout.make()
    assert stat.S_IMODE(layout.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(layout.identity.stat().st_mode) == 0o700
