"""Vaults for tests: real OpenBao, as the launcher sets it up, and one whose root token the test holds."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.certificates import ensure_certificates
from deploy.local.layout import StateLayout
from deploy.local.openbao import READER, SECRETS_KEEPER, SERVICE, WRITER, OpenBao, find_binary
from libs.core.clock import SystemClock
from services.key_vault.vault.transport import TlsSocket

POLICIES = Path(__file__).parents[1] / "deploy" / "vault"
_START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What Vault answered; `body` is empty for none."""

    status: int
    body: dict[str, Any]


class Api:
    """A plain client of Vault's HTTP API."""

    def __init__(self, address: str, ca_file: Path) -> None:
        self._address = address
        self._tls = ssl.create_default_context(cafile=ca_file)
        # Vault is killed at any moment.
        self._tls.sslsocket_class = TlsSocket

    def call(self, path: str, body: Mapping[str, Any] | None = None, *, token: str = "", method: str = "") -> Answer:
        """GET, or POST when there is a body, or `method`."""
        host, _, port = self._address.removeprefix("https://").rpartition(":")
        connection = http.client.HTTPSConnection(host, int(port), context=self._tls, timeout=10)
        try:
            connection.request(
                method or ("GET" if body is None else "POST"),
                f"/v1/{path}",
                None if body is None else json.dumps(body),
                {"X-Vault-Token": token} if token else {},
            )
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read() or b"{}"))
        finally:
            # urllib would leave it to the garbage collector when Vault is killed in between.
            connection.close()

    def login(self, credentials: tuple[Path, Path]) -> str:
        """A token for a role id and secret id."""
        role_id, secret_id = (file.read_text() for file in credentials)
        answer = self.call("auth/approle/login", {"role_id": role_id, "secret_id": secret_id})
        token: str = answer.body["auth"]["client_token"]
        return token


class _Process:
    """A running OpenBao."""

    def __init__(self, command: Sequence[str], log_file: Path) -> None:
        self._log_file = log_file
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={}, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(self._log_file.read_text())
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


class ThrowAwayVault:
    """OpenBao on a free port of this machine; can be killed and started again with all it holds."""

    def __init__(self, directory: Path) -> None:
        self.layout = StateLayout.at(directory)
        self.layout.make()
        ensure_certificates(self.layout, [SERVICE], SystemClock())
        port, cluster_port = _free_ports(2)
        self.bao = OpenBao(layout=self.layout, port=port, cluster_port=cluster_port)
        self._process: _Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def api(self) -> Api:
        """A client of it."""
        return Api(self.bao.address, self.layout.ca_certificate)

    @property
    def audit_log(self) -> Path:
        """What it writes down about each request."""
        return self.layout.vault / "audit.log"

    @property
    def writer_files(self) -> tuple[Path, Path]:
        """Role id and secret id of the identity that may encrypt."""
        return self.bao.role_id_file(WRITER), self.bao.secret_id_file(WRITER)

    @property
    def reader_files(self) -> tuple[Path, Path]:
        """Role id and secret id of the identity that may decrypt."""
        return self.bao.role_id_file(READER), self.bao.secret_id_file(READER)

    def start(self) -> None:
        """Start it and wait until all identities can log in."""
        self.bao.before_start()
        self._process = _Process(self.bao.command, self.layout.log("openbao"))
        self._process.wait_until(lambda: asyncio.run(self.bao.is_ready()))
        self.bao.on_ready()

    def put_secret(self, path: str, values: Mapping[str, Any]) -> None:
        """Store a version of the secret at `path` in the KV engine, as the operator would."""
        answer = self.api.call(f"secret/data/{path}", {"data": dict(values)}, token=self._keepers_token())
        assert answer.status == 200, answer

    def delete_secret(self, path: str) -> None:
        """Delete the newest version of the secret at `path`."""
        answer = self.api.call(f"secret/data/{path}", token=self._keepers_token(), method="DELETE")
        assert answer.status == 204, answer

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _keepers_token(self) -> str:
        return self.api.login((self.bao.role_id_file(SECRETS_KEEPER), self.bao.secret_id_file(SECRETS_KEEPER)))


