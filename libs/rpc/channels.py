"""Channels to the other services: mutual TLS, keepalive, bounded messages, no hidden retries."""

from __future__ import annotations

import grpc

from libs.rpc.settings import ServerSettings

_KEEPALIVE_MS = 20_000
_KEEPALIVE_TIMEOUT_MS = 5_000
_RECONNECT_MS = 100
_MAX_RECONNECT_MS = 1_000


def open_channel(target: str, settings: ServerSettings) -> grpc.aio.Channel:
    """A channel to `target` (`host:port`) with this service's own certificate.

    It connects on first use and reconnects within a second of the peer's return. The peer's certificate must be signed
    by our authority for the host name in `target`.
    """
    credentials = grpc.ssl_channel_credentials(
        root_certificates=settings.tls_ca_file.read_bytes(),
        private_key=settings.tls_key_file.read_bytes(),
        certificate_chain=settings.tls_cert_file.read_bytes(),
    )
    return grpc.aio.secure_channel(
        target,
        credentials,
        options=(
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
            ("grpc.initial_reconnect_backoff_ms", _RECONNECT_MS),
            ("grpc.min_reconnect_backoff_ms", _RECONNECT_MS),
            ("grpc.max_reconnect_backoff_ms", _MAX_RECONNECT_MS),
            # Retries are decided in one place, never by the library.
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ),
    )
