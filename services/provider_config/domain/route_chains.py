"""Routes that fall back to routes: each to one at most, never back to where a chain has been, and not without end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from libs.core.resource_names import RouteName
from libs.core.validation import FieldChecks
from services.provider_config.domain.ports import Transaction

MOST_FOLLOWING = 8
"""How many routes may follow one, each falling back to the next."""


def check_chain(transaction: Transaction, check: FieldChecks, name: RouteName, fallback: RouteName | None) -> None:
    """`check` learns when `name` may not fall back to `fallback`."""
    if fallback is None:
        return
    onward = {**transaction.routes.fallbacks(name.tenant), name.task: fallback.task}
    if problem := chain_problem(onward, name.task):
        check.fail("route.fallback_route", problem)


def chain_problem(onward: Mapping[str, str], task: str) -> str | None:
    """Why the route for `task` may not fall back as `onward` says, from task to task; None when it may.

    Looked at is every chain that leads through `task`.
    """
    chain = list(_chain(onward, task))
    if chain[-1] in chain[:-1]:
        return f"must not lead back to where it comes from: {' -> '.join(chain)}"
    following = len(chain) - 1 + _most_before(onward, task)
    if following > MOST_FOLLOWING:
        return f"must not make more than {MOST_FOLLOWING} routes follow one another, makes {following}"
    return None


def _chain(onward: Mapping[str, str], task: str) -> Iterator[str]:
    """`task` and those that follow; the last one is there twice when they lead back to it."""
    seen: set[str] = set()
    yield task
    while task not in seen and task in onward:
        seen.add(task)
        task = onward[task]
        yield task


def _most_before(onward: Mapping[str, str], task: str) -> int:
    """How many routes come before `task` in the longest chain to it; no chain leads from `task` back to it."""
    backward: dict[str, list[str]] = {}
    for source, target in onward.items():
        backward.setdefault(target, []).append(source)
    steps = 0
    here = backward.get(task, [])
    while here:
        steps += 1
        here = [source for each in here for source in backward.get(each, ())]
    return steps
