"""The whole stack under test: the local launcher with ports and state of its own, and what a call needs set up."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import jwt
from gatehouse.keyvault.v1 import key_pb2, key_service_pb2
from gatehouse.keyvault.v1.key_service_pb2_grpc import KeyServiceStub
from gatehouse.providerconfig.v1 import model_pb2, model_service_pb2, provider_pb2, provider_service_pb2
from gatehouse.providerconfig.v1.model_service_pb2_grpc import ModelServiceStub
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import ProviderServiceStub
from gatehouse.router.v1 import generation_pb2, generation_service_pb2, message_pb2
from gatehouse.router.v1.generation_service_pb2_grpc import GenerationServiceStub
from gatehouse.usage.v1 import quota_pb2, quota_service_pb2, usage_service_pb2
from gatehouse.usage.v1.quota_service_pb2_grpc import QuotaServiceStub
from gatehouse.usage.v1.usage_service_pb2_grpc import UsageServiceStub

from deploy.local.layout import StateLayout
from tests.bench.processes import BenchError, free_ports, running, tail

GATEWAY = ("router", "key_vault", "usage_accounting", "provider_config", "openbao")
"""The processes whose CPU a call of Gatehouse costs: all of them."""

TENANT = "bench"
MODEL = "sandbox-small"
API_KEY = "sk-sandbox-0123456789abcdef"
_PORTS = (
    *(f"{service}{kind}_port" for service in GATEWAY[:4] for kind in ("", "_internal")),
    *("openbao_port", "openbao_cluster_port", "sandbox_port"),
)
KEYS = 256
_UID_OF = "SELECT uid FROM keys WHERE tenant = ? AND key_id = 'sandbox'"
_FILLED_KEY = {
    "uid": "'00000000-0000-4000-8000-' || printf('%012d', i)",
    "name": "'tenants/t' || (i % 1000) || '/keys/k' || i",
    "tenant": "'t' || (i % 1000)",
    "key_id": "'k' || i",
    "fingerprint": "printf('%016x', i)",
}
_FILLED_VERSION = {"key_uid": "'00000000-0000-4000-8000-' || printf('%012d', i)"}
_START_TIMEOUT_S = 60.0
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A stack that serves. `start_s` is from the launcher's start to its word that everything serves."""

    layout: StateLayout
    start_s: float
    pids: Mapping[str, int]
    endpoints: Mapping[str, str]
    key_vault: str
    upstream: str
    token: str


@contextmanager
def serving(state: Path) -> Iterator[Stack]:
    """A stack on free ports with its state in `state`, stopped at the end. Raises BenchError."""
    layout = StateLayout.at(state)
    layout.make()
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    environment = {f"GATEHOUSE_{name.upper()}": str(port) for name, port in ports.items()}
    # An upstream that takes its time would hide what the gateway takes.
    environment["GATEHOUSE_SANDBOX_PACE_MS"] = "0"
    log = layout.log("launcher")
    log.unlink(missing_ok=True)
    began = time.monotonic()
    with running("deploy.local", "--state-dir", str(state), log=log, environment=environment) as launcher:
        start_s = 0.0
        while "Serving until" not in (said := log.read_text()):
            if not start_s and "Serving after" in said:
                start_s = time.monotonic() - began
            if launcher.poll() is not None or time.monotonic() - began > _START_TIMEOUT_S:
                raise BenchError(f"the stack does not start.\n{tail(log)}")
            time.sleep(0.01)
        profile = json.loads(layout.client_file.read_text())
        yield Stack(
            layout=layout,
            start_s=start_s or time.monotonic() - began,
            pids={**json.loads(layout.processes_file.read_text()), "launcher": launcher.pid},
            endpoints=profile["endpoints"],
            key_vault=f"localhost:{ports['key_vault_internal_port']}",
            upstream=f"http://127.0.0.1:{ports['sandbox_port']}",
            token=_token(profile["issuer"]),
        )


def _token(issuer: Mapping[str, str]) -> str:
    now = int(time.time())
    claims = {
        "iss": issuer["issuer"],
        "aud": issuer["audience"],
        "sub": "bench",
        "tenant": TENANT,
        "roles": ["tenant_admin"],
        "plan": "pro",
        "iat": now,
        "exp": now + 3600,
        "jti": uuid.uuid4().hex,
    }
    return jwt.encode(claims, Path(issuer["key"]).read_text(), algorithm="EdDSA", headers={"kid": issuer["kid"]})


