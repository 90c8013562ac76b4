"""What operators do to all keys at once: `gatehouse keys rewrap` and `rewrap-progress`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.command import command
from gatehouse.cli.output import local_time, show_message
from gatehouse.cli.progress import progress
from gatehouse.cli.session import Session
from gatehouse.cli.terminal import note
from gatehouse.errors import Unavailable

if TYPE_CHECKING:
    from gatehouse.keyvault.v1.key_maintenance_service_pb2 import RewrapProgress

_POLL_S = 0.5
# A run goes on by itself after a restart of key_vault, which takes seconds.
_OUTAGE_S = 60.0


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(
        app,
        "rewrap",
        "GATEHOUSE_TOKEN=$(gatehouse token --role super_admin) gatehouse keys rewrap --rotate",
        "gatehouse keys rewrap --no-wait",
    )(rewrap)
    command(app, "rewrap-progress", "gatehouse keys rewrap-progress", "gatehouse keys rewrap-progress --json")(
        rewrap_progress
    )


def rewrap(
    session: Session,
    *,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Give Vault's sealing key a new version first, then bring all keys to it.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Begin and return: `gatehouse keys rewrap-progress` shows how far it is.")
    ] = False,
) -> None:
    """Bring every stored key to the newest version of Vault's sealing key. Needs a super_admin token.

    The provider keys stay what they are and are usable all the while. It goes on in the background, after Ctrl-C and
    after a restart as well; while it does, this command joins it.
    """
    state = session.client.keys.rewrap(rotate_sealing_key=rotate)
    if not no_wait:
        state = _finished(session, state)
    _show(state, session)


def rewrap_progress(session: Session) -> None:
    """Show how far the last re-wrapping is, or how it ended. Needs a super_admin token."""
    state = session.client.keys.rewrap_progress()
    if state is None:
        note("keys were never re-wrapped. Begin with: gatehouse keys rewrap")
    else:
        _show(state, session)


def _finished(session: Session, state: RewrapProgress) -> RewrapProgress:
    try:
        with progress("re-wrapped", total=state.total_count) as tell:
            tell(state.total_count - state.remaining_count)
            while not state.HasField("end_time"):
                time.sleep(_POLL_S)
                state = _asked_again(session) or state
                tell(state.total_count - state.remaining_count)
    except KeyboardInterrupt:
        note("it goes on without you: gatehouse keys rewrap-progress shows how far it is")
        raise
    return state


def _asked_again(session: Session) -> RewrapProgress | None:
    give_up_at = time.monotonic() + _OUTAGE_S
    while True:
        try:
            return session.client.keys.rewrap_progress()
        except Unavailable:
            if time.monotonic() >= give_up_at:
                raise
        time.sleep(_POLL_S)


def _show(state: RewrapProgress, session: Session) -> None:
    """The run, and failure as the exit code when it left keys behind."""
    lines = [
        ("sealing key version", str(state.sealing_key_version)),
        ("ciphertexts", f"{state.total_count:,}"),
        ("remaining", f"{state.remaining_count:,}"),
        ("failed", f"{state.failed_count:,}"),
        ("began", local_time(state.start_time)),
        ("ended", local_time(state.end_time) or "not yet"),
    ]
    show_message(state, lines, as_json=session.as_json)
    if state.failed_count:
        count = f"{state.failed_count:,} ciphertext{' does' if state.failed_count == 1 else 's do'}"
        note(
            f"{count} not open: Vault refuses to re-wrap what was damaged or moved. Enter these keys again with "
            "`gatehouse keys rotate`: calls that need them fail with KEY_UNREADABLE.",
            "bold red",
        )
        raise typer.Exit(1)
