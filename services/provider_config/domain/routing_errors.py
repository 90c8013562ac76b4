"""The errors about routes, policies, preferences and profiles; reasons as in `errors.py`."""

from __future__ import annotations

from collections.abc import Sequence

from libs.core.errors import (
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    PreconditionViolation,
    QuotaViolation,
    ResourceExhausted,
    Unavailable,
)
from libs.core.resource_names import Owner, ProfileName, RouteName
from services.provider_config.domain.deletions import MOST_NAMED
from services.provider_config.domain.errors import Reason


def route_not_found(name: RouteName) -> NotFound:
    """There is no such route."""
    return NotFound(Reason.ROUTE_NOT_FOUND, f"{name} does not exist", metadata={"name": str(name)})


def route_exists(name: RouteName) -> AlreadyExists:
    """The task has a route."""
    return AlreadyExists(Reason.ROUTE_EXISTS, f"{name} exists already", metadata={"name": str(name)})


def route_in_use(name: RouteName, by: Sequence[RouteName]) -> FailedPrecondition:
    """The routes `by` fall back to it."""
    more = f" and {len(by) - 1} more" if len(by) > 1 else ""
    return FailedPrecondition(
        Reason.ROUTE_IN_USE,
        f"{name} is the fallback of {by[0]}{more}; change them first",
        metadata={"name": str(name), "count": str(len(by))},
        precondition_violations=tuple(
            PreconditionViolation(type=Reason.ROUTE_IN_USE, subject=str(each), description=f"falls back to {name}")
            for each in by[:MOST_NAMED]
        ),
    )


def profile_not_found(name: ProfileName) -> NotFound:
    """There is no such profile."""
    return NotFound(Reason.PROFILE_NOT_FOUND, f"{name} does not exist", metadata={"name": str(name)})


def profile_exists(name: ProfileName) -> AlreadyExists:
    """The id is taken."""
    return AlreadyExists(Reason.PROFILE_EXISTS, f"{name} exists already", metadata={"name": str(name)})


def too_many_profiles(user: Owner, most: int) -> ResourceExhausted:
    """A user has as many profiles as there can be."""
    return ResourceExhausted(
        Reason.TOO_MANY_PROFILES,
        f"{user} has {most} profiles, the most there can be; delete one",
        metadata={"name": str(user), "most": str(most)},
        quota_violations=(QuotaViolation(subject=str(user), description=f"at most {most} profiles"),),
    )


def choices_in_motion() -> Unavailable:
    """What a choice means changed each time while its key was asked for."""
    return Unavailable(
        Reason.DATABASE_BUSY, "the providers changed while their keys were looked at; try again", retry_delay_s=0.1
    )
