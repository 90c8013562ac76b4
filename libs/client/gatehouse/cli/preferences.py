"""`gatehouse preferences`: what you like to be served by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.choices import choice, choice_text, show_choices
from gatehouse.cli.command import command, group
from gatehouse.cli.output import as_document, print_json
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import note

if TYPE_CHECKING:
    from gatehouse.operations.preferences import PreferenceFields
    from gatehouse.providerconfig.v1.preference_pb2 import Preferences

app = group(
    "preferences",
    "What you like to be served by, where a call names nothing itself. An admin names another user with --user.",
    "gatehouse preferences set openai/gpt-4o-mini",
    "gatehouse preferences set --task cover_letter openai/gpt-4o",
    "gatehouse preferences get",
)

TaskOption = Annotated[str | None, typer.Option("--task", help="Only for this task. \\[default: for all others]")]


@command(app, "get", "gatehouse preferences get", "gatehouse preferences get --user ann --json")
def get(session: Session) -> None:
    """Show your preferences, and the profile in use."""
    _show(session.client.preferences.get(session.parent(Owner.USER)), session)


@command(
    app,
    "set",
    "gatehouse preferences set openai/gpt-4o-mini",
    "gatehouse preferences set --task cover_letter platform/openai/gpt-4o",
)
def set_preference(
    session: Session,
    *,
    target: Annotated[
        str,
        typer.Argument(
            metavar="PROVIDER[/MODEL]",
            help="A provider's id means the nearest: yours, the tenant's, the platform's. No model: its default.",
        ),
    ],
    task: TaskOption = None,
) -> None:
    """Say what serves you, for all tasks or for one. It must be usable now, its key included."""
    parent = session.parent(Owner.USER)
    chosen = choice(target, parent, "PROVIDER[/MODEL]")
    if task is None:
        response = session.client.preferences.update(parent, preferred=chosen)
    else:
        present = session.client.preferences.get(parent)
        tasks = {each.task: each.choice for each in present.tasks} | {task: chosen}
        response = session.client.preferences.update(parent, etag=present.etag, tasks=tasks)
    _show(response.preferences, session)
    note(f"live at revision {response.revision}")


@command(
    app,
    "clear",
    "gatehouse preferences clear --task cover_letter",
    "gatehouse preferences clear",
    "gatehouse preferences clear --all",
)
def clear(
    session: Session,
    *,
    task: TaskOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Those for single tasks as well.")] = False,
) -> None:
    """Take a preference back: that for all tasks, or that for one."""
    parent = session.parent(Owner.USER)
    if everything and task is not None:
        raise typer.BadParameter("one of them: --task or --all", param_hint="--all")
    fields: PreferenceFields = {"preferred": None}
    etag = ""
    if everything:
        fields["tasks"] = {}
    elif task is not None:
        present = session.client.preferences.get(parent)
        tasks = {each.task: each.choice for each in present.tasks}
        if tasks.pop(task, None) is None:
            note(f"there was none for {task}")
            return
        fields, etag = {"tasks": tasks}, present.etag
    response = session.client.preferences.update(parent, etag=etag, **fields)
    _show(response.preferences, session)
    note(f"live at revision {response.revision}")


def _show(preferences: Preferences, session: Session) -> None:
    if session.as_json:
        print_json(as_document(preferences))
        return
    parent = session.parent(Owner.USER)
    show_choices(
        choice_text(preferences.preferred, parent),
        preferences.tasks,
        parent,
        empty=f"{parent} has no preferences. Set one: gatehouse preferences set openai/gpt-4o-mini",
    )
    if preferences.active_profile:
        profile = preferences.active_profile.rpartition("/")[2]
        note(f"the profile {profile} is active: its choices come before these")
