"""The embedded Vault: real OpenBao, set up by itself, killed and started again."""

import asyncio
import base64
import json
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.local.certificates import ensure_certificates
from deploy.local.layout import StateLayout
from deploy.local.openbao import READER, SERVICE, WRITER, OpenBao
from libs.core.clock import SystemClock


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]


class Vault:
    """OpenBao and a plain client of it."""

    def __init__(self, directory: Path) -> None:
        layout = StateLayout.at(directory)
        layout.make()
        ensure_certificates(layout, [SERVICE], SystemClock())
        port, cluster_port = free_ports(2)
        self.bao = OpenBao(layout=layout, port=port, cluster_port=cluster_port)
        self._tls = ssl.create_default_context(cafile=layout.ca_certificate)

    @contextmanager
    def running(self, *, extra_audit_option: str = "") -> Iterator[int]:
        """Run it as the launcher would, yielding its process id; leaving kills it with SIGKILL."""
        self.bao.before_start()
        if extra_audit_option:
            config = self.bao.config_file.read_text().replace("options {", "options {\n    " + extra_audit_option)
            self.bao.config_file.write_text(config)
        log_file = self.bao.layout.log("openbao")
        with log_file.open("ab") as log:
            process = subprocess.Popen(self.bao.command, stdout=log, stderr=log, env={})
        try:
            deadline = time.monotonic() + 30
            while not asyncio.run(self.bao.is_ready()):
                assert process.poll() is None, log_file.read_text()
                assert time.monotonic() < deadline, log_file.read_text()
                time.sleep(0.02)
            self.bao.on_ready()
            yield process.pid
        finally:
            process.kill()
            process.wait()

    def call(self, path: str, body: dict[str, Any] | None = None, *, token: str = "") -> Answer:
        request = urllib.request.Request(
            f"{self.bao.address}/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Vault-Token": token} if token else {},
        )
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=10) as response:
                return Answer(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, json.load(error))

    def login(self, role: str) -> str:
        credentials = {
            "role_id": self.bao.role_id_file(role).read_text(),
            "secret_id": self.bao.secret_id_file(role).read_text(),
        }
        token: str = self.call("auth/approle/login", credentials).body["auth"]["client_token"]
        return token

    def seal_key(self, text: str, context: str, token: str) -> str:
        answer = self.call(
            "transit/encrypt/provider-keys", {"plaintext": encode(text), "context": encode(context)}, token=token
        )
        ciphertext: str = answer.body["data"]["ciphertext"]
        return ciphertext


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    vault = Vault(tmp_path_factory.mktemp("state of vault"))
    with vault.running():
        yield vault


@pytest.fixture(scope="module")
def writer(vault: Vault) -> str:
    return vault.login(WRITER)


@pytest.fixture(scope="module")
def reader(vault: Vault) -> str:
    return vault.login(READER)


def test_what_the_writer_seals_the_reader_opens(vault: Vault, writer: str, reader: str) -> None:
    item = {"ciphertext": vault.seal_key("sk-1", "t|k|1", writer), "context": encode("t|k|1")}
    answer = vault.call("transit/decrypt/provider-keys", item, token=reader)
    assert answer.body["data"]["plaintext"] == encode("sk-1")


def test_a_key_moved_to_another_row_does_not_open(vault: Vault, writer: str, reader: str) -> None:
    item = {"ciphertext": vault.seal_key("sk-1", "t|k|1", writer), "context": encode("other|k|1")}
    answer = vault.call("transit/decrypt/provider-keys", item, token=reader)
    assert answer == Answer(400, {"errors": ["cipher: message authentication failed"]})


def test_one_bad_key_does_not_spoil_its_batch(vault: Vault, writer: str, reader: str) -> None:
    ciphertext = vault.seal_key("sk-1", "t|k|1", writer)
    batch = [{"ciphertext": ciphertext, "context": encode(context)} for context in ("t|k|1", "other|k|1")]
    answer = vault.call("transit/decrypt/provider-keys", {"batch_input": batch}, token=reader)
    good, bad = answer.body["data"]["batch_results"]
    assert answer.status == 400
    assert good["plaintext"] == encode("sk-1")
    assert "error" not in good
    assert bad["error"] == "cipher: message authentication failed"


