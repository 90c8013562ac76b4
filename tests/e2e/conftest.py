"""One running stack for all end-to-end tests. A test uses tenants of its own, so that none sees another's."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.local_stack import LocalStack

# The dead processes first, the books last: a reservation that a killed router left lapses meanwhile.
_FIRST = "test_killed_processes.py"
_LAST = ("test_bill_and_ledger.py", "test_canary.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the end-to-end tests into an order in which nobody waits for nothing."""

    def place(item: pytest.Item) -> int:
        name = item.path.name
        if item.path.parent.name != "e2e":
            return 0
        return 1 if name == _FIRST else 3 + _LAST.index(name) if name in _LAST else 2

    items.sort(key=place)


@pytest.fixture
def stack(running_stack: LocalStack) -> LocalStack:
    """The stack that serves, as after `make run` without any provider key; whole again if a test before broke it."""
    running_stack.wait_healthy()
    return running_stack


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The one stack of the session; stopped as by Ctrl-C at its end."""
    stack = LocalStack(tmp_path_factory.mktemp("e2e") / "gatehouse")
    stack.start()
    pids = set(stack.pids().values())
    try:
        yield stack
        pids |= set(stack.pids().values())
    finally:
        code = stack.stop()
    assert code == 0, stack.output
    assert not any(_runs(pid) for pid in pids), "Ctrl-C left processes behind"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
