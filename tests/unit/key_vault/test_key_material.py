"""What is taken as key material, and what people send by mistake."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.secret import Secret
from services.key_vault.domain.material import LEAST_BYTES, MOST_BYTES, mask_of, problem_with

PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))


@pytest.mark.parametrize(
    "material",
    [
        b"sk-proj-AbCd1234_efgh-5678",
        b"12345678",
        b"k" * MOST_BYTES,
        b"AIzaSyA-xxx-1234567890",
        b"user:pass@host#%&=",
        b"abcdxxxxe",
        b"a.b..c.d",
    ],
)
def test_keys_are_taken(material: bytes) -> None:
    assert problem_with(Secret(material)) is None


@pytest.mark.parametrize(
    ("material", "said"),
    [
        (b"", "is required"),
        (b"1234567", "at least 8 bytes"),
        (b"k" * (MOST_BYTES + 1), "at most 8192 bytes"),
        (b"sk-0123456789\n", "white space or a newline"),
        (b"sk-0123456789\r\n", "white space or a newline"),
        (b" sk-0123456789", "white space or a newline"),
        (b"\tsk-0123456789", "white space or a newline"),
        (b"sk-0123 456789", "printable ASCII without spaces"),
        (b"Bearer sk-0123456789", "printable ASCII without spaces"),
        (b"sk-0123\x00456789", "printable ASCII without spaces"),
        (b"sk-0123\n456789", "printable ASCII without spaces"),
        ("sk-012345678é".encode(), "printable ASCII without spaces"),
        (b"\xff\xfe0123456789", "printable ASCII without spaces"),
        ("sk-…a1b2".encode(), "looks masked"),
        ("••••••••a1b2".encode(), "looks masked"),
        (b"sk-****a1b2", "looks masked"),
        (b"sk-...a1b2c3", "looks masked"),
        (b"sk-xxxxxxxxa1b2", "looks masked"),
        (b"sk-proj-XXXX", "looks masked"),
    ],
)
def test_mistakes_are_named(material: bytes, said: str) -> None:
    assert said in str(problem_with(Secret(material)))


ACCOUNT = b"""{
  "type": "service_account",
  "private_key_id": "5a4d8b0c1e2f3a4b",
  "private_key": "-----BEGIN PRIVATE KEY-----\\nMIIEvQ==\\n-----END PRIVATE KEY-----\\n",
  "client_email": "robot@example.iam.gserviceaccount.com"
}"""


def test_the_file_of_a_service_account_is_a_key() -> None:
    assert problem_with(Secret(ACCOUNT)) is None
    assert problem_with(Secret(ACCOUNT.replace(b"\n", b"\r\n"))) is None


@pytest.mark.parametrize(
    "material",
    [
        b'{"type": "service_account"',
        b'{"type": "\xc3\xa9", "a": 1}',
        b'["a key", "or two"]',
        b"{not JSON}",
        b'{"a": "\x7f b"}',
    ],
)
def test_what_only_looks_like_such_a_file_is_none(material: bytes) -> None:
    assert "printable ASCII" in str(problem_with(Secret(material)))


def test_a_file_is_recognised_by_the_id_of_the_key_in_it() -> None:
    assert mask_of(Secret(ACCOUNT)) == "…3a4b"
    assert mask_of(Secret(b'{"some": "thing else"}')) == "…"
    assert mask_of(Secret(b'{"private_key_id": 123456789012}')) == "…"
    assert mask_of(Secret(rb'{"private_key_id": "5a4d8b0c1e2f\u001b[2J"}')) == "…"
    assert mask_of(Secret(b"sk-proj-0123456789")) == "…6789"


def test_our_own_mask_is_refused_when_written_back() -> None:
    shown = "sk-proj-" + Secret(b"sk-proj-0123456789").mask()
    assert "looks masked" in str(problem_with(Secret(shown.encode())))


@given(st.binary(max_size=64))
def test_anything_is_answered_without_quoting_it(material: bytes) -> None:
    problem = problem_with(Secret(material))
    if problem is None:
        assert len(material) >= LEAST_BYTES
        assert set(material.decode()) <= set(PRINTABLE) or material.startswith(b"{")
    elif len(material) >= LEAST_BYTES:
        assert material.decode("latin-1") not in problem


@given(st.text(alphabet=string.digits + string.ascii_uppercase.replace("X", "") + "_-", min_size=8, max_size=200))
def test_random_keys_are_never_mistaken_for_masks(material: str) -> None:
    assert problem_with(Secret(material.encode())) is None
