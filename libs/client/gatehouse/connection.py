"""What the sync and the async client share: endpoints, trust, tokens, and the options of a channel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.protobuf.message import Message

from gatehouse.errors import Unauthenticated
from gatehouse.profile import SERVICES, ProfileError, Service

DEFAULT_TIMEOUT_S = 30.0
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""As much as a router sends and takes by default."""

REVISION_KEY = "gatehouse-revision"

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A silent stream over a dead path is noticed; nothing is sent while there is no call.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),
    # gRPC would wait up to two minutes between attempts; a restarted service is back within seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
_LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the services are, whom to trust, and the seconds a management call gets."""

    endpoints: Mapping[str, str]
    ca: bytes | None
    timeout: float

    @classmethod
    def to(cls, endpoints: str | Mapping[str, str], ca: str | Path | bytes | None, timeout: float) -> Connection:
        """Check and complete what a client was given. Raises ProfileError for what cannot work."""
        if isinstance(endpoints, str):
            endpoints = dict.fromkeys(SERVICES, endpoints)
        unknown = sorted(set(endpoints) - set(SERVICES))
        if unknown or not endpoints:
            raise ProfileError(f"endpoints are given by service ({', '.join(SERVICES)}), not {unknown}")
        if timeout <= 0:
            raise ProfileError("timeout must be more than 0 seconds")
        return cls(endpoints=dict(endpoints), ca=_read_ca(ca), timeout=timeout)

    def target(self, service: Service) -> str:
        """The `host:port` of `service`. Raises ProfileError when this client was not told."""
        try:
            return self.endpoints[service]
        except KeyError:
            raise ProfileError(
                f"this client knows no endpoint of {service}; it has {', '.join(sorted(self.endpoints))}"
            ) from None

    def credentials(self) -> grpc.ChannelCredentials:
        """TLS against the CA, or the system's authorities."""
        return grpc.ssl_channel_credentials(root_certificates=self.ca)

    @staticmethod
    def options(target: str) -> Sequence[tuple[str, int]]:
        """Channel options for `target`."""
        # A proxy of the environment cannot reach this machine's own loopback.
        return (*_OPTIONS, ("grpc.enable_http_proxy", 0)) if _LOOPBACK.fullmatch(target) else _OPTIONS


def call_metadata(token: str | None, revision: int | None) -> tuple[tuple[str, str], ...]:
    """The metadata of one call. Raises Unauthenticated for a token that no header can carry."""
    metadata: list[tuple[str, str]] = []
    if token is not None:
        token = token.strip()
        # gRPC would refuse it with an error that quotes it.
        if not token or not token.isascii() or any(character.isspace() or ord(character) < 0x20 for character in token):  # noqa: PLR2004 - C0
            raise Unauthenticated("the token is empty or holds spaces or foreign characters", reason="TOKEN_MALFORMED")
        metadata.append(("authorization", f"Bearer {token}"))
    if revision is not None:
        metadata.append((REVISION_KEY, str(revision)))
    return tuple(metadata)


def serialize(message: Message) -> bytes:
    """The bytes of a request."""
    return message.SerializeToString()


def _read_ca(ca: str | Path | bytes | None) -> bytes | None:
    if ca is None:
        return None
    try:
        content = ca if isinstance(ca, bytes) else Path(ca).expanduser().read_bytes()
    except OSError as error:
        raise ProfileError(f"The CA file {ca!s} cannot be read: {error.strerror}.") from error
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise ProfileError("The CA holds no certificate in PEM form.")
    return content
