"""Anchors are read back exactly as they were written, and nothing else is read as one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.audit import AuditHead
from libs.core.audit_anchors import Anchor, DamagedLine, bytes_to_sign, decode_anchor, encode_anchor, read_anchors
from tests.unit.core.audit_chains import SCOPE, TIME, TIMES

_ANCHOR = Anchor(
    time=TIME,
    scope=SCOPE,
    sequence=7,
    hash="ab" * 32,
    signer="transit/keys/audit-anchors",
    signature="vault:v1:c2ln+/==",
)
_SIGNED = (
    '{"format":"gatehouse-audit-anchor-1","hash":"' + "ab" * 32 + '","scope":"tenants/acme","sequence":7,'
    '"signer":"transit/keys/audit-anchors","time_us":1767323045678901}'
).encode()
_LINE = encode_anchor(_ANCHOR)
_WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
ANCHORS = st.builds(
    Anchor,
    time=TIMES,
    scope=st.sampled_from(["platform", "tenants/acme", "tenants/0.x_y-z"]),
    sequence=st.integers(1, 2**53 - 1),
    hash=st.text("0123456789abcdef", min_size=64, max_size=64),
    signer=_WORDS,
    signature=_WORDS,
)


def _with(**changes: Any) -> bytes:
    fields = {name: value for name, value in (json.loads(_LINE) | changes).items() if value is not None}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def test_what_is_signed_is_the_documented_text() -> None:
    head = AuditHead(scope=SCOPE, sequence=7, hash="ab" * 32)
    assert bytes_to_sign(head, time=TIME, signer="transit/keys/audit-anchors") == _SIGNED
    assert _ANCHOR.signed_bytes() == _SIGNED
    assert _ANCHOR.head == head


def test_a_line_is_the_signed_text_and_the_signature() -> None:
    assert json.loads(_LINE) == json.loads(_SIGNED) | {"signature": "vault:v1:c2ln+/=="}
    assert _LINE.endswith(b"}\n")


@given(ANCHORS)
def test_an_anchor_is_read_back_as_it_was_written(anchor: Anchor) -> None:
    assert decode_anchor(encode_anchor(anchor)) == anchor
    assert decode_anchor(encode_anchor(anchor).removesuffix(b"\n")) == anchor


@given(ANCHORS, ANCHORS)
def test_anchors_that_differ_are_signed_differently(one: Anchor, other: Anchor) -> None:
    assert (one.signed_bytes() == other.signed_bytes()) == (replace(one, signature=other.signature) == other)


def test_a_line_as_long_as_an_anchor_can_be_is_read() -> None:
    longest = replace(_ANCHOR, scope="tenants/" + "t" * 63, sequence=2**53 - 1, signer='"' * 256, signature="s" * 1024)
    assert decode_anchor(encode_anchor(longest)) == longest


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "not JSON"),
        (b"\n", "not JSON"),
        (_LINE[:-10], "not JSON"),
        (_LINE[10:], "not JSON"),
        (_LINE * 2, "not JSON"),
        (b"\xff" + _LINE, "not JSON"),
        (b"\xef\xbb\xbf" + _LINE, "not JSON"),
        (_LINE.decode().encode("utf-16"), "not JSON"),
        (b"[" * 2000, "not JSON"),
        (b'"' + b"x" * 3000 + b'"', "longer than 2048"),
        (b"[]", "lacks a field"),
        (b"7", "lacks a field"),
        (_with(time_us=None), "lacks a field"),
        (_with(sequence="7"), "lacks a field"),
        (_with(sequence=7.0), "lacks a field"),
        (_with(hash=None), "lacks a field"),
        (_with(signature=None), "lacks a field"),
        (_with(sequence=0), "sequence"),
        (_with(sequence=2**53), "sequence"),
        (_with(sequence=True), "sequence"),
        (_with(hash="AB" * 32), "hash"),
        (_with(scope="tenants/acme/keys/x"), "scope"),
        (_with(signer=""), "signer"),
        (_with(signer="a b"), "signer"),
        (_with(signer="é"), "signer"),
        (_with(signer="s" * 257), "signer"),
        (_with(signature="s\n"), "signature"),
        (_with(signature="s" * 1025), "signature"),
        (_with(time_us=-1), "1970"),
        (_with(time_us=10**30), "1970"),
        (_with(time_us=True), "canonical"),
        (_with(format="gatehouse-audit-anchor-2"), "canonical"),
        (_with(format=None), "canonical"),
        (_with(note="more"), "canonical"),
        (_LINE.replace(b",", b", "), "canonical"),
        (_LINE.replace(b'"sequence":7', b'"sequence":8,"sequence":7'), "canonical"),
        (_LINE.replace(b"acme", b"\\u0061cme"), "canonical"),
        (_LINE.replace(b"\n", b"\r\n"), "canonical"),
    ],
)
def test_what_is_not_exactly_an_anchor_is_refused_without_being_repeated(line: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        decode_anchor(line)
    assert "acme" not in str(caught.value)
    assert caught.value.__cause__ is None


@given(st.data(), ANCHORS)
def test_a_changed_byte_is_refused_or_gives_another_anchor(data: st.DataObject, anchor: Anchor) -> None:
    line = bytearray(encode_anchor(anchor)[:-1])
    index = data.draw(st.integers(0, len(line) - 1))
    line[index] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_anchor(bytes(line))
    except ValueError:
        return
    assert read != anchor


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(line: bytes) -> None:
    for found in read_anchors([line]):
        assert isinstance(found, DamagedLine)


def test_a_damaged_line_is_reported_and_does_not_hide_the_others() -> None:
    other = replace(_ANCHOR, sequence=8)
    found = list(read_anchors([_LINE, _LINE[:-20], encode_anchor(other)]))
    assert found == [_ANCHOR, DamagedLine(number=2, problem="is not JSON"), other]


def test_an_anchor_needs_a_time_in_utc() -> None:
    with pytest.raises(ValueError, match="UTC"):
        replace(_ANCHOR, time=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
