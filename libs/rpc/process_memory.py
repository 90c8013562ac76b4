"""Keeps what is in a process's memory inside it."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def forbid_dumps() -> None:
    """No core file of this process, and no debugger or `/proc/<pid>/mem` for others of its own user.

    Root still can. On systems other than Linux only core files are switched off.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # The limit alone does not hold where `core_pattern` pipes cores to a program. A C library may lack prctl.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, *(ctypes.c_ulong(0),) * 4)
