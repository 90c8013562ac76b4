"""The whole stack for tests: the launcher with all its processes on free ports, in a state directory of its own."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from gatehouse import AsyncClient
from gatehouse.profile import Issuer, Profile, load_profile
from gatehouse.tokens import DevelopmentTokens
from gatehouse.usage.v1.usage_record_pb2 import UsageRecord

from deploy.local.layout import StateLayout
from libs.sandbox.bill import Bill, BillRecord
from services.key_vault.environment.platform_keys import VARIABLES

REPOSITORY = Path(__file__).parents[1]
PROCESSES = ("openbao", "sandbox", "key_vault", "provider_config", "usage_accounting", "router")

_PORTS = (
    *("ROUTER", "ROUTER_INTERNAL", "KEY_VAULT", "KEY_VAULT_INTERNAL", "PROVIDER_CONFIG", "PROVIDER_CONFIG_INTERNAL"),
    *("USAGE_ACCOUNTING", "USAGE_ACCOUNTING_INTERNAL", "OPENBAO", "OPENBAO_CLUSTER", "SANDBOX"),
)
_NOT_INHERITED = (
    *("GATEHOUSE_", "ROUTER_", "KEY_VAULT_", "PROVIDER_CONFIG_", "USAGE_ACCOUNTING_", "SANDBOX_"),
    *sorted(VARIABLES),
)
_START_TIMEOUT_S = 60.0
_USUAL_START_S = 4.0
_STOP_TIMEOUT_S = 30.0


class LocalStack:
    """A launcher and its processes. `environment` goes on top of a clean one; the sandbox answers without pauses."""

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        self.layout = StateLayout.at(directory)
        self.output_file = directory.with_name(f"{directory.name}.out")
        self.ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self.sandbox_url = f"http://127.0.0.1:{self.ports['SANDBOX']}"
        self.tenants = {"acme"}
        """Everybody who made calls: the tenant of the first call, and those that clients were made for."""
        self.slowness = 1.0
        """How much slower than promised this machine is: tests share theirs with others."""
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)},
            **{f"GATEHOUSE_{name}_PORT": str(port) for name, port in self.ports.items()},
            "GATEHOUSE_SANDBOX_PACE_MS": "0",
            "COLUMNS": "120",
            # Who exchanges keys for access tokens.
            "ROUTER_ENTRA_TOKEN_URL": f"{self.sandbox_url}/entra",
            "ROUTER_GOOGLE_TOKEN_URL": f"{self.sandbox_url}/google",
            **(environment or {}),
        }
        self._launcher: subprocess.Popen[bytes] | None = None

    def run_once(self, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """`make run ONCE=1` with `environment` on top: start, first call, stop."""
        return subprocess.run(
            [*self._command, "--once"],
            cwd=REPOSITORY,
            env={**self._environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_START_TIMEOUT_S + _STOP_TIMEOUT_S,
            check=False,
        )

    def start(self) -> None:
        """`make run`: return once the first call was made and it serves."""
        with self.output_file.open("ab") as output:
            self._launcher = subprocess.Popen(
                self._command,
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        began = time.monotonic()
        deadline = began + _START_TIMEOUT_S
        while "Serving until Ctrl-C" not in self.output:
            if self._launcher.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the stack does not start:\n{self.output}")
            time.sleep(0.05)
        self.slowness = max(2.0, (time.monotonic() - began) / _USUAL_START_S)

    def wait_healthy(self) -> None:
        """Return once every process listens again, after whatever a test did to them."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        for name, port in self.ports.items():
            while not _listens(port):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"nobody listens on {name}:\n{self.output}")
                time.sleep(0.05)

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        launcher, self._launcher = self._launcher, None
        if launcher is None:
            return 0
        launcher.send_signal(signal.SIGINT)
        try:
            return launcher.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            launcher.kill()
            return launcher.wait()

    @property
    def output(self) -> str:
        """What the launcher printed so far."""
        return self.output_file.read_text(errors="replace")

    @property
    def profile(self) -> Profile:
        """Where clients find it."""
        return load_profile(self.layout.client_file)

    @property
    def issuer(self) -> Issuer:
        """Who signs its tokens."""
        issuer = self.profile.issuer
        assert issuer is not None
        return issuer

    def pids(self) -> dict[str, int]:
        """The running processes."""
        found: dict[str, int] = json.loads(self.layout.processes_file.read_text())
        return found

    def signal(self, process: str, number: signal.Signals) -> None:
        """Send a signal to one of the processes."""
        os.kill(self.pids()[process], number)

    def client(
        self,
        *,
        tenant: str = "acme",
        user: str = "dev",
        roles: Sequence[str] = ("tenant_admin",),
        token: str | None = None,
    ) -> AsyncClient:
        """A client with tokens of the local issuer, or with `token` (empty: none)."""
        self.tenants.add(tenant)
        profile = self.profile
        source = (
            DevelopmentTokens(self.issuer, tenant=tenant, user=user, roles=roles) if token is None else token or None
        )
        return AsyncClient(endpoints=profile.endpoints, ca=profile.ca, token=source)

    async def give_provider(self, client: AsyncClient, tenant: str, material: str, *, url: str | None = None) -> int:
        """A provider `main` of `tenant` with a key `main` and two models, at `url` (the sandbox); the revision."""
        origin = url or self.sandbox_url
        owner = f"tenants/{tenant}"
        await client.keys.create(
            f"{owner}/keys/main", provider_type="openai_compatible", origin=origin, api_key=material
        )
        await client.providers.create(
            f"{owner}/providers/main",
            type="openai_compatible",
            base_url=f"{origin}/v1",
            key=f"{owner}/keys/main",
            default_model="sandbox-small",
        )
        await client.models.create(f"{owner}/providers/main/models/sandbox-large")
        return (await client.models.create(f"{owner}/providers/main/models/sandbox-small")).revision

    def bill(self, *, key_fingerprint: str | None = None) -> list[BillRecord]:
        """The sandbox's bill so far, all of it or one key's."""
        records = Bill(self.layout.bill).records()
        return [each for each in records if key_fingerprint in (None, each.key_fingerprint)]

    async def records(self, tenant: str, *, operation_id: str = "") -> list[UsageRecord]:
        """The ledger records of `tenant`, newest first, all of them or one call's."""
        async with self.client(tenant=tenant) as client:
            found = client.usage.records(f"tenants/{tenant}", operation_id=operation_id, page_size=1000)
            return [each async for each in found]

    async def records_when(self, tenant: str, operation_id: str, *, patience_s: float = 5.0) -> list[UsageRecord]:
        """The ledger records of one call, as soon as there are any."""
        deadline = time.monotonic() + patience_s
        while True:
            records = await self.records(tenant, operation_id=operation_id)
            if records or time.monotonic() > deadline:
                return records
            await asyncio.sleep(0.02)

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "deploy.local", "--state-dir", str(self.layout.root)]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, below those the system hands out for outgoing connections."""
    chosen: list[int] = []
    for port in random.sample(range(18_000, 32_000), 500):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        chosen.append(port)
        if len(chosen) == number:
            return chosen
    raise RuntimeError("no free ports")
