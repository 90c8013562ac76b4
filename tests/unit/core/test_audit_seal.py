"""A sealed head is one that a holder of the key has made."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

import pytest

from libs.core.audit import AuditHead
from libs.core.audit_seal import HeadSeal, SealedHead
from libs.core.secret import Secret
from tests.unit.core.audit_chains import OTHER_SEAL, SCOPE, SEAL

_HEAD = AuditHead(scope=SCOPE, sequence=7, hash="ab" * 32)


def test_a_sealed_head_is_known_again() -> None:
    assert SEAL.is_on(SEAL.seal(_HEAD))


def test_the_mac_is_over_the_documented_text() -> None:
    text = '{"format":"gatehouse-audit-head-1","hash":"' + "ab" * 32 + '","scope":"tenants/acme","sequence":7}'
    assert SEAL.seal(_HEAD).mac == hmac.new(b"k" * 32, text.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "head",
    [replace(_HEAD, scope="platform"), replace(_HEAD, sequence=8), replace(_HEAD, hash="ac" + "ab" * 31)],
)
def test_the_seal_of_one_head_is_not_that_of_another(head: AuditHead) -> None:
    assert not SEAL.is_on(replace(SEAL.seal(_HEAD), head=head))


def test_a_head_sealed_with_another_key_is_forged() -> None:
    assert not SEAL.is_on(OTHER_SEAL.seal(_HEAD))


@pytest.mark.parametrize("mac", ["", "é" * 64, "\ud800"])
def test_whatever_stands_in_place_of_the_mac_is_no_seal(mac: str) -> None:
    assert not SEAL.is_on(SealedHead(head=_HEAD, mac=mac))


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        HeadSeal(Secret(b"k" * 31))
