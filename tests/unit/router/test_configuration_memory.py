"""10,000 tenants with 20 providers each must fit into 400 MB of a router: about 30 kB for each beside the process."""

from __future__ import annotations

import json
import subprocess
import sys

_TENANTS = 500
_MOST_BYTES = 24_000


def test_a_tenant_takes_little_memory() -> None:
    # A process of its own: what other tests left in this one's memory would be used up first.
    command = [sys.executable, "-m", "tests.bench.configuration_memory", "--tenants", str(_TENANTS)]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=100).stdout)
    assert measured["tenants"] == _TENANTS
    assert measured["bytes_per_tenant"] <= _MOST_BYTES
