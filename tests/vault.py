"""A Vault for tests: real OpenBao, set up as the launcher does it, in a directory of its own."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from pathlib import Path

from deploy.local.certificates import ensure_certificates
from deploy.local.layout import StateLayout
from deploy.local.openbao import READER, SERVICE, WRITER, OpenBao
from libs.core.clock import SystemClock

_START_TIMEOUT_S = 30.0


class ThrowAwayVault:
    """OpenBao on a free port of this machine; can be killed and started again with all it holds."""

    def __init__(self, directory: Path) -> None:
        self.layout = StateLayout.at(directory)
        self.layout.make()
        ensure_certificates(self.layout, [SERVICE], SystemClock())
        port, cluster_port = _free_ports(2)
        self.bao = OpenBao(layout=self.layout, port=port, cluster_port=cluster_port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def writer_files(self) -> tuple[Path, Path]:
        """Role id and secret id of the identity that may encrypt."""
        return self.bao.role_id_file(WRITER), self.bao.secret_id_file(WRITER)

    @property
    def reader_files(self) -> tuple[Path, Path]:
        """Role id and secret id of the identity that may decrypt."""
        return self.bao.role_id_file(READER), self.bao.secret_id_file(READER)

    def start(self) -> None:
        """Start it and wait until both identities can log in."""
        self.bao.before_start()
        log_file = self.layout.log("openbao")
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.bao.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={}, start_new_session=True
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not asyncio.run(self.bao.is_ready()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(log_file.read_text())
            time.sleep(0.02)
        self.bao.on_ready()

    def kill(self) -> None:
        """End it as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
