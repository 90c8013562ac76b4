"""Where a secret of the operator's may lie: nowhere that a path could lead but its own."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.key_vault.domain.ports import SecretReference

CRAFTED = (
    *("", "/", "//", ".", "..", "../x", "x/..", "x/../y", "x/./y", "/x", "x/", "x//y", "x/..\n"),
    *("..%2fx", "%2e%2e/x", "%2e%2e", "x%2f..%2fy", "x\\..\\y", "\u2024\u2024/x", "\uff0e\uff0e/x"),
    *("x?version=1", "x&list=true", "x;y", "x#y", "x y", "x\t", "x\n", "\nx", "x\x00", "x\r\nX-Vault-Token: y"),
    *("~", "*", "+", "x/*", "\xe4"),
)


def reference(**changes: Any) -> SecretReference:
    values = {"secret_id": "acme-openai", "mount": "secret", "path": "gatehouse/acme", "field": "api_key"}
    return SecretReference(**(values | changes))


@pytest.mark.parametrize("part", ["mount", "path", "field"])
@pytest.mark.parametrize("value", CRAFTED)
def test_a_part_that_is_no_plain_name_is_refused(part: str, value: str) -> None:
    with pytest.raises(ValueError, match="acme-openai: mount, path and field must be names"):
        reference(**{part: value})


def test_a_field_is_one_name() -> None:
    with pytest.raises(ValueError, match="must be names"):
        reference(field="a/b")


@pytest.mark.parametrize("version", [0, -1])
def test_versions_count_from_one(version: int) -> None:
    with pytest.raises(ValueError, match="versions count from 1"):
        reference(version=version)


@pytest.mark.parametrize(
    ("part", "value"),
    [("mount", "team/kv"), ("path", "a/b/c.d-e_f"), ("path", "..."), ("path", "..a/.b"), ("version", 7)],
)
def test_plain_names_are_taken(part: str, value: str | int) -> None:
    assert getattr(reference(**{part: value}), part) == value


@given(st.text(max_size=30))
@example("a/../b")
def test_what_is_taken_stays_below_its_mount(path: str) -> None:
    try:
        taken = reference(path=path).path
    except ValueError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_./-]+", taken)
    assert not {"", ".", ".."} & set(taken.split("/"))