class RootedVault:
    """OpenBao that was never set up; a test makes of it what it wants with the root token. Keeps everything in memory.

    It has Shamir's seal, which opens only when somebody brings the key.
    """

    def __init__(self, directory: Path) -> None:
        self.layout = StateLayout.at(directory)
        self.layout.make()
        ensure_certificates(self.layout, [SERVICE], SystemClock())
        self._port = _free_ports(1)[0]
        self.root_token = ""
        self._unseal_key = ""
        self._process: _Process | None = None

    @property
    def address(self) -> str:
        """Its base URL."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def audit_log(self) -> Path:
        """What it writes down about each request."""
        return self.layout.vault / "audit.log"

    def start(self) -> None:
        """Start it; it is neither initialised nor unsealed, and nobody has credentials for it."""
        for role in (WRITER, READER):
            self._give_credentials(role, role_id="nobody", secret_id="nothing")
        config = self.layout.vault / "rooted.hcl"
        config.write_text(
            f"""
            api_addr = "{self.address}"
            listener "tcp" {{
              address       = "127.0.0.1:{self._port}"
              tls_cert_file = "{self.layout.certificate(SERVICE)}"
              tls_key_file  = "{self.layout.certificate_key(SERVICE)}"
            }}
            storage "inmem" {{}}
            audit "file" "file" {{
              options {{
                file_path = "{self.audit_log}"
              }}
            }}
            """
        )
        self._process = _Process((str(find_binary()), "server", f"-config={config}"), self.layout.log("rooted"))
        self._process.wait_until(self._listens)

    def initialise(self) -> None:
        """Initialise and unseal it, and set it up as `deploy/README.md` tells to."""
        keys = self.call("sys/init", {"secret_shares": 1, "secret_threshold": 1}, method="PUT")
        self.root_token, self._unseal_key = keys["root_token"], keys["keys"][0]
        self.unseal()
        self.call("sys/mounts/transit", {"type": "transit"})
        self.call("transit/keys/provider-keys", {"type": "aes256-gcm96", "derived": True})
        self.call("transit/keys/audit-anchors", {"type": "ed25519"})
        self.call("sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        self.call("sys/auth/approle", {"type": "approle"})
        for role in (WRITER, READER):
            self.call(f"sys/policies/acl/{role}", {"policy": (POLICIES / f"{role}.hcl").read_text()}, method="PUT")
            self.set_role(role, token_period="1h")
            self._give_credentials(
                role,
                role_id=self.call(f"auth/approle/role/{role}/role-id")["data"]["role_id"],
                secret_id=self.call(f"auth/approle/role/{role}/secret-id", {})["data"]["secret_id"],
            )

    def credentials(self, role: str) -> tuple[Path, Path]:
        """Role id and secret id of `role`."""
        return self.layout.vault / f"{role}.role_id", self.layout.vault / f"{role}.secret_id"

    def set_role(self, role: str, **settings: Any) -> None:
        """Change how the tokens of `role` are."""
        defaults = {"token_policies": [role], "token_no_default_policy": True}
        self.call(f"auth/approle/role/{role}", {**defaults, **settings})

    def revoke_tokens(self, mount: str = "approle") -> None:
        """Revoke every token that a login at `mount` gave."""
        self.call(f"sys/leases/revoke-prefix/auth/{mount}", {}, method="PUT")

    def seal(self) -> None:
        """Seal it."""
        self.call("sys/seal", {}, method="PUT")

    def unseal(self) -> None:
        """Unseal it and wait until it serves."""
        self.call("sys/unseal", {"key": self._unseal_key}, method="PUT")
        while Api(self.address, self.layout.ca_certificate).call("sys/health").status != 200:
            time.sleep(0.01)

    def call(self, path: str, body: Mapping[str, Any] | None = None, *, method: str = "") -> dict[str, Any]:
        """What a request with the root token gives."""
        api = Api(self.address, self.layout.ca_certificate)
        answer = api.call(path, body, token=self.root_token, method=method)
        assert answer.status in (200, 204), (path, answer)
        return answer.body

    def reopen_audit_log(self) -> None:
        """Have it open its audit log again, as after moving it away."""
        assert self._process is not None
        self._process.signal(signal.SIGHUP)

    def kill(self) -> None:
        """End it and all it held."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _give_credentials(self, role: str, **parts: str) -> None:
        for name, value in parts.items():
            (self.layout.vault / f"{role}.{name}").write_text(value)

    def _listens(self) -> bool:
        try:
            return Api(self.address, self.layout.ca_certificate).call("sys/health").status == 501
        except OSError:
            return False


def _free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
