"""Audit events hold what fits, and their hashes are over bytes that anyone can make again."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.audit import AuditOutcome, chain_hash, genesis_hash
from libs.core.audit_encoding import canonical_json, from_unix_microseconds, unix_microseconds
from tests.unit.core.audit_chains import EVENTS, FIELDS, TIMES, event, texts

_PREVIOUS = "ab" * 32


def test_the_hash_of_an_event_is_that_of_the_documented_text() -> None:
    text = (
        '{"action":"RotateKey","actor":"tenants/acme/users/ann","address":"10.0.0.7","details":{"version":"3"},'
        '"event_id":"0b7d6f3c-6f1e-4b0e-9a53-0d3f5a1c2b4e","format":"gatehouse-audit-event-1","outcome":"succeeded",'
        f'"previous_hash":"{_PREVIOUS}","reason":"","request_id":"r-1","roles":["tenant_admin"],'
        '"scope":"tenants/acme","sequence":7,"target":"tenants/acme/keys/openai","time_us":1767323045678901}'
    )
    assert chain_hash(_PREVIOUS, 7, event()) == hashlib.sha256(text.encode()).hexdigest()


def test_the_first_event_follows_the_hash_of_its_chain_s_name() -> None:
    text = '{"format":"gatehouse-audit-genesis-1","scope":"tenants/acme"}'
    assert genesis_hash("tenants/acme") == hashlib.sha256(text.encode()).hexdigest()
    assert genesis_hash("tenants/acme") != genesis_hash("platform")


def test_texts_are_escaped_as_rfc_8785_says_and_no_further() -> None:
    details = {"z": 'quote " and \\ and / and \u007f', "a": "tab\t line\n return\r é \u2028 😀"}
    assert canonical_json(details) == (
        '{"a":"tab\\t line\\n return\\r é \u2028 😀","z":"quote \\" and \\\\ and / and \u007f"}'.encode()
    )


def test_a_lone_surrogate_has_no_bytes() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        canonical_json({"a": "\ud800"})


@given(st.dictionaries(texts(), st.one_of(texts(), st.integers(0, 2**53 - 1), st.lists(texts(), max_size=3))))
def test_what_is_encoded_can_be_read_back_so_that_no_two_records_share_their_bytes(fields: dict[str, object]) -> None:
    assert json.loads(canonical_json(fields)) == fields


@given(EVENTS, EVENTS)
def test_two_events_share_a_hash_only_when_they_are_equal(one: Any, other: Any) -> None:
    assert (chain_hash(_PREVIOUS, 1, one) == chain_hash(_PREVIOUS, 1, other)) == (one == other)


@given(st.data(), EVENTS, st.sampled_from(sorted(FIELDS)))
def test_every_field_is_under_the_hash(data: st.DataObject, one: Any, name: str) -> None:
    value = data.draw(FIELDS[name].filter(lambda value: value != getattr(one, name)))
    fields = {field: getattr(one, field) for field in FIELDS} | {name: value}
    assert chain_hash(_PREVIOUS, 1, event(**fields)) != chain_hash(_PREVIOUS, 1, one)


def test_the_chain_the_place_and_the_link_are_under_the_hash() -> None:
    hashes = {
        chain_hash(_PREVIOUS, 1, event()),
        chain_hash(_PREVIOUS, 2, event()),
        chain_hash("cd" * 32, 1, event()),
        chain_hash(_PREVIOUS, 1, event(scope="platform")),
    }
    assert len(hashes) == 4


def test_characters_cannot_move_from_one_field_to_the_next() -> None:
    hashes = {
        chain_hash(_PREVIOUS, 1, each)
        for each in (
            event(roles=("a", "b"), reason=""),
            event(roles=("a,b",), reason=""),
            event(roles=('a","b',), reason=""),
            event(roles=("a",), reason="b"),
            event(roles=("a",), request_id="r-1", reason='","request_id":"r-1'),
            event(details={"a": "b", "c": "d"}),
            event(details={"a": 'b","c":"d'}),
        )
    }
    assert len(hashes) == 7


def test_the_order_of_details_does_not_matter() -> None:
    one, other = event(details={"a": "1", "b": "2"}), event(details={"b": "2", "a": "1"})
    assert chain_hash(_PREVIOUS, 1, one) == chain_hash(_PREVIOUS, 1, other)


def test_details_cannot_change_after_the_event_was_made() -> None:
    details = {"version": "3"}
    made = event(details=details)
    details["version"] = "4"
    assert dict(made.details) == {"version": "3"}
    with pytest.raises(TypeError):
        made.details["version"] = "5"  # type: ignore[index]


_LONGEST: dict[str, Any] = {
    "scope": "tenants/" + "t" * 63,
    "actor": "a" * 512,
    "roles": tuple(f"{number:064d}" for number in range(16)),
    "address": "a" * 128,
    "action": "a" * 64,
    "target": "t" * 512,
    "reason": "r" * 128,
    "request_id": "r" * 128,
    "details": {f"k{number:062d}": "v" * 1024 for number in range(32)},
}
_TOO_MUCH: list[tuple[str, Any]] = [
    ("scope", "tenants/" + "t" * 64),
    ("actor", "a" * 513),
    ("roles", tuple(f"{number:02d}" for number in range(17))),
    ("roles", ("a" * 65,)),
    ("address", "a" * 129),
    ("action", "a" * 65),
    ("target", "t" * 513),
    ("reason", "r" * 129),
    ("request_id", "r" * 129),
    ("details", {f"k{number}": "" for number in range(33)}),
    ("details", {"k" * 64: ""}),
    ("details", {"k": "v" * 1025}),
]
_WRONG: list[tuple[str, Any]] = [
    *((name, "a\0") for name in ("actor", "address", "action", "target", "reason", "request_id")),
    ("actor", ""),
    ("action", ""),
    ("roles", ("",)),
    ("roles", ("b", "a")),
    ("roles", ("a", "a")),
    ("roles", ("\x1b[2J",)),
    ("details", {"k": "\ud800"}),
    ("details", {"k": "\x9b"}),
    ("details", {"K": ""}),
    ("details", {"": ""}),
    ("details", {"é": ""}),
    ("scope", "tenants/acme/users/ann"),
    ("scope", "tenants/"),
    ("scope", "platform\n"),
    ("event_id", "0B7D6F3C-6F1E-4B0E-9A53-0D3F5A1C2B4E"),
    ("event_id", "0b7d6f3c6f1e4b0e9a530d3f5a1c2b4e"),
    ("time", datetime(2026, 1, 2)),  # noqa: DTZ001 - what is refused
    ("time", datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1)))),
    ("time", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ("time", datetime(2256, 1, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize("name", sorted(_LONGEST))
def test_the_longest_value_of_a_field_fits(name: str) -> None:
    assert getattr(event(**{name: _LONGEST[name]}), name) == _LONGEST[name]


@pytest.mark.parametrize(("name", "value"), _TOO_MUCH + _WRONG)
def test_what_does_not_fit_a_field_is_refused_by_its_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        event(**{name: value})
    assert "aaa" not in str(caught.value)


def test_tabs_and_line_ends_fit() -> None:
    assert event(details={"display_name": "a\tb\r\n"}).details == {"display_name": "a\tb\r\n"}


def test_an_outcome_is_its_word() -> None:
    assert [str(outcome) for outcome in AuditOutcome] == ["succeeded", "denied"]


@given(TIMES)
def test_a_time_is_kept_to_the_microsecond(time: datetime) -> None:
    assert from_unix_microseconds(unix_microseconds(time)) == time


@pytest.mark.parametrize("microseconds", [-1, 2**53])
def test_microseconds_of_no_time_are_refused(microseconds: int) -> None:
    with pytest.raises(ValueError, match="between 1970 and 2255"):
        from_unix_microseconds(microseconds)
