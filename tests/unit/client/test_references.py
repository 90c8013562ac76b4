from __future__ import annotations

import pytest
from gatehouse.durations import nanoseconds_of, written
from gatehouse.references import provider_name, short_provider, target_parts
from hypothesis import given
from hypothesis import strategies as st

TENANT, USER = "tenants/acme", "tenants/acme/users/ann"

ids = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True)
owners = st.sampled_from(["platform", TENANT, USER, "tenants/other", "tenants/acme/users/bob"])


@given(owners, ids, st.sampled_from(["platform", TENANT, USER]))
def test_what_is_shortened_is_understood_again(owner: str, provider: str, parent: str) -> None:
    name = f"{owner}/providers/{provider}"
    assert provider_name(short_provider(name, parent), parent) == name


@pytest.mark.parametrize(
    ("reference", "parent", "name"),
    [
        ("openai", TENANT, "tenants/acme/providers/openai"),
        ("openai", USER, "tenants/acme/users/ann/providers/openai"),
        ("platform/openai", USER, "platform/providers/openai"),
        ("tenant/openai", USER, "tenants/acme/providers/openai"),
        ("tenant/openai", TENANT, "tenants/acme/providers/openai"),
        ("tenants/x/providers/y", TENANT, "tenants/x/providers/y"),
        ("platform", TENANT, "tenants/acme/providers/platform"),
    ],
)
def test_short_names_stand_for_resource_names(reference: str, parent: str, name: str) -> None:
    assert provider_name(reference, parent) == name


@pytest.mark.parametrize("reference", ["", "A", "a/b", "tenant/", "x/providers/y", "platform/a/b", "users/ann/openai"])
def test_what_names_no_provider_is_refused(reference: str) -> None:
    with pytest.raises(ValueError, match="must name a provider"):
        provider_name(reference, TENANT)


def test_the_platform_has_no_tenant() -> None:
    with pytest.raises(ValueError, match="must name a provider"):
        provider_name("tenant/openai", "platform")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("openai", ("openai", "")),
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("platform/openai", ("platform/openai", "")),
        ("platform/openai/gpt-4o", ("platform/openai", "gpt-4o")),
        ("tenant/openai/gpt-4o", ("tenant/openai", "gpt-4o")),
        ("tenants/a/providers/p", ("tenants/a/providers/p", "")),
        ("tenants/a/providers/p/models/m", ("tenants/a/providers/p", "m")),
        ("tenants/a/providers/p/m", ("tenants/a/providers/p", "m")),
        ("platform/providers/platform", ("platform/providers/platform", "")),
    ],
)
def test_a_target_is_a_provider_and_perhaps_a_model(text: str, parts: tuple[str, str]) -> None:
    assert target_parts(text) == parts


@pytest.mark.parametrize("text", ["", "a/", "/a", "a/b/c", "a//b"])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be PROVIDER"):
        target_parts(text)


@given(st.integers(0, 366 * 86_400 * 10**9))
def test_a_duration_is_read_as_it_was_written(nanoseconds: int) -> None:
    assert nanoseconds_of(written(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("1.5s", 1.5), ("1m30s", 90), ("1h", 3600), ("30d", 2_592_000), ("0s", 0), ("1 h 5 m", 3900)],
)
def test_durations_are_written_as_people_do(text: str, seconds: float) -> None:
    assert nanoseconds_of(text) == seconds * 10**9


@pytest.mark.parametrize("text", ["", "5", "-1s", "1y", "s", "1.s", "soon", "367d", "9999999s", "1e3s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        nanoseconds_of(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0s"), (90 * 10**9, "1m30s"), (250_000_000, "250ms"), (1_500_000_000, "1.5s"), (1, "0.000000001s")],
)
def test_the_shortest_text_is_chosen(nanoseconds: int, text: str) -> None:
    assert written(nanoseconds) == text
