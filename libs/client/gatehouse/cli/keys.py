"""`gatehouse keys`: provider keys."""

from __future__ import annotations

import enum
from itertools import islice
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from gatehouse.cli import key_maintenance, key_versions
from gatehouse.cli.changes import change
from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import LabelOption, OwnerOption, YesOption, labels_of
from gatehouse.cli.key_inputs import (
    FromEnvOption,
    KeyArgument,
    VaultSecretOption,
    read_material,
    refuse_key_as_argument,
)
from gatehouse.cli.key_view import condition, in_use_for, material, note_duplicates, show_key, state
from gatehouse.cli.output import Column, as_document, enum_word, local_time, print_json, show_messages
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note, require_consent
from gatehouse.cli.times import ago

if TYPE_CHECKING:
    from gatehouse.keyvault.v1.key_pb2 import Key, KeyNotification
    from gatehouse.operations.keys import KeyFields

app = group(
    "keys",
    "Provider API keys: sealed by Vault, opened only for the router, never shown again.",
    "gatehouse keys create openai --type openai",
    "gatehouse keys list --condition rejected",
    "gatehouse keys rotate openai",
    "gatehouse keys disable openai",
)


class State(enum.StrEnum):
    """Whether a key can be used, as its owner decided."""

    ACTIVE = "active"
    DISABLED = "disabled"


class Condition(enum.StrEnum):
    """How its provider takes a key."""

    WORKING = "working"
    REJECTED = "rejected"
    EXHAUSTED = "exhausted"


