"""The versions of a key's material: `gatehouse keys rotate`, `rollback` and `destroy-version`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.changes import change
from gatehouse.cli.command import command
from gatehouse.cli.inputs import OwnerOption, YesOption
from gatehouse.cli.key_inputs import (
    FromEnvOption,
    KeyArgument,
    VaultSecretOption,
    VersionArgument,
    overlap_of,
    read_material,
    refuse_key_as_argument,
)
from gatehouse.cli.key_view import (
    material,
    note_duplicates,
    show_key,
    state,
    usable,
    version_of,
    version_state,
)
from gatehouse.cli.output import as_document, local_time, print_json
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note, printable, require_consent
from gatehouse.cli.times import moment

if TYPE_CHECKING:
    from gatehouse.keyvault.v1.key_pb2 import Key
    from gatehouse.keyvault.v1.key_service_pb2 import RotateKeyResponse


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(
        app,
        "rotate",
        "gatehouse keys rotate openai",
        "gatehouse keys rotate openai --yes < new-key.txt",
        "gatehouse keys rotate openai --from-env NEW_KEY --dry-run",
        "gatehouse keys rotate openai --overlap 0  (it leaked)",
        "gatehouse keys rotate openai --vault-secret acme-openai@4",
        extra_arguments=True,
    )(rotate)
    command(
        app,
        "rollback",
        "gatehouse keys rollback openai 2",
        "gatehouse keys rollback tenants/acme/users/ann/keys/mine 1 --yes",
    )(rollback)
    command(
        app,
        "destroy-version",
        "gatehouse keys destroy-version openai 2",
        "gatehouse keys destroy-version openai 2 --yes",
    )(destroy_version)


def rotate(
    session: Session,
    *,
    ctx: typer.Context,
    key: KeyArgument,
    overlap: Annotated[
        str,
        typer.Option(
            "--overlap",
            metavar="DURATION",
            help="How long the old version stays usable: 90s, 15m, 1h, 2d; at most 30d. It is only a safety net: every "
            "call that starts now uses the new version, and falls back to the old one when the provider refuses the "
            "new one, as it may for a while after a key was made. 0 for a key that leaked: the old version stops being "
            "usable at once.",
        ),
    ] = "1h",
    from_env: FromEnvOption = None,
    vault_secret: VaultSecretOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and show what would happen; change nothing.")
    ] = False,
    yes: YesOption = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Replace a key: every call that starts afterwards uses the new one.

    The new key is typed at a hidden prompt, piped in or read from a variable; it is never an argument. What will happen
    is shown before it does; when somebody else changes the key in between, nothing is done. `gatehouse keys rollback`
    takes it back.
    """
    refuse_key_as_argument(ctx, key)
    keep_for = overlap_of(overlap)
    if not dry_run:
        require_consent(yes=yes)
    name = session.name(owner, "keys", key)
    # A wrong name is told before the key is typed.
    seen = session.client.keys.get(name)
    api_key, secret = read_material(from_env, vault_secret)

    def send(etag: str, *, request_id: str = "", validate_only: bool = False) -> RotateKeyResponse:
        return session.client.keys.rotate(
            name,
            api_key,
            vault_secret=secret,
            overlap=keep_for,
            etag=etag,
            request_id=request_id,
            validate_only=validate_only,
        )

    planned = send(seen.etag, validate_only=True)
    if dry_run:
        if session.as_json:
            print_json(as_document(planned))
        else:
            typer.echo(printable(_plan(seen, planned.key)))
        note_duplicates(planned)
        note("nothing was changed")
        return
    note(_plan(seen, planned.key), "")
    note_duplicates(planned)
    confirm(f"Rotate {name}?", yes=yes)
    rotated = change(lambda request_id: send(seen.etag, request_id=request_id))
    if session.as_json:
        print_json(as_document(rotated))
    else:
        show_key(rotated.key, session)
    ends = usable(rotated.key).get(seen.version)
    when = f"after {local_time(ends.retire_time)}" if ends else "now"
    note(
        f"revoke the old key at its provider {when}; take this back with: gatehouse keys rollback {key} {seen.version}"
    )


def rollback(
    session: Session,
    *,
    key: KeyArgument,
    version: VersionArgument,
    yes: YesOption = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Put an earlier version back in use: every call that starts afterwards uses it.

    The version in use retires at once. `gatehouse keys get` lists the versions; a destroyed one is gone for ever.
    """
    require_consent(yes=yes)
    name = session.name(owner, "keys", key)
    etag = ""
    if not yes:
        seen = session.client.keys.get(name)
        etag = seen.etag
        _check_replaced(seen, version)
        note(f"version {seen.version} ({material(seen)}) is in use and stops being usable at once", "")
        confirm(f"Put {_described(seen, version)} of {name} in its place?", yes=yes)
    rolled_back = change(
        lambda request_id: session.client.keys.rollback(name, version, etag=etag, request_id=request_id)
    )
    show_key(rolled_back, session)
    note(f"version {version} is in use")


def destroy_version(
    session: Session,
    *,
    key: KeyArgument,
    version: VersionArgument,
    yes: YesOption = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Erase the material of a version that is not in use, at once and for ever: nothing brings it back.

    Retired versions are destroyed by themselves after a while (30 days unless the operator chose otherwise).
    """
    require_consent(yes=yes)
    name = session.name(owner, "keys", key)
    etag = ""
    if not yes:
        seen = session.client.keys.get(name)
        etag = seen.etag
        _check_replaced(seen, version)
        confirm(f"Destroy {_described(seen, version)} of {name} for ever? Nothing brings it back.", yes=yes)
    left = change(
        lambda request_id: session.client.keys.destroy_version(name, version, etag=etag, request_id=request_id)
    )
    show_key(left, session)
    note(f"version {version} is destroyed for ever; the provider still takes it until you revoke it there")


def _plan(seen: Key, planned: Key) -> str:
    """What a rotation changes, a line for each thing."""
    lines = [
        ("key", f"{seen.name} ({seen.provider_type}, {seen.origin})"),
        ("now", f"version {seen.version}  {material(seen)}"),
        ("afterwards", f"version {planned.version}  {material(planned)}"),
    ]
    left = usable(planned)
    for number in sorted(usable(seen), reverse=True):
        kept = left.get(number)
        fate = "stops being usable at once"
        if kept is not None:
            only = f"but only for calls whose provider refuses version {planned.version}"
            fate = f"stays usable until {moment(kept.retire_time)}, {only}"
        lines.append((f"version {number}", fate))
    if state(seen) == "disabled":
        lines.append(("state", "disabled, and stays so until: gatehouse keys enable"))
    return "\n".join(f"{name:<12}{value}" for name, value in lines)


def _check_replaced(seen: Key, number: int) -> None:
    """Raise BadParameter unless the version was replaced and is still there: nobody need be asked about another."""
    version = version_of(seen, number)
    if version is None:
        there = ", ".join(str(each.version) for each in seen.versions)
        raise typer.BadParameter(f"the key has no version {number}; it has {there}", param_hint="VERSION")
    if version_state(version) == "current":
        raise typer.BadParameter(f"version {number} is the one in use", param_hint="VERSION")
    if version_state(version) == "destroyed":
        raise typer.BadParameter(f"version {number} was destroyed; nothing brings it back", param_hint="VERSION")


def _described(seen: Key, number: int) -> str:
    version = version_of(seen, number)
    if version is None:
        return f"version {number}"
    until = f" until {moment(version.retire_time)}" if version_state(version) == "overlapping" else ""
    return f"version {number} ({material(version)}, {version_state(version)}{until})"
