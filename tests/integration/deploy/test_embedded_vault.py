"""The embedded Vault: real OpenBao, set up by itself, killed and started again."""

import asyncio
import base64
import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.local.certificates import ensure_certificates
from deploy.local.layout import StateLayout
from deploy.local.openbao import READER, SECRETS_KEEPER, SERVICE, WRITER, OpenBao
from deploy.local.openbao_config import render_config
from libs.core.clock import SystemClock
from tests.vault import Answer, Api


def free_ports(number: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


class Vault:
    """OpenBao and a plain client of it."""

    def __init__(self, directory: Path) -> None:
        layout = StateLayout.at(directory)
        layout.make()
        ensure_certificates(layout, [SERVICE], SystemClock())
        port, cluster_port = free_ports(2)
        self.bao = OpenBao(layout=layout, port=port, cluster_port=cluster_port)
        self._api = Api(self.bao.address, layout.ca_certificate)

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

    def call(self, path: str, body: dict[str, Any] | None = None, *, token: str = "", method: str = "") -> Answer:
        return self._api.call(path, body, token=token, method=method)

    def login(self, role: str) -> str:
        return self._api.login((self.bao.role_id_file(role), self.bao.secret_id_file(role)))

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


ROLES = (WRITER, READER, SECRETS_KEEPER)
# Method, path, and who may.
PERMISSIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("POST", "transit/encrypt/provider-keys", (WRITER,)),
    ("POST", "transit/rewrap/provider-keys", (WRITER,)),
    ("GET", "transit/keys/provider-keys", (WRITER,)),
    ("POST", "transit/keys/provider-keys/rotate", (WRITER,)),
    ("POST", "transit/sign/audit-anchors", (WRITER,)),
    ("POST", "transit/verify/audit-anchors", (WRITER,)),
    ("POST", "transit/decrypt/provider-keys", (READER,)),
    ("GET", "secret/data/gatehouse/acme", (READER,)),
    ("POST", "secret/data/gatehouse/acme", (SECRETS_KEEPER,)),
    ("DELETE", "secret/data/gatehouse/acme", (SECRETS_KEEPER,)),
    ("LIST", "secret/metadata/gatehouse/", (SECRETS_KEEPER,)),
    ("GET", "secret/data/elsewhere/acme", ()),
    ("POST", "secret/data/elsewhere/acme", ()),
    ("LIST", "secret/metadata/", ()),
    ("POST", "transit/encrypt/another-key", ()),
    ("POST", "transit/keys/another-key", ()),
    ("POST", "transit/keys/provider-keys/config", ()),
    ("POST", "transit/keys/provider-keys/trim", ()),
    ("DELETE", "transit/keys/provider-keys", ()),
    ("GET", "transit/keys/audit-anchors", (SECRETS_KEEPER,)),
    ("POST", "transit/keys/audit-anchors/rotate", ()),
    ("GET", "transit/export/signing-key/audit-anchors", ()),
    ("GET", "transit/export/encryption-key/provider-keys", ()),
    ("POST", "transit/datakey/plaintext/provider-keys", ()),
    ("PUT", "sys/policies/acl/key-vault-reader", ()),
    ("POST", "sys/mounts/another", ()),
    ("POST", "auth/approle/role/key-vault-reader/secret-id", ()),
    ("POST", "auth/token/create", ()),
    ("PUT", "sys/seal", ()),
    ("POST", "auth/token/renew-self", ROLES),
    ("GET", "auth/token/lookup-self", ROLES),
)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "path", "allowed"), PERMISSIONS)
def test_each_identity_may_do_its_part_only(
    vault: Vault, writer: str, role: str, method: str, path: str, allowed: tuple[str, ...]
) -> None:
    body: dict[str, Any] = {"context": encode("t|k|1"), "input": encode("head"), "signature": "vault:v1:AAAA"}
    body |= {"plaintext": encode("sk-1"), "ciphertext": vault.seal_key("sk-1", "t|k|1", writer), "data": {"a": "b"}}
    answer = vault.call(path, body if method in ("POST", "PUT") else None, token=vault.login(role), method=method)
    assert (answer.status != 403) is (role in allowed), answer


def test_the_operators_secrets_are_kept_in_versions(vault: Vault, reader: str) -> None:
    keeper = vault.login(SECRETS_KEEPER)
    for value in ("sk-1", "sk-2"):
        vault.call("secret/data/gatehouse/versions", {"data": {"api_key": value}}, token=keeper)
    read = [
        vault.call(f"secret/data/gatehouse/versions{version}", token=reader).body["data"]["data"]["api_key"]
        for version in ("", "?version=1")
    ]
    assert read == ["sk-2", "sk-1"]


def test_anchors_are_signed_with_a_key_of_their_own(vault: Vault, writer: str) -> None:
    signature = vault.call("transit/sign/audit-anchors", {"input": encode("head")}, token=writer).body["data"][
        "signature"
    ]
    valid = [
        vault.call("transit/verify/audit-anchors", {"input": encode(text), "signature": signature}, token=writer).body[
            "data"
        ]["valid"]
        for text in ("head", "tail")
    ]
    assert valid == [True, False]


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


def test_a_set_up_of_an_earlier_version_goes_on_with_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault(tmp_path)
    with monkeypatch.context() as earlier:
        earlier.setattr("deploy.local.openbao._POLICIES", earlier_policies(tmp_path))
        earlier.setattr("deploy.local.openbao.render_config", earlier_config)
        earlier.setattr("deploy.local.openbao._ROLES", (WRITER, READER))
        with vault.running():
            ciphertext = vault.seal_key("sk-1", "t|k|1", vault.login(WRITER))
    marker = tmp_path / "vault" / "set-up-complete"
    marker.write_text("self-initialisation complete\n")
    with vault.running():
        assert vault.bao.shortcoming is not None
        writer, reader = vault.login(WRITER), vault.login(READER)
        for text, sealed in (("sk-1", ciphertext), ("sk-2", vault.seal_key("sk-2", "t|k|1", writer))):
            item = {"ciphertext": sealed, "context": encode("t|k|1")}
            answer = vault.call("transit/decrypt/provider-keys", item, token=reader)
            assert answer.body["data"]["plaintext"] == encode(text)
        assert vault.call("transit/sign/audit-anchors", {"input": encode("head")}, token=writer).status == 403
        assert vault.call("secret/data/gatehouse/acme", token=reader).status == 403
    assert marker.read_text() == "self-initialisation complete\n"


def earlier_policies(directory: Path) -> Path:
    """The policies of the version before, as far as they matter here."""
    for role, path in ((WRITER, "encrypt"), (READER, "decrypt")):
        (directory / f"{role}.hcl").write_text(f'path "transit/{path}/provider-keys" {{ capabilities = ["update"] }}')
    return directory


def earlier_config(**values: Any) -> str:
    """The configuration of the version before: without the key for anchors and the engine for secrets."""
    config = render_config(**values)
    config = re.sub(r'  request "anchor-key" {.*?\n  }\n', "", config, flags=re.DOTALL)
    config = re.sub(r'initialize "secrets" {.*?\n}\n', "", config, flags=re.DOTALL)
    assert "audit-anchors" not in config
    assert "sys/mounts/secret" not in config
    return config


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
