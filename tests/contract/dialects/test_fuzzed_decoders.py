"""A short run of the fuzzer over every decoder; `make fuzz` is the long one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.dialects.variants import Variant

ROOT = Path(__file__).parents[3]
RUNS = 4_000


@pytest.mark.skipif(sys.platform != "linux", reason="atheris comes for Linux only")
def test_nothing_but_a_provider_error_comes_out(variant: Variant, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.decoders", variant.name, "--runs", str(RUNS), "--seconds", "60"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    done = re.search(r"Done (\d+) runs", run.stderr)
    # The answers it begins with count as well.
    assert done is not None
    assert int(done[1]) >= RUNS
