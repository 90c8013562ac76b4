"""Which certificates name a service."""

from __future__ import annotations

import pytest

from libs.identity.peers import peer_service


def context(*uris: bytes, transport: bytes = b"ssl") -> dict[str, list[bytes]]:
    return {"transport_security_type": [transport], "x509_common_name": [b"router"], "peer_uri": list(uris)}


def test_the_spiffe_name_is_the_service() -> None:
    assert peer_service(context(b"spiffe://gatehouse/router")) == "router"
    assert peer_service(context(b"spiffe://gatehouse/key-vault")) == "key-vault"
    assert peer_service(context(b"spiffe://corp.example/router"), trust_domain="corp.example") == "router"


@pytest.mark.parametrize(
    "uris",
    [
        (),
        (b"spiffe://gatehouse/router", b"spiffe://gatehouse/router"),
        (b"spiffe://gatehouse/router", b"https://example.test"),
        (b"spiffe://other/router",),
        (b"spiffe://gatehouse.evil/router",),
        (b"spiffe://gatehouse/ns/router",),
        (b"spiffe://gatehouse/router/",),
        (b"spiffe://gatehouse/",),
        (b"spiffe://gatehouse",),
        (b"SPIFFE://gatehouse/router",),
        (b"spiffe://gatehouse/Router",),
        (b"spiffe://gatehouse/router?x=1",),
        (b"spiffe://gatehouse/router\n",),
        (b"spiffe://gatehouse/\xff",),
        (b"router",),
        (b"https://gatehouse/router",),
    ],
)
def test_other_names_are_no_service(uris: tuple[bytes, ...]) -> None:
    assert peer_service(context(*uris)) is None


def test_a_dns_name_that_reads_like_a_spiffe_name_is_no_service() -> None:
    lookalike = context()
    lookalike["x509_subject_alternative_name"] = [b"spiffe://gatehouse/router"]
    lookalike["peer_dns"] = [b"spiffe://gatehouse/router"]
    assert peer_service(lookalike) is None


def test_a_connection_without_tls_has_no_service() -> None:
    assert peer_service(context(b"spiffe://gatehouse/router", transport=b"insecure")) is None
    assert peer_service({}) is None
