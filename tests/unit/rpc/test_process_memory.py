"""What is in a service's memory stays there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TELL = """
import ctypes, resource
from libs.rpc.process_memory import forbid_dumps
libc = ctypes.CDLL(None)
PR_GET_DUMPABLE = 3
before = libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
forbid_dumps()
print(before, libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the call")
def test_the_kernel_gives_a_process_memory_to_nobody() -> None:
    told = subprocess.run([sys.executable, "-c", TELL], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == "1 0 (0, 0)\n"