class Management:
    """The few calls that set a tenant up and count what the ledger holds."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._metadata = (("authorization", f"Bearer {stack.token}"),)
        credentials = grpc.ssl_channel_credentials(stack.layout.ca_certificate.read_bytes())
        self._channels = {name: grpc.secure_channel(address, credentials) for name, address in stack.endpoints.items()}

    def set_up(self) -> None:
        """A key, a provider, a priced model, a token and a money budget nobody will reach; then a first call."""
        parent = f"tenants/{TENANT}"
        self._create_key("sandbox", API_KEY)
        ProviderServiceStub(self._channels["provider_config"]).CreateProvider(
            provider_service_pb2.CreateProviderRequest(
                parent=parent,
                provider_id="sandbox",
                provider=provider_pb2.Provider(
                    type="openai_compatible",
                    base_url=f"{self._stack.upstream}/v1",
                    key=f"{parent}/keys/sandbox",
                    default_model=MODEL,
                    is_default=True,
                ),
            ),
            metadata=self._metadata,
            timeout=_TIMEOUT_S,
        )
        model = ModelServiceStub(self._channels["provider_config"]).CreateModel(
            model_service_pb2.CreateModelRequest(
                parent=f"{parent}/providers/sandbox",
                model_id=MODEL,
                model=model_pb2.Model(
                    context_tokens=128_000,
                    max_output_tokens=4_096,
                    price=model_pb2.ModelPrice(
                        input_micro_usd_per_million=150_000, output_micro_usd_per_million=600_000
                    ),
                ),
            ),
            metadata=self._metadata,
            timeout=_TIMEOUT_S,
        )
        for name, metric in (("tokens", quota_pb2.QUOTA_METRIC_TOKENS), ("budget", quota_pb2.QUOTA_METRIC_COST)):
            QuotaServiceStub(self._channels["usage_accounting"]).CreateQuota(
                quota_service_pb2.CreateQuotaRequest(
                    parent=parent,
                    quota_id=name,
                    quota=quota_pb2.Quota(metric=metric, window=quota_pb2.QUOTA_WINDOW_MONTH, limit=10**15),
                ),
                metadata=self._metadata,
                timeout=_TIMEOUT_S,
            )
        self._first_call(model.revision)

    def _first_call(self, revision: int) -> None:
        question = message_pb2.Message(role=message_pb2.ROLE_USER, parts=[message_pb2.Part(text="Hello?")])
        GenerationServiceStub(self._channels["router"]).Generate(
            generation_service_pb2.GenerateRequest(generation=generation_pb2.Generation(messages=[question])),
            metadata=(*self._metadata, ("gatehouse-revision", str(revision))),
            timeout=_TIMEOUT_S,
        )

    def create_keys(self) -> list[str]:
        """Keys of the tenant that differ, as many as are in flight at most; their names."""
        ids = [f"k{number}" for number in range(KEYS)]
        for each in ids:
            self._create_key(each, f"{API_KEY}-{each}")
        return [f"tenants/{TENANT}/keys/{each}" for each in ids]

    def fill_keys(self, number: int) -> None:
        """Put `number` rows of other tenants' keys beside them, past the service: nobody will open these."""
        with contextlib.closing(sqlite3.connect(self._stack.layout.database("key-vault"), timeout=60)) as database:
            _multiply(database, "keys", number, "name = ?", (f"tenants/{TENANT}/keys/sandbox",), _FILLED_KEY)
            _multiply(database, "key_versions", number, f"key_uid = ({_UID_OF})", (TENANT,), _FILLED_VERSION)
            database.commit()

    def _create_key(self, key_id: str, material: str) -> None:
        KeyServiceStub(self._channels["key_vault"]).CreateKey(
            key_service_pb2.CreateKeyRequest(
                parent=f"tenants/{TENANT}",
                key_id=key_id,
                key=key_pb2.Key(provider_type="openai_compatible", origin=self._stack.upstream),
                api_key=material.encode(),
            ),
            metadata=self._metadata,
            timeout=_TIMEOUT_S,
        )

    def accounted(self) -> int:
        """How many attempts the ledger holds of this tenant that succeeded and have a price."""
        total = (
            UsageServiceStub(self._channels["usage_accounting"])
            .GetUsageStats(
                usage_service_pb2.GetUsageStatsRequest(parent=f"tenants/{TENANT}"),
                metadata=self._metadata,
                timeout=_TIMEOUT_S,
            )
            .total
        )
        return total.succeeded - total.unpriced_attempts

    def close(self) -> None:
        """Close the channels."""
        for channel in self._channels.values():
            channel.close()


def _multiply(
    database: sqlite3.Connection,
    table: str,
    number: int,
    which: str,
    arguments: tuple[str, ...],
    changes: Mapping[str, str],
) -> None:
    """Copy the row `which` of `table` `number` times, each with the `changes`, in which `i` counts from 1."""
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changes.get(column, f"{table}.{column}") for column in columns)
    database.execute(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {number})"
        f" INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table}, n WHERE {which}",
        arguments,
    )