@command(
    app,
    "create",
    "gatehouse keys create openai --type openai",
    "gatehouse keys create openai --type openai < key.txt",
    "gatehouse keys create mine --type openai --from-env OPENAI_API_KEY --owner user",
    "gatehouse keys create local --type openai_compatible --origin http://localhost:8000",
    "gatehouse keys create openai --type openai --vault-secret acme-openai",
    extra_arguments=True,
)
def create(
    session: Session,
    *,
    ctx: typer.Context,
    key: KeyArgument,
    provider_type: Annotated[
        str, typer.Option("--type", help="The provider type it is for: see `gatehouse providers types`.")
    ],
    origin: Annotated[
        str | None,
        typer.Option(
            "--origin",
            help="The only scheme, host and port it may be sent to. \\[default: that of the type]",
        ),
    ] = None,
    from_env: FromEnvOption = None,
    vault_secret: VaultSecretOption = None,
    display_name: Annotated[str, typer.Option("--display-name", help="For people.")] = "",
    label: LabelOption = None,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Store a key. It is typed at a hidden prompt, piped in or read from a variable; it is never an argument."""
    refuse_key_as_argument(ctx, key)
    labels = labels_of(label)
    api_key, secret = read_material(from_env, vault_secret)
    bound_to = origin or _default_origin(session, provider_type)
    created = change(
        lambda request_id: session.client.keys.create(
            session.name(owner, "keys", key),
            provider_type=provider_type,
            origin=bound_to,
            api_key=api_key,
            vault_secret=secret,
            display_name=display_name,
            labels=labels,
            request_id=request_id,
        )
    )
    if session.as_json:
        print_json(as_document(created))
    else:
        show_key(created.key, session)
    note_duplicates(created)
    whose = "" if owner is Owner.TENANT else f" --owner {owner.value}"
    note(f"stored; a provider uses it with: gatehouse providers create ID --type {provider_type} --key {key}{whose}")


@command(
    app,
    "list",
    "gatehouse keys list",
    "gatehouse keys list --users --condition rejected",
    "gatehouse keys list --type openai --state disabled",
    "gatehouse keys list --owner user --json",
)
def list_keys(
    session: Session,
    *,
    provider_type: Annotated[str, typer.Option("--type", help="Only those for this provider type.")] = "",
    key_state: Annotated[State | None, typer.Option("--state", help="Only those in this state.")] = None,
    key_condition: Annotated[
        Condition | None,
        typer.Option(
            "--condition",
            help="Only those that their provider accepts, refuses, or accepts without serving: credit or quota is used "
            "up.",
        ),
    ] = None,
    users: Annotated[bool, typer.Option("--users", help="The keys of your tenant's users as well.")] = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """List keys: what they are for and how they are doing, never what they are."""
    if users and owner is not Owner.TENANT:
        raise typer.BadParameter("only a tenant has users: leave out --owner", param_hint="--users")
    columns: list[Column[Key]] = [
        Column("NAME", lambda key: key.name),
        Column("TYPE", lambda key: key.provider_type),
        Column("KEY", material),
        Column("VERSION", lambda key: str(key.version), right=True),
        Column("STATE", state),
        Column("CONDITION", condition),
        Column("LAST USED", lambda key: ago(key.status.last_use_time) or "never"),
        Column("IN USE FOR", in_use_for),
    ]
    parent = session.parent(owner)
    narrowed = provider_type or key_state or key_condition
    show_messages(
        session.client.keys.list(
            parent,
            provider_type=provider_type,
            state=None if key_state is None else key_state.value,
            condition=None if key_condition is None else key_condition.value,
            include_users=users,
        ),
        columns,
        empty=f"{parent} has no such keys"
        if narrowed
        else f"{parent} has no keys. Store one: gatehouse keys create openai --type openai",
        as_json=session.as_json,
    )


@command(app, "get", "gatehouse keys get openai", "gatehouse keys get platform/keys/openai --json")
def get(session: Session, *, key: KeyArgument, owner: OwnerOption = Owner.TENANT) -> None:
    """Show one key: its state, how its provider takes it, and its versions. Nobody can read the key itself back."""
    found = session.client.keys.get(session.name(owner, "keys", key))
    show_key(found, session)
    if condition(found) == Condition.REJECTED:
        note(f"its provider refuses it; replace it with: gatehouse keys rotate {key}", "yellow")


@command(
    app,
    "update",
    "gatehouse keys update openai --display-name 'OpenAI, production'",
    "gatehouse keys update openai --label team=ml --label stage=prod",
)
def update(
    session: Session,
    *,
    key: KeyArgument,
    display_name: Annotated[str | None, typer.Option("--display-name", help="For people.")] = None,
    label: LabelOption = None,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Change a key's display name or its labels, these as a whole. The key itself stays: `keys rotate` replaces it."""
    fields: KeyFields = {}
    if display_name is not None:
        fields["display_name"] = display_name
    if label:
        fields["labels"] = labels_of(label)
    if not fields:
        raise typer.BadParameter("say what to change: --display-name …, --label team=ml")
    name = session.name(owner, "keys", key)
    show_key(change(lambda request_id: session.client.keys.update(name, request_id=request_id, **fields)), session)


@command(app, "disable", "gatehouse keys disable openai", "gatehouse keys disable mine --owner user")
def disable(session: Session, *, key: KeyArgument, owner: OwnerOption = Owner.TENANT) -> None:
    """Take a key out of use at once: no call that starts afterwards can use it. Nothing is lost, nobody is asked."""
    name = session.name(owner, "keys", key)
    show_key(change(lambda request_id: session.client.keys.disable(name, request_id=request_id)), session)
    note(f"calls that need it fail from now on; put it back in use with: gatehouse keys enable {key}")


@command(app, "enable", "gatehouse keys enable openai")
def enable(session: Session, *, key: KeyArgument, owner: OwnerOption = Owner.TENANT) -> None:
    """Put a disabled key back in use."""
    name = session.name(owner, "keys", key)
    show_key(change(lambda request_id: session.client.keys.enable(name, request_id=request_id)), session)
    note("calls can use it again")


key_versions.register(app)


@command(app, "delete", "gatehouse keys delete openai", "gatehouse keys delete openai --yes")
def delete(session: Session, *, key: KeyArgument, yes: YesOption = False, owner: OwnerOption = Owner.TENANT) -> None:
    """Delete a key with all its versions, at once and for ever: no call that starts afterwards can use it."""
    require_consent(yes=yes)
    name = session.name(owner, "keys", key)
    etag = ""
    if not yes:
        seen = session.client.keys.get(name)
        etag = seen.etag
        used = ago(seen.status.last_use_time)
        about = f"{seen.provider_type}, {material(seen)}, {f'last used {used}' if used else 'not used yet'}"
        confirm(f"Delete {name} ({about}) with all its versions for ever?", yes=yes)
    change(lambda request_id: session.client.keys.delete(name, etag=etag, request_id=request_id))
    note(f"deleted {name}")


@command(
    app,
    "notifications",
    "gatehouse keys notifications",
    "gatehouse keys notifications --owner user --limit 5",
)
def notifications(
    session: Session,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most, newest first.")] = 50,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """List what happened to your keys at their providers in the last 90 days: refusals, used-up credit, recoveries."""
    parent = session.parent(owner)
    columns: list[Column[KeyNotification]] = [
        Column("TIME", lambda each: local_time(each.create_time)),
        Column("KEY", lambda each: each.key),
        Column("VERSION", lambda each: str(each.version), right=True),
        Column("WHAT HAPPENED", _what_happened),
    ]
    found = session.client.keys.notifications(parent, page_size=min(limit, 1000))
    show_messages(
        islice(found, limit), columns, empty=f"nothing happened to the keys of {parent}", as_json=session.as_json
    )


key_maintenance.register(app)


def _what_happened(notification: KeyNotification) -> str:
    from gatehouse.keyvault.v1.key_pb2 import KeyNotificationType

    match enum_word(KeyNotificationType, notification.type):
        case "rejected":
            return "its provider began to refuse it: rotate it"
        case "exhausted":
            return "its provider says that credit or quota is used up"
        case "recovered":
            return "its provider accepts it again"
        case unknown:
            return unknown


def _default_origin(session: Session, provider_type: str) -> str:
    types = {each.id: each for each in session.client.providers.types()}
    if provider_type not in types:
        raise typer.BadParameter(
            f"{provider_type!r} is not a provider type; there are {', '.join(sorted(types)) or 'none'}",
            param_hint="--type",
        )
    parts = urlsplit(types[provider_type].default_base_url)
    if not parts.netloc:
        raise typer.BadParameter(
            f"providers of type {provider_type} live in many places: say where this key may be sent, such as "
            "https://llm.example.com",
            param_hint="--origin",
        )
    return f"{parts.scheme}://{parts.netloc}"
