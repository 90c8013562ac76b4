"""The connection to Vault, against bytes that no Vault would send and a network that is against us."""

from __future__ import annotations

import gc
import socket
import ssl
import struct
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from libs.core.errors import Unavailable
from services.key_vault.vault.connection import VaultAddress
from services.key_vault.vault.transport import Transport
from tests.integration.key_vault.fake_vault import FakeVault, Reply
from tests.vault import ThrowAwayVault

HEALTH = "/v1/sys/health"
OK = b"HTTP/1.1 200 OK\r\n"


def transport(address: str, ca_file: Path = Path("/none"), *, read_timeout_s: float = 0.3) -> Transport:
    return Transport(VaultAddress(url=address, ca_file=ca_file, connect_timeout_s=0.3, read_timeout_s=read_timeout_s))


@pytest.fixture
def to_fake(fake_vault: FakeVault) -> Iterator[Transport]:
    made = transport(fake_vault.address)
    yield made
    made.close()


def fails(made: Transport) -> bool:
    with pytest.raises(Unavailable) as caught:
        made.exchange("GET", HEALTH, {}, b"")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value.reason == "VAULT_UNREACHABLE"


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: 99999999999999\r\n\r\n{}",
        OK + b"Content-Length: 5\r\n\r\n{}",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
        OK + b"".join(b"X-%d: 1\r\n" % number for number in range(200)) + b"\r\n",
        OK + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"{}",
        b"\x15\x03\x01\x00\x02\x02\x46",
    ],
)
def test_broken_http_is_no_answer(fake_vault: FakeVault, to_fake: Transport, raw: bytes) -> None:
    fake_vault.answer = lambda _: Reply(raw=raw, hang_up=b"-1" not in raw)
    assert fails(to_fake)
    fake_vault.answer = lambda _: Reply()
    assert to_fake.exchange("GET", HEALTH, {}, b"").status == 200


def test_an_answer_in_chunks_is_put_together(fake_vault: FakeVault, to_fake: Transport) -> None:
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    fake_vault.answer = lambda _: Reply(raw=chunked)
    assert [to_fake.exchange("GET", HEALTH, {}, b"").body for _ in range(2)] == [b"{}", b"{}"]
    assert fake_vault.connections == 1


@contextmanager
def dripping(piece: bytes) -> Iterator[str]:
    """A server that sends `piece` over and over, a tenth of a second apart, and never comes to an end."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(OK)
                while not over.wait(0.1):
                    try:
                        connection.sendall(piece)
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("piece", [b"X: y\r\n", b"x", b"Content-Length: 900\r\n\r\n"])
def test_an_answer_that_drips_ends_with_the_read_timeout(piece: bytes) -> None:
    with dripping(piece) as address:
        began = time.monotonic()
        assert fails(transport(address))
        assert time.monotonic() - began < 2


def test_a_handshake_that_never_comes_ends_with_the_connect_timeout(openbao: ThrowAwayVault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = transport(f"https://127.0.0.1:{server.getsockname()[1]}", openbao.layout.ca_certificate)
        began = time.monotonic()
        assert fails(made)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "target",
    [
        "/v1/secret/data/gatehouse/../other",
        "/v1/secret/data/gatehouse/..",
        "/v1/secret/data/./other",
        "/v1/secret/data/gatehouse/%2e%2e/other",
        "/v1/secret/data//other",
        "/v1/secret/data/other/",
        "/v1/secret/data/other?list=true",
        "/v1/secret/data/other#",
        "/v1/secret/data/ot her",
        "/v1/secret/data/other HTTP/1.1\r\nX-Vault-Token: mine\r\n",
        "/v1/secret\\data",
        "/v2/secret/data",
        "//elsewhere.example/v1/secret",
        "https://elsewhere.example/v1/secret",
        "",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_not_sent(fake_vault: FakeVault, to_fake: Transport, target: str) -> None:
    with pytest.raises(ValueError, match="plain names"):
        to_fake.exchange("GET", target, {}, b"")
    assert fake_vault.received == []


@pytest.mark.parametrize("value", ["a\r\nX-Vault-Token: b", "a\nb", "ä", "a\x00"])
def test_a_header_that_could_be_two_is_not_sent(fake_vault: FakeVault, to_fake: Transport, value: str) -> None:
    with pytest.raises(ValueError, match="X-Vault-Token must be printable"):
        to_fake.exchange("GET", HEALTH, {"X-Vault-Token": value}, b"")
    assert fake_vault.received == []


def test_a_connection_that_is_reset_before_tls_begins_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, _ = self_signed(tmp_path, "localhost")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        wrapped: list[socket.socket] = []

        def reset_at_once(address: tuple[str, int], timeout: float) -> socket.socket:
            connected = socket.socket()
            connected.settimeout(timeout)
            connected.connect(address)
            accepted, _ = server.accept()
            # Closing without lingering resets the connection.
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            wrapped.append(connected)
            return connected

        monkeypatch.setattr(socket, "create_connection", reset_at_once)
        made = transport(f"https://127.0.0.1:{port}", certificate)
        with warnings.catch_warnings(record=True) as unclosed:
            warnings.simplefilter("always", ResourceWarning)
            assert fails(made)
            gc.collect()
    assert len(wrapped) == 1
    assert [str(each.message) for each in unclosed] == []


def test_no_tls_secrets_are_written_where_the_environment_says(
    openbao: ThrowAwayVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "secrets.log"))
    made = transport(openbao.bao.address, openbao.layout.ca_certificate, read_timeout_s=5)
    assert made.exchange("GET", HEALTH, {}, b"").status == 200
    made.close()
    assert list(tmp_path.iterdir()) == []


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "elsewhere.example")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    greeted: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError), served.wrap_socket(connection, server_side=True) as greeting:
                greeted.append(bool(greeting.recv(1)))

        thread = threading.Thread(target=serve)
        thread.start()
        # Trusted as an authority, so that nothing but the name is wrong with it.
        assert fails(transport(f"https://127.0.0.1:{server.getsockname()[1]}", certificate))
        thread.join()
    assert greeted == []


def self_signed(directory: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return directory / "cert.pem", directory / "key.pem"
