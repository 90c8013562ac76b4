"""The local CA and the services' certificates."""

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from deploy.local.certificates import CA_LIFETIME, LEAF_LIFETIME, ensure_certificates
from deploy.local.errors import LauncherError
from deploy.local.layout import StateLayout

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class FixedClock:
    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def layout(tmp_path: Path) -> StateLayout:
    layout = StateLayout.at(tmp_path / "state")
    layout.make()
    return layout


def ensure(layout: StateLayout, *, at: datetime = START) -> None:
    ensure_certificates(layout, ["router", "key-vault"], FixedClock(at))


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def verify(layout: StateLayout, service: str, *, at: datetime) -> x509.Certificate:
    verifier = PolicyBuilder().store(Store([certificate(layout.ca_certificate)])).time(at)
    verifier.build_server_verifier(x509.DNSName("localhost")).verify(certificate(layout.certificate(service)), [])
    return verifier.build_client_verifier().verify(certificate(layout.certificate(service)), []).chain[0]


def test_a_service_certificate_is_good_as_server_and_as_client(layout: StateLayout) -> None:
    ensure(layout)
    leaf = verify(layout, "key-vault", at=START + timedelta(days=300))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://gatehouse/key-vault"]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("127.0.0.1"), ip_address("::1")]
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert leaf.not_valid_after_utc == START + LEAF_LIFETIME


def test_a_service_certificate_cannot_issue_others(layout: StateLayout) -> None:
    ensure(layout)
    extensions = certificate(layout.certificate("router")).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_private_keys_are_readable_by_their_owner_only(layout: StateLayout) -> None:
    ensure(layout)
    layout.certificate_key("router").chmod(0o644)
    layout.ca_key.chmod(0o644)
    ensure(layout)
    for key in (layout.ca_key, layout.certificate_key("router"), layout.certificate_key("key-vault")):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_certificates_stay_as_they_are_until_thirty_days_before_their_end(layout: StateLayout) -> None:
    ensure(layout)
    first = layout.certificate("router").read_bytes()
    ensure(layout, at=START + LEAF_LIFETIME - timedelta(days=30))
    assert layout.certificate("router").read_bytes() == first


def test_a_certificate_that_ends_soon_is_renewed_by_the_same_ca(layout: StateLayout) -> None:
    ensure(layout)
    ca = layout.ca_certificate.read_bytes()
    late = START + LEAF_LIFETIME - timedelta(days=29)
    ensure(layout, at=late)
    assert layout.ca_certificate.read_bytes() == ca
    assert verify(layout, "router", at=late).not_valid_after_utc == late + LEAF_LIFETIME


def test_a_ca_that_ends_soon_is_replaced_together_with_all_it_issued(layout: StateLayout) -> None:
    ensure(layout)
    old = certificate(layout.ca_certificate)
    late = START + CA_LIFETIME - timedelta(days=29)
    ensure(layout, at=late)
    assert certificate(layout.ca_certificate).subject != old.subject
    verify(layout, "router", at=late)
    verify(layout, "key-vault", at=late)


def test_no_certificate_outlives_its_ca(layout: StateLayout) -> None:
    ensure(layout)
    ensure(layout, at=START + CA_LIFETIME - timedelta(days=100))
    assert certificate(layout.certificate("router")).not_valid_after_utc == START + CA_LIFETIME


def test_a_lost_ca_makes_everything_anew(layout: StateLayout) -> None:
    ensure(layout)
    stranger = certificate(layout.certificate("router"))
    layout.ca_key.unlink()
    ensure(layout)
    verify(layout, "router", at=START)
    verifier = PolicyBuilder().store(Store([certificate(layout.ca_certificate)])).time(START).build_client_verifier()
    with pytest.raises(VerificationError):
        verifier.verify(stranger, [])


@pytest.mark.parametrize("damage", [b"", b"not a certificate", None])
def test_a_damaged_service_certificate_is_issued_again(layout: StateLayout, damage: bytes | None) -> None:
    ensure(layout)
    if damage is None:
        layout.certificate("router").unlink()
    else:
        layout.certificate("router").write_bytes(damage)
    ensure(layout)
    verify(layout, "router", at=START)


def test_a_service_key_that_does_not_fit_is_replaced(layout: StateLayout) -> None:
    ensure(layout)
    layout.certificate_key("router").write_bytes(layout.certificate_key("key-vault").read_bytes())
    ensure(layout)
    key = load_pem_private_key(layout.certificate_key("router").read_bytes(), password=None)
    assert key.public_key() == certificate(layout.certificate("router")).public_key()


def test_a_damaged_ca_key_is_reported_and_left_alone(layout: StateLayout) -> None:
    ensure(layout)
    layout.ca_key.write_bytes(b"oops")
    with pytest.raises(LauncherError, match=r"ca\.key does not hold a private key"):
        ensure(layout)
    assert layout.ca_key.read_bytes() == b"oops"


def test_a_ca_key_of_another_ca_is_reported(layout: StateLayout) -> None:
    ensure(layout)
    layout.ca_key.write_bytes(layout.certificate_key("router").read_bytes())
    with pytest.raises(LauncherError, match="is not the key of"):
        ensure(layout)
