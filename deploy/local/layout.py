"""Where everything lies inside the state directory (`.gatehouse/`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LauncherError
from deploy.local.state_files import private_directory

# These would need escaping in a database URL, a `file://` reference or OpenBao's configuration.
_UNSAFE = frozenset('?#%"$\\')


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLayout:
    """Paths below one absolute root. Names with a hyphen are services, with an underscore processes."""

    root: Path

    @classmethod
    def at(cls, directory: Path) -> StateLayout:
        """The layout below `directory`, which need not exist yet.

        Raises LauncherError for a path with a character that would need escaping somewhere below (`_UNSAFE`).
        """
        root = directory.expanduser().absolute()
        if any(character in _UNSAFE or ord(character) < 0x20 for character in str(root)):  # noqa: PLR2004 - C0
            raise LauncherError(
                f"The state directory {str(root)!r} must not contain any of {' '.join(sorted(_UNSAFE))}.\n"
                "Choose another with GATEHOUSE_STATE_DIR or --state-dir."
            )
        return cls(root=root)

    def make(self) -> None:
        """Create the directories, readable by the owner only. Raises LauncherError when that is not possible."""
        try:
            for path in (self.root, self.tls, self.identity, self.vault, self.data, self.spool, self.logs):
                private_directory(path)
            private_directory(self.bill.parent)
        except OSError as error:
            raise LauncherError(
                f"Cannot create {error.filename}: {error.strerror}.\n"
                "Choose another place with GATEHOUSE_STATE_DIR or --state-dir."
            ) from error

    @property
    def tls(self) -> Path:
        """Certificates and their keys."""
        return self.root / "tls"

    @property
    def ca_certificate(self) -> Path:
        """The local CA's certificate: what every client trusts."""
        return self.tls / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The local CA's private key."""
        return self.tls / "ca.key"

    def certificate(self, service: str) -> Path:
        """The certificate of `service`."""
        return self.tls / f"{service}.pem"

    def certificate_key(self, service: str) -> Path:
        """The private key of `service`'s certificate."""
        return self.tls / f"{service}.key"

    @property
    def identity(self) -> Path:
        """The token issuer and other keys that make identities."""
        return self.root / "identity"

    @property
    def issuer_key(self) -> Path:
        """The private key that signs development tokens."""
        return self.identity / "issuer.key"

    @property
    def jwks(self) -> Path:
        """The public keys that tokens are verified with."""
        return self.identity / "jwks.json"

    @property
    def fingerprint_key(self) -> Path:
        """The key of key_vault's keyed fingerprints; apart from its database on purpose."""
        return self.identity / "key-vault-fingerprint.key"

    @property
    def audit_seal_key(self) -> Path:
        """The key that seals provider_config's audit log; apart from its database on purpose."""
        return self.identity / "provider-config-audit-seal.key"

    @property
    def vault(self) -> Path:
        """All of OpenBao."""
        return self.root / "vault"

    @property
    def data(self) -> Path:
        """The services' databases."""
        return self.root / "data"

    def database(self, service: str) -> Path:
        """The SQLite file of `service`."""
        return self.data / f"{service}.db"

    @property
    def spool(self) -> Path:
        """The router's durable spool."""
        return self.root / "spool"

    @property
    def bill(self) -> Path:
        """What the sandbox provider would charge, a line per request."""
        return self.root / "sandbox" / "bill.jsonl"

    @property
    def audit_anchors(self) -> Path:
        """The signed heads of the audit chains."""
        return self.root / "audit-anchors.jsonl"

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.root / "logs"

    def log(self, process: str) -> Path:
        """The log file of `process`."""
        return self.logs / f"{process}.log"

    @property
    def client_file(self) -> Path:
        """How clients on this machine find endpoints, CA and issuer."""
        return self.root / "client.json"

    @property
    def processes_file(self) -> Path:
        """Process ids by process name, while the launcher runs."""
        return self.root / "processes.json"

    @property
    def lock(self) -> Path:
        """Held by the one launcher that uses this directory."""
        return self.root / "launcher.lock"
