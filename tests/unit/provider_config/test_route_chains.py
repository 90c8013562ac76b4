"""Chains of routes end, and are short."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.provider_config.domain.route_chains import MOST_FOLLOWING, chain_problem

_TASKS = [f"t{number}" for number in range(14)]
_tasks = st.sampled_from(_TASKS)


def _walk(onward: dict[str, str], task: str) -> Iterator[str]:
    """The routes after `task`, without end where they lead in a circle."""
    while task in onward:
        task = onward[task]
        yield task


def _is_sound(onward: dict[str, str]) -> bool:
    """Whether no walk from anywhere takes more steps than allowed, which no circle satisfies."""
    for task in _TASKS:
        for steps, _ in enumerate(_walk(onward, task), start=1):
            if steps > MOST_FOLLOWING:
                return False
    return True


def _saved(changes: list[tuple[str, str]]) -> dict[str, str]:
    """What is there when each change was saved that is not refused."""
    onward: dict[str, str] = {}
    for task, fallback in changes:
        changed = {**onward, task: fallback}
        if chain_problem(changed, task) is None:
            onward = changed
    return onward


@given(st.lists(st.tuples(_tasks, _tasks), max_size=60))
def test_whatever_is_saved_in_whatever_order_every_chain_ends(changes: list[tuple[str, str]]) -> None:
    assert _is_sound(_saved(changes))


@given(st.lists(st.tuples(_tasks, _tasks), max_size=40), _tasks, _tasks)
@example([(f"t{number}", f"t{number + 1}") for number in range(MOST_FOLLOWING)], "t13", "t0")
@example([(f"t{number}", f"t{number + 1}") for number in range(3)], "t3", "t0")
def test_a_change_is_refused_only_if_it_would_break_a_chain(
    changes: list[tuple[str, str]], task: str, fallback: str
) -> None:
    changed = {**_saved(changes), task: fallback}
    assert (chain_problem(changed, task) is None) == _is_sound(changed)


def test_a_circle_is_told_in_full() -> None:
    problem = chain_problem({"a": "b", "b": "c", "c": "a"}, "b")
    assert problem == "must not lead back to where it comes from: b -> c -> a -> b"
    assert chain_problem({"a": "a"}, "a") == "must not lead back to where it comes from: a -> a"


@pytest.mark.parametrize("linked_last", range(MOST_FOLLOWING + 1))
def test_the_longest_chain_is_measured_over_both_ends(linked_last: int) -> None:
    links = [(f"t{number}", f"t{number + 1}") for number in range(MOST_FOLLOWING + 1)]
    task, _ = links[linked_last]
    assert chain_problem(dict(links[:-1]), links[0][0]) is None
    problem = chain_problem(dict(links), task)
    assert problem == f"must not make more than {MOST_FOLLOWING} routes follow one another, makes {MOST_FOLLOWING + 1}"
