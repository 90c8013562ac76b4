"""Ties a process to its launcher: `python -I -S tether.py <launcher's pid> <command> [<argument> ...]`.

Asks the kernel to kill this process when the launcher dies, however it dies, then becomes the command (same pid).
A program of its own and not a hook between fork and exec: the launcher has threads, and forking Python code out of
a threaded process can hang. Standard library only, and little of it: it stands before every start.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(launcher_pid: int, command: list[str]) -> None:
    """Become `command`, dying with the process `launcher_pid`; best effort where the kernel has no such call."""
    if sys.platform == "linux":
        # A C library may lack prctl; the launcher still stops its processes whenever it can.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != launcher_pid:
            sys.exit("the launcher is gone already")
    try:
        os.execv(command[0], command)  # noqa: S606 - the command comes from the launcher's own table
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
