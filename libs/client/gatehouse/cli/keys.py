"""`gatehouse keys`: provider keys."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import LabelOption, OwnerOption, YesOption, labels_of
from gatehouse.cli.output import Column, local_time, show_message, show_messages, words
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note, stdin_is_terminal

if TYPE_CHECKING:
    from gatehouse.keyvault.v1.key_pb2 import Key

app = group(
    "keys",
    "Provider API keys: sealed by Vault, opened only for the router, never shown again.",
    "gatehouse keys create openai --type openai",
    "gatehouse keys create openai --type openai --from-env OPENAI_API_KEY",
    "gatehouse keys list",
)

# Real keys do not fit: they are longer or have capitals.
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, or its full resource name.")]
FromEnvOption = Annotated[
    str | None,
    typer.Option(
        "--from-env",
        metavar="VARIABLE",
        help="Read the key from this environment variable. Otherwise it is read from standard input, or asked for.",
    ),
]


@command(
    app,
    "create",
    "gatehouse keys create openai --type openai",
    "gatehouse keys create openai --type openai < key.txt",
    "gatehouse keys create mine --type openai --from-env OPENAI_API_KEY --owner user",
    "gatehouse keys create local --type openai_compatible --origin http://localhost:8000",
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
    display_name: Annotated[str, typer.Option("--display-name", help="For people.")] = "",
    label: LabelOption = None,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Store a key. It is typed at a hidden prompt, piped in or read from a variable; it is never an argument."""
    _refuse_key_as_argument(ctx, key)
    labels = labels_of(label)
    material = _read_material(from_env)
    created = session.client.keys.create(
        session.name(owner, "keys", key),
        provider_type=provider_type,
        origin=origin or _default_origin(session, provider_type),
        api_key=material,
        display_name=display_name,
        labels=labels,
    )
    _show(created, session)
    note(f"stored; a provider uses it with: gatehouse providers create ID --type {provider_type} --key {key}")


@command(app, "list", "gatehouse keys list", "gatehouse keys list --owner user --json")
def list_keys(session: Session, *, owner: OwnerOption = Owner.TENANT) -> None:
    """List keys: what they are for, never what they are."""
    columns: list[Column[Key]] = [
        Column("NAME", lambda key: key.name),
        Column("TYPE", lambda key: key.provider_type),
        Column("ORIGIN", lambda key: key.origin),
        Column("KEY", lambda key: key.mask),
        Column("VERSION", lambda key: str(key.version), right=True),
        Column("CHANGED", lambda key: local_time(key.update_time)),
    ]
    parent = session.parent(owner)
    show_messages(
        session.client.keys.list(parent),
        columns,
        empty=f"{parent} has no keys. Store one: gatehouse keys create openai --type openai",
        as_json=session.as_json,
    )


@command(app, "get", "gatehouse keys get openai", "gatehouse keys get platform/keys/openai --json")
def get(session: Session, *, key: KeyArgument, owner: OwnerOption = Owner.TENANT) -> None:
    """Show one key's metadata. Nobody can read the key itself back."""
    _show(session.client.keys.get(session.name(owner, "keys", key)), session)


@command(
    app,
    "rotate",
    "gatehouse keys rotate openai",
    "gatehouse keys rotate openai --yes < new-key.txt",
    extra_arguments=True,
)
def rotate(
    session: Session,
    *,
    ctx: typer.Context,
    key: KeyArgument,
    from_env: FromEnvOption = None,
    yes: YesOption = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Replace a key: every call that starts afterwards uses the new one; the old one is destroyed."""
    _refuse_key_as_argument(ctx, key)
    name = session.name(owner, "keys", key)
    confirm(f"Replace {name}? The old key is destroyed.", yes=yes)
    _show(session.client.keys.rotate(name, _read_material(from_env)), session)


@command(app, "delete", "gatehouse keys delete openai", "gatehouse keys delete openai --yes")
def delete(session: Session, *, key: KeyArgument, yes: YesOption = False, owner: OwnerOption = Owner.TENANT) -> None:
    """Delete a key at once and for ever: no call that starts afterwards can use it."""
    name = session.name(owner, "keys", key)
    confirm(f"Delete {name} for ever?", yes=yes)
    session.client.keys.delete(name)
    note(f"deleted {name}")


def _refuse_key_as_argument(ctx: typer.Context, key_id: str) -> None:
    if ctx.args or not _ID.fullmatch(key_id.rpartition("/")[2]):
        # What was given may be the key: it is not repeated.
        raise typer.BadParameter(
            "KEY is an id: 1 to 63 characters of a-z, 0-9, '.', '_', '-', starting with a letter or digit. The key "
            "itself is never an argument, where the shell's history and other users see it: pipe it in, use --from-env "
            "or type it at the prompt. If this was a real key, replace it at the provider."
        )


def _read_material(from_env: str | None) -> str:
    if from_env is not None:
        # The value could be the key itself, given by mistake: it is not repeated.
        material = os.environ.get(from_env, "")
        missing = "the variable it names is not set or empty; give the variable's name, not the key"
    elif stdin_is_terminal():
        material, missing = typer.prompt("API key (not shown)", hide_input=True, err=True), "nothing was typed"
    else:
        material, missing = sys.stdin.read(), "standard input is empty: pipe the key in, or use --from-env VARIABLE"
    material = material.strip()
    if not material:
        raise typer.BadParameter(missing, param_hint="--from-env" if from_env is not None else "the key")
    return material


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


def _show(key: Key, session: Session) -> None:
    lines = [
        ("name", key.name),
        ("type", key.provider_type),
        ("origin", key.origin),
        ("key", key.mask),
        ("fingerprint", key.fingerprint),
        ("version", str(key.version)),
        ("display name", key.display_name),
        ("labels", words(key.labels.items())),
        ("created", local_time(key.create_time)),
        ("rotated", local_time(key.rotate_time)),
    ]
    show_message(key, lines, as_json=session.as_json)
