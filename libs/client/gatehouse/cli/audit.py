"""`gatehouse audit`: who did what to keys and to the configuration, and who used keys."""

from __future__ import annotations

import contextlib
import enum
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import SinceOption, UntilOption, time_of
from gatehouse.cli.output import (
    Column,
    as_document,
    enum_word,
    local_time,
    show_message,
    show_messages,
    words,
)
from gatehouse.cli.progress import progress
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import note
from gatehouse.cli.times import moment

if TYPE_CHECKING:
    from gatehouse.keyvault.v1 import audit_service_pb2 as of_keys
    from gatehouse.keyvault.v1.audit_service_pb2 import KeyUse
    from gatehouse.providerconfig.v1 import audit_service_pb2 as of_config

    AuditEvent = of_keys.AuditEvent | of_config.AuditEvent
    AuditBreak = of_keys.AuditBreak | of_config.AuditBreak
    VerifyAuditLogResponse = of_keys.VerifyAuditLogResponse | of_config.VerifyAuditLogResponse

app = group(
    "audit",
    "Who did what, every denial among it: to keys, and with `--of config` to providers, models, routes, preferences "
    "and profiles. And how often keys were opened. For admins.",
    "gatehouse audit list --since 24h",
    "gatehouse audit list --outcome denied",
    "gatehouse audit list --of config --since 24h",
    "gatehouse audit verify --of config",
    "gatehouse audit export --output acme.jsonl",
    "gatehouse audit key-use openai",
)

PlatformOption = Annotated[
    bool,
    typer.Option("--platform", help="The platform's instead of your tenant's (needs a super_admin token)."),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most, newest first.")]


class Log(enum.StrEnum):
    """Each service keeps a log of its own, in one transaction with what it changes."""

    KEYS = "keys"
    CONFIG = "config"


OfOption = Annotated[
    Log,
    typer.Option("--of", help="Whose log: that of keys, or of the configuration (providers, models, routes, …)."),
]


class Outcome(enum.StrEnum):
    """What came of an action."""

    SUCCEEDED = "succeeded"
    DENIED = "denied"


@command(
    app,
    "list",
    "gatehouse audit list",
    "gatehouse audit list --target openai --since 7d",
    "gatehouse audit list --actor ann --action RotateKey --json",
    "gatehouse audit list --of config --target routes/extraction",
    "gatehouse audit list --outcome denied --since 2026-01-31 --until 2026-02-01T12:00:00+01:00",
)
def list_events(
    session: Session,
    *,
    actor: Annotated[
        str, typer.Option("--actor", help="Only what this one did: a user's id, or a name such as services/key-vault.")
    ] = "",
    action: Annotated[str, typer.Option("--action", help="Only this action, such as RotateKey or UpdateRoute.")] = "",
    target: Annotated[
        str,
        typer.Option(
            "--target",
            help="Only what was done to this: a resource name, or an id: a key's, with --of config a provider's; "
            "routes/TASK is short for a route.",
        ),
    ] = "",
    outcome: Annotated[Outcome | None, typer.Option("--outcome", help="Only what was done, or was refused.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    of: OfOption = Log.KEYS,
    limit: LimitOption = 50,
    platform: PlatformOption = False,
) -> None:
    """List management actions and denials, the newest first. Those to the configuration: --of config."""
    parent = _parent(session, platform=platform)
    found: Iterator[AuditEvent] = _log(session, of).list(
        parent,
        actor=_full(actor, f"{parent}/users"),
        action=action,
        target=_target(target, parent, of),
        outcome=None if outcome is None else outcome.value,
        since=time_of(since, "--since"),
        until=time_of(until, "--until"),
        page_size=min(limit, 1000),
    )
    columns: list[Column[AuditEvent]] = [
        Column("NO", lambda event: str(event.sequence), right=True),
        Column("TIME", lambda event: local_time(event.time)),
        Column("ACTOR", lambda event: event.actor),
        Column("ADDRESS", lambda event: event.address),
        Column("ACTION", lambda event: event.action),
        Column("TARGET", lambda event: event.target),
        Column("OUTCOME", _outcome),
        Column("DETAILS", lambda event: words(event.details.items())),
    ]
    show_messages(islice(found, limit), columns, empty="no such events", as_json=session.as_json)


@command(
    app,
    "verify",
    "gatehouse audit verify",
    "gatehouse audit verify --of config",
    "gatehouse audit verify --platform --json",
)
def verify(session: Session, *, of: OfOption = Log.KEYS, platform: PlatformOption = False) -> None:
    """Check that nobody changed, deleted, inserted or cut off events of the audit log; the exit code is 1 if so.

    Keys and the configuration have a log each: verify both, the other with --of config.
    """
    parent = _parent(session, platform=platform)
    found: VerifyAuditLogResponse = _log(session, of).verify(parent)
    lines = [
        ("audit log", f"{parent}{_aside(of)}"),
        ("intact", "yes" if found.intact else "NO"),
        ("events", f"{found.event_count:,}"),
        *_anchors(found),
    ]
    show_message(found, lines, as_json=session.as_json)
    if not found.intact:
        _sound_the_alarm(f"{parent}{_aside(of)}", found)
        raise typer.Exit(1)
    if of is Log.KEYS and not getattr(found, "anchor_count", 0):
        note("there is no anchor yet: one is made every hour, signed by Vault and kept outside the database")


@command(
    app,
    "export",
    "gatehouse audit export --output acme.jsonl",
    "gatehouse audit export --of config --output acme-config.jsonl",
    "gatehouse audit export --after 1200 | gzip > acme-from-1201.jsonl.gz",
)
def export(
    session: Session,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this new file. \\[default: standard output]"),
    ] = None,
    after: Annotated[int, typer.Option("--after", min=0, metavar="NO", help="Only the events after this one.")] = 0,
    of: OfOption = Log.KEYS,
    platform: PlatformOption = False,
) -> None:
    """Write all events with their hashes, oldest first, one JSON object a line, for safe-keeping elsewhere."""
    parent = _parent(session, platform=platform)
    count, last = 0, after
    with (
        _destination(output) as destination,
        # A bar would be torn apart by the lines it stands between.
        progress("exported", live=output is not None or not sys.stdout.isatty()) as tell,
        contextlib.closing(_log(session, of).export(parent, after_sequence=after)) as events,
    ):
        for event in events:
            destination.write(json.dumps(as_document(event), separators=(",", ":")) + "\n")
            count, last = count + 1, event.sequence
            tell(count)
    note(
        f"exported {count:,} event{'' if count == 1 else 's'} of {parent}{_aside(of)}; what comes later: --after {last}"
    )


@command(
    app,
    "key-use",
    "gatehouse audit key-use",
    "gatehouse audit key-use openai --since 24h",
    "gatehouse audit key-use tenants/acme/users/ann/keys/mine --json",
)
def key_use(
    session: Session,
    *,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY", help="One key: its id or full resource name. Left out: all, those of users included."
        ),
    ] = None,
    since: SinceOption = None,
    limit: LimitOption = 50,
    platform: PlatformOption = False,
) -> None:
    """List how often each service opened each key, hour by hour. The ids lead to Vault's own audit log."""
    parent = _parent(session, platform=platform)
    if key is not None:
        parent = session.name(Owner.PLATFORM if platform else Owner.TENANT, "keys", key)
    columns: list[Column[KeyUse]] = [
        Column("HOUR", lambda use: local_time(use.hour)),
        Column("KEY", lambda use: use.key),
        Column("VERSION", lambda use: str(use.version), right=True),
        Column("SERVICE", lambda use: use.service),
        Column("OPENED", lambda use: f"{use.count:,}", right=True),
        Column("LAST VAULT REQUEST", lambda use: use.last_vault_request_id),
    ]
    found = session.client.audit.key_use(parent, since=time_of(since, "--since"), page_size=min(limit, 1000))
    show_messages(islice(found, limit), columns, empty=f"no use of {parent}", as_json=session.as_json)


