"""Sparing callers the wait for a Vault that just failed."""

from __future__ import annotations

import pytest

from libs.core.errors import Unavailable
from services.key_vault.domain.errors import vault_unreachable
from services.key_vault.vault.circuit import PROBE_INTERVAL_S, Circuit
from tests.unit.key_vault.memory import HandClock


def passes(circuit: Circuit) -> bool:
    try:
        circuit.guard()
    except Unavailable:
        return False
    return True


def test_it_is_closed_at_first() -> None:
    assert all(passes(Circuit(HandClock())) for _ in range(3))


def test_after_a_failure_one_call_a_second_finds_out() -> None:
    clock = HandClock()
    circuit = Circuit(clock)
    circuit.failed(vault_unreachable())
    assert not passes(circuit)
    clock.seconds += PROBE_INTERVAL_S
    assert [passes(circuit) for _ in range(3)] == [True, False, False]
    clock.seconds += PROBE_INTERVAL_S
    assert passes(circuit)


def test_a_success_closes_it_at_once() -> None:
    circuit = Circuit(HandClock())
    circuit.failed(vault_unreachable())
    circuit.succeeded()
    assert passes(circuit)


def test_everybody_gets_an_error_of_their_own() -> None:
    circuit = Circuit(HandClock())
    circuit.failed(vault_unreachable())
    errors = []
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            circuit.guard()
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    assert errors[0].reason == "VAULT_UNREACHABLE"
