"""What every change of a key has in common: once per request, on the key its caller saw, audited with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from libs.core.audit_authors import PLATFORM, Occasion, audit_event, chain_of
from libs.core.errors import FailedPrecondition
from services.key_vault.domain.commands import Command
from services.key_vault.domain.errors import Reason
from services.key_vault.domain.key import Key, KeyVersion
from services.key_vault.domain.look_up import get_key
from services.key_vault.domain.ports import KeyAnswer, KeyTransaction

_NO_DETAILS: Mapping[str, str] = MappingProxyType({})


def recalled(transaction: KeyTransaction, command: Command, now: datetime) -> KeyAnswer | None:
    """What the same request was answered with before. Raises InvalidArgument `REQUEST_ID_REUSED`."""
    return None if command.request is None else transaction.requests.recall(command.request, now=now)


def record(
    transaction: KeyTransaction,
    command: Command,
    answer: KeyAnswer,
    occasion: Occasion,
    details: Mapping[str, str] = _NO_DETAILS,
) -> None:
    """Write a change into the audit log and remember its answer, in the transaction that made it."""
    event = audit_event(
        command.author,
        command.action,
        scope=chain_of(command.name.owner),
        target=str(command.name),
        now=occasion.now,
        uid=occasion.uid,
        details=details,
    )
    try:
        transaction.audit.append(event)
    except FailedPrecondition as damaged:
        # A leaked key must be stopped even by whoever damaged the tenant's log: then the platform's log says so.
        if not command.revokes or event.scope == PLATFORM or damaged.reason != Reason.AUDIT_LOG_DAMAGED:
            raise
        transaction.audit.append(
            replace(event, scope=PLATFORM, details={**event.details, "damaged_audit_log": event.scope})
        )
    if command.request is not None:
        transaction.requests.remember(command.request, answer, now=occasion.now)


def origin_of_material(version: KeyVersion) -> dict[str, str]:
    """The detail that says which of the operator's secrets a version is read from; none for a sealed one."""
    secret = version.vault_secret
    return {} if secret is None else {"vault_secret": f"{secret.id}@{secret.version or 'newest'}"}


def change(
    transaction: KeyTransaction,
    command: Command,
    transition: Callable[[Key], Key],
    occasion: Occasion,
    details: Mapping[str, str] = _NO_DETAILS,
) -> Key:
    """The key after `transition`, stored; one that `transition` hands back as it was stays untouched.

    Raises NotFound `KEY_NOT_FOUND`, Aborted `ETAG_MISMATCH`, InvalidArgument `REQUEST_ID_REUSED`, and what `transition`
    raises.
    """
    answered = recalled(transaction, command, occasion.now)
    if answered is not None:
        return answered.key
    before = get_key(transaction, command.name, etag=command.etag)
    after = transition(before)
    if after is not before:
        transaction.keys.put(after)
        record(transaction, command, KeyAnswer(key=after), occasion, details)
    elif command.request is not None:
        # Nothing was to be done then; when the request comes again, something might be.
        transaction.requests.remember(command.request, KeyAnswer(key=after), now=occasion.now)
    return after
