"""Certificates and tokens for tests: a local CA with a certificate per service, and an issuer that signs at will."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import grpc
import jwt

from deploy.local.certificates import ensure_certificates
from deploy.local.issuer import AUDIENCE, ISSUER, ensure_issuer
from deploy.local.layout import StateLayout
from libs.core.clock import SystemClock

Metadata = tuple[tuple[str, str], ...]


class Identities:
    """Who is who in a test: made as the launcher makes them, in a directory of its own."""

    def __init__(self, directory: Path, services: Iterable[str]) -> None:
        self.layout = StateLayout.at(directory)
        self.layout.make()
        ensure_certificates(self.layout, services, SystemClock())
        self._issuer = ensure_issuer(self.layout)

    def settings(self, service: str) -> dict[str, object]:
        """The fields of `ServerSettings` that are about identity, for `service`."""
        return {
            "tls_cert_file": self.layout.certificate(service),
            "tls_key_file": self.layout.certificate_key(service),
            "tls_ca_file": self.layout.ca_certificate,
            "jwt_issuer": ISSUER,
            "jwt_audience": AUDIENCE,
            "jwt_jwks": str(self.layout.jwks),
        }

    def token(
        self,
        *roles: str,
        tenant: str | None = "acme",
        user: str = "ann",
        expires_in_s: int = 300,
        more: Mapping[str, object] = MappingProxyType({}),
    ) -> str:
        """A signed token, with the claims `more` besides the usual ones."""
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "roles": list(roles),
            "plan": "free",
            "iat": now,
            "exp": now + expires_in_s,
            "jti": f"{user}-{now}",
            **more,
        }
        if tenant is not None:
            claims["tenant"] = tenant
        key = self._issuer.key_file.read_bytes()
        return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": self._issuer.kid})

    def bearer(
        self,
        *roles: str,
        tenant: str | None = "acme",
        user: str = "ann",
        more: Mapping[str, object] = MappingProxyType({}),
    ) -> Metadata:
        """The metadata of a call with such a token."""
        return (("authorization", f"Bearer {self.token(*roles, tenant=tenant, user=user, more=more)}"),)

    def anonymous(self) -> grpc.ChannelCredentials:
        """What a client without a certificate trusts."""
        return grpc.ssl_channel_credentials(self.layout.ca_certificate.read_bytes())

    def peer(self, service: str) -> grpc.ChannelCredentials:
        """What `service` shows and trusts."""
        return grpc.ssl_channel_credentials(
            self.layout.ca_certificate.read_bytes(),
            self.layout.certificate_key(service).read_bytes(),
            self.layout.certificate(service).read_bytes(),
        )
