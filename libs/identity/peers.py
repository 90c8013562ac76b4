"""Which service is at the other end of a mutual TLS connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from libs.core.resource_names import is_id

DEFAULT_TRUST_DOMAIN = "gatehouse"

# gRPC lists the URI entries of the certificate's subject alternative names here, and only those. It also offers
# `x509_subject_alternative_name`, where a DNS entry that reads `spiffe://…` looks exactly like a URI entry.
_URI_NAMES = "peer_uri"
_TRANSPORT = "transport_security_type"


def peer_service(
    auth_context: Mapping[str, Iterable[bytes]], *, trust_domain: str = DEFAULT_TRUST_DOMAIN
) -> str | None:
    """The service named by the peer's certificate (`spiffe://gatehouse/router` -> `router`), else None.

    The certificate must hold exactly one URI, as the X.509-SVID standard asks: with two there is no telling which
    one is meant. gRPC fills `auth_context` only from certificates it verified, so this is safe on any port; one
    that does not ask for client certificates has no peers.
    """
    if tuple(auth_context.get(_TRANSPORT, ())) != (b"ssl",):
        return None
    uris = tuple(auth_context.get(_URI_NAMES, ()))
    if len(uris) != 1:
        return None
    try:
        uri = uris[0].decode("ascii")
    except UnicodeDecodeError:
        return None
    prefix, _, service = uri.rpartition("/")
    return service if prefix == f"spiffe://{trust_domain}" and is_id(service) else None
