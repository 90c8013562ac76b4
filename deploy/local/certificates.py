"""The local CA and one certificate per service.

A service's certificate is both its server certificate (DNS `localhost`, 127.0.0.1, ::1) and its identity towards
the others (`spiffe://gatehouse/<service>`). In production cert-manager or SPIRE issues the same shape.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.local.errors import LauncherError
from deploy.local.layout import StateLayout
from deploy.local.state_files import PRIVATE, PUBLIC, write_file
from libs.core.clock import Clock

TRUST_DOMAIN = "gatehouse"
CA_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)
RENEW_BEFORE_EXPIRY = timedelta(days=30)

# A clock that is a little behind must not find a certificate "not yet valid".
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_certificates(layout: StateLayout, services: Iterable[str], clock: Clock) -> None:
    """Make what is missing: the CA, and a certificate for each of `services`; renew what ends within 30 days.

    A new CA makes every service certificate anew. Raises LauncherError when a file cannot be read as what it
    should be; nothing is overwritten then.
    """
    now = clock.now()
    authority = _ensure_authority(layout, now)
    for service in services:
        if not _is_current(layout, service, authority, now):
            _issue(layout, service, authority, now)
        layout.certificate_key(service).chmod(PRIVATE)


def spiffe_id(service: str) -> str:
    """The identity of `service` towards the others."""
    return f"spiffe://{TRUST_DOMAIN}/{service}"


def _ensure_authority(layout: StateLayout, now: datetime) -> _Authority:
    if not layout.ca_key.exists() or not layout.ca_certificate.exists():
        return _make_authority(layout, now)
    certificate = _read_certificate(layout.ca_certificate)
    key = _read_key(layout.ca_key)
    if key.public_key() != certificate.public_key():
        raise LauncherError(
            f"{layout.ca_key} is not the key of {layout.ca_certificate}.\n"
            "Restore the pair from a backup, or remove both: new ones are made at the next start."
        )
    layout.ca_key.chmod(PRIVATE)
    if certificate.not_valid_after_utc - now < RENEW_BEFORE_EXPIRY:
        return _make_authority(layout, now)
    return _Authority(certificate=certificate, key=key)


def _make_authority(layout: StateLayout, now: datetime) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # The name differs from CA to CA, so that one left over in a trust store is never taken for this one.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Gatehouse local CA {serial & 0xFFFFFFFF:08x}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # The key first: a CA certificate without its key would look complete.
    write_file(layout.ca_key, _key_pem(key), mode=PRIVATE)
    write_file(layout.ca_certificate, _certificate_pem(certificate), mode=PUBLIC)
    return _Authority(certificate=certificate, key=key)


def _issue(layout: StateLayout, service: str, authority: _Authority, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, service)]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(min(now + LEAF_LIFETIME, authority.certificate.not_valid_after_utc))
        .add_extension(_alternative_names(service), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    write_file(layout.certificate_key(service), _key_pem(key), mode=PRIVATE)
    write_file(layout.certificate(service), _certificate_pem(certificate), mode=PUBLIC)


def _is_current(layout: StateLayout, service: str, authority: _Authority, now: datetime) -> bool:
    """Whether the service's certificate can be used as it is; one that is unreadable or foreign cannot."""
    try:
        certificate = _read_certificate(layout.certificate(service))
        key = _read_key(layout.certificate_key(service))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        certificate.verify_directly_issued_by(authority.certificate)
    except (FileNotFoundError, LauncherError, x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return (
        key.public_key() == certificate.public_key()
        and names == _alternative_names(service)
        and certificate.not_valid_before_utc <= now
        and certificate.not_valid_after_utc - now >= RENEW_BEFORE_EXPIRY
    )


def _alternative_names(service: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [
            x509.UniformResourceIdentifier(spiffe_id(service)),
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise LauncherError(_unreadable(path, "certificate")) from error


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise LauncherError(_unreadable(path, "private key")) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise LauncherError(_unreadable(path, "EC private key"))
    return key


def _unreadable(path: Path, kind: str) -> str:
    return f"{path} does not hold a {kind}.\nRestore it from a backup, or start afresh with `make clean-state`."


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