def _parent(session: Session, *, platform: bool) -> str:
    return session.parent(Owner.PLATFORM if platform else Owner.TENANT)


def _log(session: Session, of: Log) -> Any:
    return session.client.audit if of is Log.KEYS else session.client.config_audit


def _aside(of: Log) -> str:
    return "" if of is Log.KEYS else " (configuration)"


def _anchors(found: VerifyAuditLogResponse) -> list[tuple[str, str]]:
    """Anchors stand outside the database; only key_vault has them."""
    count, last = getattr(found, "anchor_count", None), getattr(found, "last_anchor_time", None)
    if count is None or last is None:
        return []
    return [("anchors", f"{count:,}"), ("last anchor", moment(last))]


def _target(name: str, parent: str, of: Log) -> str:
    if of is Log.CONFIG and name.partition("/")[0] in {"providers", "routes", "users"}:
        return f"{parent}/{name}"
    return _full(name, f"{parent}/{'keys' if of is Log.KEYS else 'providers'}")


def _full(name: str, collection: str) -> str:
    return f"{collection}/{name}" if name and "/" not in name else name


def _outcome(event: AuditEvent) -> str:
    from gatehouse.keyvault.v1.audit_service_pb2 import AuditOutcome

    # Both logs have the same outcomes.
    number: Any = event.outcome
    word = enum_word(AuditOutcome, number)
    return f"{word} ({event.reason})" if event.reason else word


def _sound_the_alarm(parent: str, found: VerifyAuditLogResponse) -> None:
    note(f"THE AUDIT LOG OF {parent} IS NOT INTACT", "bold red")
    if found.HasField("first_break"):
        note(f"first break: {_broken(found.first_break)}", "bold red")
    note(
        "Somebody changed it past Gatehouse, or its database was damaged or restored. Repair nothing: save database "
        "and anchors as they are, then find out who could write to them. Only what comes before the break is "
        "proven.",
        "red",
    )


_BREAKS = {
    "altered": "the content or hash of event {} was changed",
    "missing": "event {} is missing",
    "reordered": "event {} is not in its place: events were moved, or one was put in between",
    "truncated": "the log was cut off: it ends before event {}",
    "head_forged": "the end of the log, at event {}, does not carry this deployment's seal",
    "anchor_mismatch": "event {} is not what a signed anchor says it was: the log was rewritten",
}


def _broken(place: AuditBreak) -> str:
    from gatehouse.keyvault.v1.audit_service_pb2 import AuditBreakType

    # Both logs have the same kinds.
    number: Any = place.type
    word = enum_word(AuditBreakType, number)
    return _BREAKS.get(word, f"event {{}} ({word})").format(place.sequence)


@contextlib.contextmanager
def _destination(file: Path | None) -> Iterator[TextIO]:
    """Standard output, or a new file that only its owner can read, and that is whole if it is there at all."""
    if file is None:
        yield sys.stdout
        return
    part = file.with_name(f"{file.name}.part")
    try:
        if file.exists():
            raise typer.BadParameter(f"{file} exists: choose another name", param_hint="--output")
        part.touch(mode=0o600)
        with part.open("w", encoding="utf-8") as destination:
            yield destination
        part.rename(file)
    except OSError as error:
        raise typer.BadParameter(
            f"{error.filename} cannot be written: {error.strerror}", param_hint="--output"
        ) from None
    finally:
        part.unlink(missing_ok=True)
