"""`gatehouse profiles`: named sets of providers and choices to switch between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.changes import change
from gatehouse.cli.choices import (
    ForTaskOption,
    PreferOption,
    choice_text,
    preferred,
    show_choices,
    task_choices,
)
from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import DescriptionOption, DisplayNameOption, DryRunOption, YesOption, choice_of
from gatehouse.cli.output import Column, as_document, local_time, print_json, show_lines, show_messages
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note, require_consent
from gatehouse.references import short_provider

if TYPE_CHECKING:
    from gatehouse.operations.preferences import ProfileFields
    from gatehouse.providerconfig.v1.preference_pb2 import Profile

app = group(
    "profiles",
    "Named sets of providers and choices of yours, such as personal and work. Switching acts on the next call.",
    "gatehouse profiles create work --provider tenant/openai --prefer tenant/openai/gpt-4o",
    "gatehouse profiles activate work",
    "gatehouse profiles deactivate",
)

ProfileArgument = Annotated[str, typer.Argument(metavar="PROFILE", help="The profile's id, or its full resource name.")]
ProvidersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        help="While it is active, only these serve you: openai (the nearest), tenant/openai, platform/openai. May be "
        "given more than once. \\[default: all you may use]",
    ),
]


@command(
    app,
    "create",
    "gatehouse profiles create personal --provider mine --prefer mine/gpt-4o-mini",
    "gatehouse profiles create work --provider tenant/openai --for-task cover_letter=tenant/openai/gpt-4o",
)
def create(
    session: Session,
    *,
    profile_id: ProfileArgument,
    provider: ProvidersOption = None,
    prefer: PreferOption = None,
    for_task: ForTaskOption = None,
    display_name: DisplayNameOption = None,
    description: DescriptionOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Make a profile. It is not active yet."""
    name = _name(session, profile_id)
    parent = name.rpartition("/profiles/")[0]
    fields = _fields(parent, provider, prefer, display_name=display_name, description=description)
    if for_task:
        fields["tasks"] = task_choices(for_task, (), parent)
    response = change(
        lambda request_id: session.client.profiles.create(name, request_id=request_id, validate_only=dry_run, **fields)
    )
    _show(response.profile, session)
    note(
        "nothing was created: it could be"
        if dry_run
        else f"live at revision {response.revision}; switch to it: gatehouse profiles activate {profile_id}"
    )


@command(app, "list", "gatehouse profiles list", "gatehouse profiles list --json")
def list_profiles(session: Session) -> None:
    """List your profiles."""
    parent = session.parent(Owner.USER)
    columns: list[Column[Profile]] = [
        Column("PROFILE", lambda profile: profile.name.rpartition("/")[2]),
        Column("STATE", lambda profile: "active" if profile.active else ""),
        Column("PROVIDERS", lambda profile: _providers(profile) or "all"),
        Column("PREFERRED", lambda profile: choice_text(profile.preferred, parent)),
        Column("TASKS", lambda profile: ", ".join(each.task for each in profile.tasks)),
        Column("DISPLAY NAME", lambda profile: profile.display_name),
    ]
    show_messages(
        session.client.profiles.list(parent),
        columns,
        empty=f"{parent} has no profiles. Make one: gatehouse profiles create work --provider tenant/openai",
        as_json=session.as_json,
    )


@command(app, "get", "gatehouse profiles get work")
def get(session: Session, *, profile_id: ProfileArgument) -> None:
    """Show one profile with its choices."""
    _show(session.client.profiles.get(_name(session, profile_id)), session)


@command(
    app,
    "update",
    "gatehouse profiles update work --for-task cover_letter=tenant/openai/gpt-4o",
    "gatehouse profiles update work --for-task cover_letter= --prefer ''",
)
def update(
    session: Session,
    *,
    profile_id: ProfileArgument,
    provider: ProvidersOption = None,
    all_providers: Annotated[bool, typer.Option("--all-providers", help="All that you may use serve again.")] = False,
    prefer: PreferOption = None,
    for_task: ForTaskOption = None,
    display_name: DisplayNameOption = None,
    description: DescriptionOption = None,
) -> None:
    """Change a profile: exactly what is given; providers are replaced as a whole, choices task by task."""
    name = _name(session, profile_id)
    parent = name.rpartition("/profiles/")[0]
    fields = _fields(
        parent, [] if all_providers else provider, prefer, display_name=display_name, description=description
    )
    etag = ""
    if for_task:
        present = session.client.profiles.get(name)
        fields["tasks"], etag = task_choices(for_task, present.tasks, parent), present.etag
    if not fields:
        raise typer.BadParameter("say what to change: --provider tenant/openai, --prefer …, --for-task TASK=…")
    response = session.client.profiles.update(name, etag=etag, **fields)
    _show(response.profile, session)
    note(f"live at revision {response.revision}")


@command(app, "delete", "gatehouse profiles delete work")
def delete(session: Session, *, profile_id: ProfileArgument, yes: YesOption = False) -> None:
    """Delete a profile. If it was active, none is."""
    require_consent(yes=yes)
    name = _name(session, profile_id)
    confirm(f"Delete {name}?", yes=yes)
    response = session.client.profiles.delete(name)
    note(f"deleted {name}, live at revision {response.revision}")


@command(app, "activate", "gatehouse profiles activate work")
def activate(session: Session, *, profile_id: ProfileArgument) -> None:
    """Switch to a profile, from the next call on."""
    name = _name(session, profile_id)
    response = session.client.profiles.activate(name)
    if session.as_json:
        print_json(as_document(response.preferences))
    note(f"{name} is active, live at revision {response.revision}")


@command(app, "deactivate", "gatehouse profiles deactivate")
def deactivate(session: Session) -> None:
    """Use none of your profiles, from the next call on."""
    parent = session.parent(Owner.USER)
    response = session.client.profiles.deactivate(parent)
    if session.as_json:
        print_json(as_document(response.preferences))
    note(f"{parent} uses no profile, live at revision {response.revision}")


def _name(session: Session, profile_id: str) -> str:
    return session.name(Owner.USER, "profiles", profile_id)


def _fields(
    parent: str,
    providers: list[str] | None,
    prefer: str | None,
    *,
    display_name: str | None,
    description: str | None,
) -> ProfileFields:
    fields: ProfileFields = {}
    if providers is not None:
        fields["providers"] = [_provider(each, parent) for each in providers]
    if prefer is not None:
        fields["preferred"] = preferred(prefer, parent)
    if display_name is not None:
        fields["display_name"] = display_name
    if description is not None:
        fields["description"] = description
    return fields


def _provider(text: str, parent: str) -> str:
    provider, model = choice_of(text, parent, "--provider")
    if model:
        raise typer.BadParameter(f"{text!r} names a model: give the provider alone", param_hint="--provider")
    return provider


def _providers(profile: Profile) -> str:
    parent = profile.name.rpartition("/profiles/")[0]
    return ", ".join(short_provider(each, parent) for each in profile.providers)


def _show(profile: Profile, session: Session) -> None:
    if session.as_json:
        print_json(as_document(profile))
        return
    parent = profile.name.rpartition("/profiles/")[0]
    show_lines(
        [
            ("name", profile.name),
            ("state", "active" if profile.active else "not active"),
            ("providers", _providers(profile) or "all that its user may use"),
            ("display name", profile.display_name),
            ("description", profile.description),
            ("created", local_time(profile.create_time)),
            ("changed", local_time(profile.update_time)),
        ]
    )
    show_choices(choice_text(profile.preferred, parent), profile.tasks, parent, empty="it chooses nothing by itself")
