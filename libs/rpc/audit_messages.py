"""Between the audit messages of an area and the audit log. Pure.

Every area has messages of its own, of the same shape: what is the same is here, with the area's classes put in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, Literal, Protocol, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from libs.core.audit import AuditFilter, AuditOutcome, ChainedEvent
from libs.core.resource_names import MAX_NAME_LENGTH, Owner
from libs.core.validation import FieldChecks
from libs.rpc.times import time_of, timestamp

Event = TypeVar("Event")
Event_co = TypeVar("Event_co", covariant=True)
Outcome = TypeVar("Outcome")
Outcome_co = TypeVar("Outcome_co", covariant=True)
Outcome_contra = TypeVar("Outcome_contra", contravariant=True)


class FilterMessage(Protocol[Outcome_co]):
    """An area's `AuditFilter`."""

    @property
    def actor(self) -> str: ...  # noqa: D102 - the fields are described in the proto
    @property
    def action(self) -> str: ...  # noqa: D102
    @property
    def target(self) -> str: ...  # noqa: D102
    @property
    def outcome(self) -> Outcome_co: ...  # noqa: D102
    @property
    def since(self) -> Timestamp: ...  # noqa: D102
    @property
    def until(self) -> Timestamp: ...  # noqa: D102
    def HasField(self, field_name: Literal["since", "until"], /) -> bool: ...  # noqa: N802, D102 - protobuf's name
    def SerializeToString(self, *, deterministic: bool) -> bytes: ...  # noqa: N802, D102 - protobuf's name


class EventMessage(Protocol[Outcome_contra, Event_co]):
    """An area's `AuditEvent`, the class."""

    def __call__(
        self,
        *,
        sequence: int,
        uid: str,
        time: Timestamp | None,
        actor: str,
        roles: Iterable[str],
        address: str,
        action: str,
        target: str,
        outcome: Outcome_contra,
        reason: str,
        request_id: str,
        details: Mapping[str, str],
        previous_hash: str,
        hash: str,  # noqa: A002 - the field's name
    ) -> Event_co:
        """The message."""
        ...


class AuditMessages(Generic[Event, Outcome]):
    """The messages of one area: its class of events and its values of outcomes."""

    def __init__(self, event: EventMessage[Outcome, Event], outcomes: Mapping[AuditOutcome, Outcome]) -> None:
        self._event = event
        self._outcomes = outcomes
        self._outcome_of = {value: outcome for outcome, value in outcomes.items()}

    def event(self, chained: ChainedEvent) -> Event:
        """The event at its place in the chain."""
        event = chained.event
        return self._event(
            sequence=chained.sequence,
            uid=event.event_id,
            time=timestamp(event.time),
            actor=event.actor,
            roles=event.roles,
            address=event.address,
            action=event.action,
            target=event.target,
            outcome=self._outcomes[event.outcome],
            reason=event.reason,
            request_id=event.request_id,
            details=event.details,
            previous_hash=chained.previous_hash,
            hash=chained.hash,
        )

    def filter(self, message: FilterMessage[Outcome]) -> AuditFilter:
        """The filter. Raises InvalidArgument naming every wrong field."""
        outcome = self._outcome_of.get(message.outcome)
        with FieldChecks() as check:
            for field, value in (("actor", message.actor), ("action", message.action), ("target", message.target)):
                check.text(f"filter.{field}", value, most=MAX_NAME_LENGTH)
            check.that(not message.outcome or outcome is not None, "filter.outcome", "is not an outcome")
            since = time_of(check, "filter.since", message.since) if message.HasField("since") else None
            until = time_of(check, "filter.until", message.until) if message.HasField("until") else None
        return AuditFilter(
            actor=message.actor or None,
            action=message.action or None,
            target=message.target or None,
            outcome=outcome,
            since=since,
            until=until,
        )


def chain_named(parent: str) -> str:
    """The chain that `parent` names. Raises InvalidArgument."""
    owner = Owner.parse(parent)
    with FieldChecks() as check:
        check.that(
            owner.user is None,
            "parent",
            "must be platform or tenants/{tenant}: a tenant's users have no log of their own",
        )
    return str(owner)