@pytest.mark.parametrize(
    ("role", "path", "allowed"),
    [
        (WRITER, "transit/encrypt/provider-keys", True),
        (WRITER, "transit/rewrap/provider-keys", True),
        (WRITER, "transit/decrypt/provider-keys", False),
        (READER, "transit/decrypt/provider-keys", True),
        (READER, "transit/encrypt/provider-keys", False),
        (READER, "transit/rewrap/provider-keys", False),
        *(
            (role, path, False)
            for role in (WRITER, READER)
            for path in (
                "transit/encrypt/another-key",
                "transit/keys/provider-keys/rotate",
                "transit/keys/provider-keys/config",
                "transit/datakey/plaintext/provider-keys",
                "sys/policies/acl/key-vault-reader",
                "auth/approle/role/key-vault-reader/secret-id",
                "auth/token/create",
                "sys/seal",
            )
        ),
        (WRITER, "auth/token/renew-self", True),
        (READER, "auth/token/renew-self", True),
    ],
)
def test_each_identity_may_do_its_part_only(vault: Vault, role: str, path: str, allowed: bool) -> None:
    token = vault.login(role)
    body: dict[str, Any] = {"context": encode("t|k|1")}
    if "encrypt" in path:
        body["plaintext"] = encode("sk-1")
    elif "decrypt" in path or "rewrap" in path:
        body["ciphertext"] = vault.seal_key("sk-1", "t|k|1", vault.login(WRITER))
    assert (vault.call(path, body, token=token).status != 403) is allowed


def test_neither_identity_can_export_the_key(vault: Vault, writer: str, reader: str) -> None:
    for token in (writer, reader):
        assert vault.call("transit/export/encryption-key/provider-keys", token=token).status == 403


def test_tokens_are_periodic_and_carry_one_policy(vault: Vault, reader: str) -> None:
    token = vault.call("auth/token/lookup-self", token=reader).body["data"]
    assert token["policies"] == ["key-vault-reader"]
    assert token["period"] == 3600


def test_plain_http_and_strangers_certificates_are_refused(vault: Vault) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{vault.bao.address}/v1/sys/health", timeout=10)  # the system's CAs only


def test_the_audit_log_records_every_decryption_but_no_key(vault: Vault, writer: str, reader: str) -> None:
    item = {"ciphertext": vault.seal_key("sk-audit-canary", "t|k|1", writer), "context": encode("t|k|1")}
    vault.call("transit/decrypt/provider-keys", item, token=reader)
    audit = (vault.bao.layout.vault / "audit.log").read_text()
    assert "transit/decrypt/provider-keys" in audit
    assert "sk-audit-canary" not in audit
    assert encode("sk-audit-canary") not in audit
    assert reader not in audit
    assert vault.bao.secret_id_file(READER).read_text() not in audit


def test_the_audit_log_is_rotated_while_it_runs_and_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.local.openbao._MOST_AUDIT_BYTES", 30_000)
    vault = Vault(tmp_path)
    with vault.running() as pid:
        writer = vault.login(WRITER)
        for number in range(60):
            vault.seal_key("sk", f"t|k|{number}", writer)
            vault.bao.tidy(pid)
    files = sorted((tmp_path / "vault").glob("audit.log*"))
    answers = sum(
        entry["type"] == "response" and entry["request"]["path"] == "transit/encrypt/provider-keys"
        for file in files
        for entry in map(json.loads, file.read_text().splitlines())
    )
    assert len(files) > 2
    assert answers == 60


def test_the_root_token_of_the_set_up_is_dead(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    # Only a raw audit log ever shows that token.
    with vault.running(extra_audit_option='log_raw = "true"'):
        used = re.findall(r'"client_token":"(s\.[^"]+)"', (tmp_path / "vault" / "audit.log").read_text())
        assert used
        for token in set(used):
            assert vault.call("sys/mounts", token=token).status == 403


def test_five_kills_lose_no_key(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    sealed: dict[str, str] = {}
    for number in range(6):
        with vault.running():
            writer, reader = vault.login(WRITER), vault.login(READER)
            sealed[f"t|k|{number}"] = vault.seal_key(f"sk-{number}", f"t|k|{number}", writer)
            for position, (context, ciphertext) in enumerate(sealed.items()):
                item = {"ciphertext": ciphertext, "context": encode(context)}
                answer = vault.call("transit/decrypt/provider-keys", item, token=reader)
                assert answer.body["data"]["plaintext"] == encode(f"sk-{position}")


def test_a_set_up_that_was_killed_is_started_over(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.bao.before_start()
    log_file = vault.bao.layout.log("openbao")
    with log_file.open("wb") as log:
        process = subprocess.Popen(vault.bao.command, stdout=log, stderr=log, env={})
    try:
        deadline = time.monotonic() + 20
        # From here on the storage counts as initialised, and nothing is set up in it yet.
        while "security barrier initialized" not in log_file.read_text():
            assert time.monotonic() < deadline, log_file.read_text()
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert not vault.bao.is_set_up
    with vault.running():
        item = {"ciphertext": vault.seal_key("sk-1", "t|k|1", vault.login(WRITER)), "context": encode("t|k|1")}
        answer = vault.call("transit/decrypt/provider-keys", item, token=vault.login(READER))
        assert answer.body["data"]["plaintext"] == encode("sk-1")
