"""Sparing callers the wait for a Vault that just failed."""

from __future__ import annotations

import asyncio

import pytest

from libs.core.errors import FailedPrecondition, Unavailable
from services.key_vault.domain.errors import overloaded, vault_sealed, vault_unreachable
from services.key_vault.vault.circuit import PROBE_INTERVAL_S, Circuit
from tests.unit.key_vault.memory import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def circuit(clock: HandClock) -> Circuit:
    return Circuit(clock)


def passes(circuit: Circuit) -> bool:
    try:
        circuit.begin()
    except Unavailable:
        return False
    return True


async def works() -> str:
    return "result"


async def fails() -> str:
    raise vault_unreachable()


async def outcome(circuit: Circuit, *, working: bool) -> str:
    try:
        return await circuit.run(works if working else fails)
    except Unavailable as error:
        return error.reason


def test_it_is_closed_at_first(circuit: Circuit) -> None:
    assert all(passes(circuit) for _ in range(3))
    assert not circuit.is_open


def test_after_a_failure_one_call_a_second_finds_out(circuit: Circuit, clock: HandClock) -> None:
    circuit.failed(vault_unreachable(), circuit.begin())
    assert circuit.is_open
    assert not passes(circuit)
    clock.seconds += PROBE_INTERVAL_S
    assert [passes(circuit) for _ in range(3)] == [True, False, False]
    clock.seconds += PROBE_INTERVAL_S
    assert passes(circuit)


def test_a_success_closes_it_at_once(circuit: Circuit) -> None:
    circuit.failed(vault_unreachable(), circuit.begin())
    circuit.succeeded(0.0)
    assert passes(circuit)


def test_everybody_gets_an_error_of_their_own(circuit: Circuit) -> None:
    circuit.failed(vault_unreachable(), circuit.begin())
    errors = []
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            circuit.begin()
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    assert errors[0].reason == "VAULT_UNREACHABLE"


async def test_what_it_keeps_of_a_failure_leads_to_no_material(circuit: Circuit) -> None:
    await outcome(circuit, working=False)
    kept = circuit._failure
    assert kept is not None
    assert kept.__traceback__ is None


def test_the_reason_is_that_of_the_latest_failure(circuit: Circuit, clock: HandClock) -> None:
    circuit.failed(vault_unreachable(), circuit.begin())
    clock.seconds += PROBE_INTERVAL_S
    circuit.failed(vault_sealed(), circuit.begin())
    with pytest.raises(Unavailable) as caught:
        circuit.begin()
    assert caught.value.reason == "VAULT_SEALED"


def test_a_call_that_began_before_a_success_does_not_open_it(circuit: Circuit, clock: HandClock) -> None:
    slow = circuit.begin()
    clock.seconds += 2
    circuit.succeeded(circuit.begin())
    circuit.failed(vault_unreachable(), slow)
    assert passes(circuit)


def test_a_call_that_began_before_a_failure_does_not_close_it(circuit: Circuit, clock: HandClock) -> None:
    slow = circuit.begin()
    clock.seconds += 2
    circuit.failed(vault_unreachable(), circuit.begin())
    circuit.succeeded(slow)
    assert not passes(circuit)


async def test_calls_run_through_it(circuit: Circuit, clock: HandClock) -> None:
    assert await outcome(circuit, working=True) == "result"
    assert await outcome(circuit, working=False) == "VAULT_UNREACHABLE"
    assert await outcome(circuit, working=True) == "VAULT_UNREACHABLE", "not tried"
    clock.seconds += PROBE_INTERVAL_S
    assert await outcome(circuit, working=True) == "result"


async def test_what_says_nothing_about_vault_does_not_open_it(circuit: Circuit) -> None:
    async def refused() -> None:
        raise FailedPrecondition("VAULT_SECRET_MISSING", "missing")

    async def full() -> None:
        raise overloaded()

    async def given_up() -> None:
        raise asyncio.CancelledError

    for call in (refused, full, given_up):
        with pytest.raises((FailedPrecondition, Unavailable, asyncio.CancelledError)):
            await circuit.run(call)
        assert not circuit.is_open
