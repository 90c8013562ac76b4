"""Everybody who may call: people with every combination of roles, services, and those nobody knows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType
from typing import Any

from tests.identities import Identities, Metadata

ROLES = ("super_admin", "tenant_admin", "member", "service")
SERVICES = ("router", "key-vault", "provider-config", "usage-accounting", "console")
_VALID_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whoever bears a token with these claims. `mfa`: has just signed in with a second factor."""

    roles: frozenset[str]
    tenant: str | None = "acme"
    user: str = "ann"
    mfa: bool = False
    beside: str | None = None
    """A service whose certificate is shown beside the token."""

    def __str__(self) -> str:
        who = f"{'+'.join(sorted(self.roles)) or 'no role'} {self.user} of {self.tenant}"
        return who + (" with fresh MFA" if self.mfa else "") + (f" beside {self.beside}" if self.beside else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whoever shows a certificate and no token. `uris` are those in the certificate, as gRPC lists them."""

    uris: tuple[str, ...]
    more: Mapping[str, tuple[bytes, ...]] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    transport: str = "ssl"

    def __str__(self) -> str:
        return f"{self.transport} peer {self.uris} {dict(self.more) or ''}"


Caller = Person | Peer


def peer(service: str) -> Peer:
    """A service of Gatehouse."""
    return Peer(uris=(f"spiffe://gatehouse/{service}",))


NOBODY = Peer(uris=())
SUPER_ADMIN = Person(roles=frozenset({"super_admin"}), tenant=None, user="root")


def role_sets() -> Iterator[frozenset[str]]:
    """No role, each alone, every pair, all of them."""
    for size in (0, 1, 2, len(ROLES)):
        yield from map(frozenset, combinations(ROLES, size))


def people() -> tuple[Person, ...]:
    """Every set of roles inside a tenant, those of a super admin outside of all, and some with telling names."""
    everything = frozenset(ROLES)
    return (
        *(Person(roles=roles) for roles in role_sets()),
        *(Person(roles=roles, tenant=None, user="root") for roles in role_sets() if "super_admin" in roles),
        # Outside every tenant without being an operator.
        Person(roles=frozenset({"tenant_admin", "member"}), tenant=None),
        # Called like a service, or like the platform.
        Person(roles=everything - {"super_admin"}, user="router"),
        Person(roles=frozenset({"tenant_admin"}), tenant="platform", user="platform"),
        Person(roles=frozenset({"tenant_admin"}), tenant="acm"),
        # A token beside a certificate is who the caller wants to be.
        Person(roles=frozenset({"member"}), beside="router"),
    )


def peers() -> tuple[Peer, ...]:
    """Every service, everything that only looks like one, and nobody."""
    spiffe = b"spiffe://gatehouse/router"
    return (
        *map(peer, SERVICES),
        NOBODY,
        Peer(uris=("spiffe://elsewhere/router",)),
        Peer(uris=("spiffe://gatehouse.evil/router",)),
        Peer(uris=("spiffe://gatehouse/x/router",)),
        Peer(uris=("spiffe://gatehouse/Router",)),
        Peer(uris=("spiffe://gatehouse/router/",)),
        Peer(uris=("https://gatehouse/router",)),
        Peer(uris=("spiffe://gatehouse/router", "spiffe://gatehouse/key-vault")),
        Peer(uris=(), more={"x509_subject_alternative_name": (spiffe,), "x509_common_name": (b"router",)}),
        Peer(uris=("spiffe://gatehouse/router",), transport="insecure"),
    )


def everybody() -> tuple[Caller, ...]:
    """All of them."""
    return (*people(), *peers())


class Tokens:
    """The tokens of people, each made once."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self._made: dict[Person, Metadata] = {}

    def of(self, caller: Caller) -> Metadata:
        """The metadata a caller identifies itself with."""
        if isinstance(caller, Peer):
            return ()
        if caller not in self._made:
            more: dict[str, object] = {"auth_time": int(time.time()), "amr": ["pwd", "otp"]} if caller.mfa else {}
            token = self._identities.token(
                *caller.roles, tenant=caller.tenant, user=caller.user, expires_in_s=_VALID_S, more=more
            )
            self._made[caller] = (("authorization", f"Bearer {token}"),)
        return self._made[caller]


def auth_context(caller: Caller) -> dict[str, Any]:
    """What gRPC says about the connection of `caller`."""
    if isinstance(caller, Person):
        if caller.beside is None:
            return {"transport_security_type": (b"ssl",)}
        caller = peer(caller.beside)
    return {
        "transport_security_type": (caller.transport.encode(),),
        "peer_uri": tuple(uri.encode() for uri in caller.uris),
        **caller.more,
    }
