"""The processes of the embedded stack: one table, in the order they start.

Process names have underscores (module, log file), service names hyphens (certificate, SPIFFE identity, database).
A variable that is set for the launcher and carries a service's prefix (`ROUTER_LOG_LEVEL`,
`KEY_VAULT_DATABASE_URL`) wins over the defaults here, but not over addresses, certificates and token settings: the
launcher itself relies on those.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.certificates import ensure_certificates
from deploy.local.issuer import Issuer, ensure_issuer
from deploy.local.layout import StateLayout
from deploy.local.openbao import READER, WRITER, OpenBao
from deploy.local.openbao import SERVICE as OPENBAO
from deploy.local.ports import LOOPBACK, Port
from deploy.local.probes import grpc_ready, http_ready
from deploy.local.process import ProcessSpec
from deploy.local.settings import LauncherSettings, inherited_environment, provider_keys, variable
from deploy.local.state_files import PRIVATE, PUBLIC, write_file
from libs.core.clock import SystemClock

REPOSITORY = Path(__file__).parents[2]
SERVICES = ("key_vault", "provider_config", "usage_accounting", "router")
"""The processes that are Gatehouse services, in start order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Everything the launcher runs, made ready to start."""

    processes: tuple[ProcessSpec, ...]
    ports: tuple[Port, ...]
    issuer: Issuer
    notices: tuple[str, ...] = ()
    """What the person at the keyboard should know about this state."""


def service_name(process: str) -> str:
    """`key_vault` -> `key-vault`."""
    return process.replace("_", "-")


def prepare_stack(settings: LauncherSettings, layout: StateLayout) -> Stack:
    """Make certificates, issuer, keys and `client.json`, and build the table.

    Raises LauncherError when something in the state directory is not what it should be.
    """
    ensure_certificates(layout, (OPENBAO, *map(service_name, SERVICES)), SystemClock())
    issuer = ensure_issuer(layout)
    for key in (layout.fingerprint_key, layout.audit_seal_key):
        if not key.exists():
            write_file(key, secrets.token_hex(32).encode(), mode=PRIVATE)
    write_file(layout.client_file, _client_file(settings, layout, issuer), mode=PUBLIC)
    vault = OpenBao(layout=layout, port=settings.openbao_port, cluster_port=settings.openbao_cluster_port)
    return Stack(
        processes=(
            _openbao(layout, vault),
            _sandbox(settings, layout),
            *(_service(process, settings, layout, vault, issuer) for process in SERVICES),
        ),
        ports=tuple(_ports(settings)),
        issuer=issuer,
        notices=(vault.shortcoming,) if vault.shortcoming else (),
    )


def _openbao(layout: StateLayout, vault: OpenBao) -> ProcessSpec:
    return ProcessSpec(
        name="openbao",
        command=vault.command,
        # Its own variables (BAO_*, VAULT_*) are for clients on this machine and would change what it does.
        environment={name: value for name, value in inherited_environment().items() if name in {"PATH", "TZ"}},
        working_directory=layout.vault,
        log_file=layout.log("openbao"),
        probe=vault.is_ready,
        before_start=vault.before_start,
        on_ready=vault.on_ready,
        tidy=vault.tidy,
    )


def _sandbox(settings: LauncherSettings, layout: StateLayout) -> ProcessSpec:
    where = ("--host", LOOPBACK, "--port", str(settings.sandbox_port), "--bill", str(layout.bill))
    pace = ("--pace-ms", f"{settings.sandbox_pace_ms:g}")
    return ProcessSpec(
        name="sandbox",
        command=(sys.executable, "-m", "libs.sandbox", *where, *pace),
        environment=inherited_environment("SANDBOX_"),
        working_directory=REPOSITORY,
        log_file=layout.log("sandbox"),
        probe=http_ready(f"http://{LOOPBACK}:{settings.sandbox_port}/healthz"),
    )


def _service(
    process: str, settings: LauncherSettings, layout: StateLayout, vault: OpenBao, issuer: Issuer
) -> ProcessSpec:
    prefix = f"{process.upper()}_"
    defaults, fixed = _service_settings(process, settings, layout, vault, issuer)
    environment = {
        **{prefix + name: value for name, value in defaults.items()},
        **inherited_environment(prefix),
        **{prefix + name: value for name, value in fixed.items()},
        **(provider_keys() if process == "key_vault" else {}),
    }
    return ProcessSpec(
        name=process,
        command=(sys.executable, "-m", f"services.{process}"),
        environment=environment,
        working_directory=REPOSITORY,
        log_file=layout.log(process),
        probe=grpc_ready("localhost", _port(settings, process), layout.ca_certificate),
        # Its Vault credentials exist only once the embedded Vault was ready for the first time.
        after=("openbao",) if process == "key_vault" and not vault.is_set_up else (),
    )


def _service_settings(
    process: str, settings: LauncherSettings, layout: StateLayout, vault: OpenBao, issuer: Issuer
) -> tuple[dict[str, str], dict[str, str]]:
    """Variables without their prefix: those the person at the keyboard may override, and those fixed here."""
    service = service_name(process)
    defaults = {
        "DATABASE_URL": f"sqlite:///{layout.database(service)}",
        "LOG_LEVEL": settings.log_level,
    }
    fixed = {
        "PUBLIC_ADDRESS": f"{LOOPBACK}:{_port(settings, process)}",
        "INTERNAL_ADDRESS": f"{LOOPBACK}:{_internal_port(settings, process)}",
        "TLS_CERT_FILE": str(layout.certificate(service)),
        "TLS_KEY_FILE": str(layout.certificate_key(service)),
        "TLS_CA_FILE": str(layout.ca_certificate),
        "JWT_ISSUER": issuer.issuer,
        "JWT_AUDIENCE": issuer.audience,
        "JWT_JWKS": str(layout.jwks),
    }
    match process:
        case "key_vault":
            defaults |= {
                "VAULT_ADDR": vault.address,
                "VAULT_CA_FILE": str(layout.ca_certificate),
                "VAULT_WRITER_ROLE_ID_FILE": str(vault.role_id_file(WRITER)),
                "VAULT_WRITER_SECRET_ID_FILE": str(vault.secret_id_file(WRITER)),
                "VAULT_READER_ROLE_ID_FILE": str(vault.role_id_file(READER)),
                "VAULT_READER_SECRET_ID_FILE": str(vault.secret_id_file(READER)),
                "FINGERPRINT_KEY_FILE": str(layout.fingerprint_key),
                "AUDIT_ANCHOR_FILE": str(layout.audit_anchors),
            }
        case "provider_config":
            # The sandbox provider, and whatever model server runs beside it (Ollama, vLLM), live on this machine.
            defaults |= {
                "ALLOW_LOOPBACK_ENDPOINTS": "true",
                "AUDIT_SEAL_KEY_FILE": str(layout.audit_seal_key),
            }
            fixed |= _targets(settings, "key_vault", "router")
        case "router":
            del defaults["DATABASE_URL"]  # it has none: what it must not lose is in the spool
            # A provider on this machine that was killed is back within seconds; it must not rest for longer.
            defaults |= {
                "SPOOL_DIR": str(layout.spool),
                "BREAKER_COOLDOWN_S": "1",
                "ALLOW_LOOPBACK_ENDPOINTS": "true",
            }
            fixed |= _targets(settings, *(other for other in SERVICES if other != process))
        case _:
            pass
    return defaults, fixed


def _targets(settings: LauncherSettings, *others: str) -> dict[str, str]:
    return {f"{other.upper()}_TARGET": f"localhost:{_internal_port(settings, other)}" for other in others}


def _client_file(settings: LauncherSettings, layout: StateLayout, issuer: Issuer) -> bytes:
    content = {
        "ca": str(layout.ca_certificate),
        "endpoints": {process: f"localhost:{_port(settings, process)}" for process in ("router", *SERVICES[:-1])},
        "issuer": {
            "key": str(issuer.key_file),
            "kid": issuer.kid,
            "issuer": issuer.issuer,
            "audience": issuer.audience,
        },
    }
    return json.dumps(content, indent=2).encode() + b"\n"


def _ports(settings: LauncherSettings) -> Iterable[Port]:
    yield _wanted(settings, "openbao_port", "openbao", "its API")
    yield _wanted(settings, "openbao_cluster_port", "openbao", "its storage cluster")
    yield _wanted(settings, "sandbox_port", "sandbox", "the local provider")
    for process in SERVICES:
        yield _wanted(settings, f"{process}_port", process, "its callers")
        yield _wanted(settings, f"{process}_internal_port", process, "the other services")


def _wanted(settings: LauncherSettings, field: str, process: str, purpose: str) -> Port:
    number: int = getattr(settings, field)
    return Port(number=number, process=process, purpose=purpose, variable=variable(field))


def _port(settings: LauncherSettings, process: str) -> int:
    number: int = getattr(settings, f"{process}_port")
    return number


def _internal_port(settings: LauncherSettings, process: str) -> int:
    number: int = getattr(settings, f"{process}_internal_port")
    return number
