"""Resource names are read exactly, and hostile ones not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import InvalidArgument
from libs.core.resource_names import (
    ID_PATTERN,
    KeyName,
    ModelName,
    Owner,
    ProviderName,
    QuotaName,
    is_id,
)

IDS = st.from_regex(ID_PATTERN, fullmatch=True)
OWNERS = st.one_of(st.just(Owner()), st.builds(Owner, IDS), st.builds(Owner, IDS, IDS))
KEYS = st.builds(KeyName, OWNERS, IDS)
PROVIDERS = st.builds(ProviderName, OWNERS, IDS)
MODELS = st.builds(ModelName, PROVIDERS, IDS)
QUOTAS = st.builds(QuotaName, IDS, IDS)

PARSERS: dict[str, Callable[[str], object]] = {
    "owner": Owner.parse,
    "key": KeyName.parse,
    "provider": ProviderName.parse,
    "model": ModelName.parse,
    "quota": QuotaName.parse,
    "owner of": Owner.of,
}
VALID = {
    "owner": "tenants/{}",
    "key": "tenants/acme/keys/{}",
    "provider": "tenants/acme/users/ann/providers/{}",
    "model": "platform/providers/p/models/{}",
    "quota": "tenants/acme/quotas/{}",
    "owner of": "tenants/{}/keys/k",
}
HOSTILE_IDS = {
    "parent directory": "..",
    "this directory": ".",
    "hidden": ".a",
    "empty": "",
    "upper case": "Acme",
    "slash": "a/b",
    "encoded slash": "a%2fb",
    "backslash": "a\\b",
    "leading hyphen": "-a",
    "leading underscore": "_a",
    "64 characters": "a" * 64,
    "very long": "a" * 100_000,
    "accent": "é",
    "cyrillic a": "\u0430cme",
    "full-width": "\uff41",
    "dotless i": "\u0131",
    "arabic digit": "\u0661",
    "right-to-left": "a\u202eb",
    "zero width": "a\u200bb",
    "trailing newline": "a\n",
    "leading newline": "\na",
    "inner newline": "a\nb",
    "carriage return": "a\r",
    "tab": "a\t",
    "space": " a",
    "trailing space": "a ",
    "nul": "a\0",
    "wildcard": "*",
    "dash wildcard": "-",
    "question": "a?b",
    "colon": "a:b",
    "at": "a@b",
    "quote": "a'b",
    "braces": "{tenant}",
    "surrogate": "a\ud800",
}


@given(st.one_of(OWNERS, KEYS, PROVIDERS, MODELS, QUOTAS))
def test_a_name_reads_back_as_what_it_was_written_from(name: Any) -> None:
    assert type(name).parse(str(name)) == name


@given(st.one_of(KEYS, PROVIDERS, MODELS))
def test_the_owner_inside_a_name_is_its_owner(name: Any) -> None:
    owner = name.provider.owner if isinstance(name, ModelName) else name.owner
    assert Owner.of(str(name)) == owner


@given(QUOTAS)
def test_the_owner_of_a_quota_is_its_tenant(name: QuotaName) -> None:
    assert Owner.of(str(name)) == Owner(name.tenant)


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize("hostile", HOSTILE_IDS.values(), ids=HOSTILE_IDS)
def test_a_hostile_id_is_refused_wherever_it_stands(kind: str, hostile: str) -> None:
    PARSERS[kind](VALID[kind].format("a"))
    with pytest.raises(InvalidArgument) as caught:
        PARSERS[kind](VALID[kind].format(hostile))
    assert caught.value.reason == "INVALID_FIELD"
    assert not is_id(hostile)


def test_what_was_sent_is_not_sent_back() -> None:
    # A key pasted into the wrong field must not show up in an error.
    with pytest.raises(InvalidArgument) as caught:
        KeyName.parse("sk-CANARY")
    assert "sk-CANARY" not in f"{caught.value!r} {caught.value.metadata} {caught.value.field_violations}"


@pytest.mark.parametrize("kind", PARSERS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda name: name + "/",
        lambda name: "/" + name,
        lambda name: name + "\n",
        lambda name: name.replace("/", "//", 1) if "/" in name else name + "//",
        lambda name: name + "/..",
        lambda name: name + "/../../tenants/rival",
        lambda name: name.upper(),
        lambda name: f"x{name}",
        lambda name: f"../{name}",
        lambda name: f"https://gatehouse/{name}",
        lambda name: name + "?a=b",
        lambda name: "",
        lambda name: "tenants",
        lambda name: "tenants//users/ann",
        lambda name: "platform/users/..",
    ],
)
def test_a_name_of_another_shape_is_refused(kind: str, spoil: Callable[[str], str]) -> None:
    with pytest.raises(InvalidArgument):
        PARSERS[kind](spoil(VALID[kind].format("a")))


@given(st.text(max_size=200))
def test_any_text_is_a_name_that_writes_back_or_an_invalid_argument(text: str) -> None:
    for kind, parse in PARSERS.items():
        try:
            name = parse(text)
        except InvalidArgument:
            continue
        if kind != "owner of":
            assert str(name) == text


@pytest.mark.parametrize(
    ("length", "fits"),
    [(1, True), (63, True), (64, False)],
)
def test_ids_have_1_to_63_characters(length: int, fits: bool) -> None:
    assert is_id("a" * length) is fits


def test_the_error_names_the_field_it_is_about() -> None:
    with pytest.raises(InvalidArgument) as caught:
        KeyName.parse("nonsense", field="items[3].name")
    (violation,) = caught.value.field_violations
    assert violation.field == "items[3].name"
    assert caught.value.metadata == {"field": "items[3].name"}


def test_a_user_without_a_tenant_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="a user belongs to a tenant"):
        Owner(None, "ann")


def test_an_owner_covers_itself_and_a_tenant_its_users_and_nothing_else() -> None:
    owners = {name: Owner.parse(name) for name in ("platform", "tenants/a", "tenants/a/users/x", "tenants/b/users/x")}
    covered = {
        (over, under) for over, first in owners.items() for under, second in owners.items() if first.covers(second)
    }
    assert covered == {(name, name) for name in owners} | {("tenants/a", "tenants/a/users/x")}
