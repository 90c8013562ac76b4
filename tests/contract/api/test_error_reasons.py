"""Every reason the code can give is documented in the proto enum of each area that can give it."""

from __future__ import annotations

import pytest

from tests.contract.api.descriptors import reasons
from tests.contract.api.raised_reasons import passing_on, reasons_in

AREAS = {
    "keyvault": "key_vault",
    "providerconfig": "provider_config",
    "router": "router",
    "usage": "usage_accounting",
}
SHARED_FOLDERS = ("libs/core", "libs/rpc", "libs/identity", "libs/storage", "libs/telemetry")
# Raised while a service starts, before it serves anybody.
NEVER_SENT = {
    "DATABASE_TOO_NEW",
    "DATABASE_GRANT_REFUSED",
    "DATABASE_ROLE_MISSING",
    "DATABASE_ROLE_TOO_POWERFUL",
}


@pytest.mark.parametrize("area", AREAS)
def test_every_shared_reason_is_documented_in_every_area(area: str) -> None:
    raised = {reason: where for folder in SHARED_FOLDERS for reason, where in reasons_in(folder).items()}
    undocumented = {reason: where for reason, where in raised.items() if reason not in NEVER_SENT | set(reasons(area))}
    assert undocumented == {}


@pytest.mark.parametrize("area", AREAS)
def test_every_reason_of_a_service_is_documented_in_its_area(area: str) -> None:
    raised = reasons_in(f"services/{AREAS[area]}")
    assert raised
    assert {reason: where for reason, where in raised.items() if reason not in reasons(area)} == {}


@pytest.mark.parametrize("area", AREAS)
def test_every_reason_of_an_areas_own_can_be_given(area: str) -> None:
    own = {name for name, number in reasons(area).items() if number >= 100}
    assert own - set(reasons_in(f"services/{AREAS[area]}")) == set()


def test_every_shared_reason_can_be_given_by_somebody() -> None:
    raised = {reason for folder in (*SHARED_FOLDERS, "services") for reason in reasons_in(folder)}
    assert set(shared_numbers("keyvault")) - raised == {"UNSPECIFIED"}


def test_the_search_finds_each_way_of_giving_a_reason() -> None:
    assert "INVALID_FIELD" in reasons_in("libs/core")
    assert "DATABASE_FULL" in reasons_in("libs/storage")
    assert "KEY_NOT_FOUND" in reasons_in("services/key_vault")
    assert "unavailable" in passing_on()


@pytest.mark.parametrize("area", sorted(set(AREAS) - {"keyvault"}))
def test_shared_reasons_have_the_same_numbers_everywhere(area: str) -> None:
    assert shared_numbers(area) == shared_numbers("keyvault")


def shared_numbers(area: str) -> dict[str, int]:
    return {name: number for name, number in reasons(area).items() if number < 100}
