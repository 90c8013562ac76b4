"""One launcher per state directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.errors import LauncherError


@contextmanager
def state_lock(path: Path) -> Iterator[None]:
    """Hold the lock file `path` while inside; the kernel lets go of it however the process ends.

    Raises LauncherError when another launcher holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise LauncherError(
                f"Gatehouse already runs in {path.parent} (launcher process {pid}).\n"
                "Use that one, stop it with Ctrl-C (or kill that process), or run a second one beside it with another "
                "GATEHOUSE_STATE_DIR and other ports (see `python -m deploy.local --help`)."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
