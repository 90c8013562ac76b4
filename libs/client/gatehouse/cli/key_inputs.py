"""What commands about keys are given: names, versions, overlaps, and material, which is never an argument."""

from __future__ import annotations

import os
import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.inputs import duration_of
from gatehouse.cli.terminal import stdin_is_terminal

if TYPE_CHECKING:
    from gatehouse.operations.keys import VaultSecretReference

# Real keys do not fit: they are longer or have capitals.
# What the keys of providers begin with, as far as it fits an id.
_KEY_PREFIXES = ("sk-", "gsk_", "xai-", "pplx-", "hf_", "r8_", "nvapi-")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, or its full resource name.")]
FromEnvOption = Annotated[
    str | None,
    typer.Option(
        "--from-env",
        metavar="VARIABLE",
        help="Read the key from this environment variable. Otherwise it is read from standard input, or asked for.",
    ),
]
VaultSecretOption = Annotated[
    str | None,
    typer.Option(
        "--vault-secret",
        metavar="ID[@VERSION]",
        help="Instead of entering a key: use this secret of the operator's Vault. Gatehouse reads it for each call; "
        "without @VERSION always its newest version. The operator says which ids are yours.",
    ),
]


def _version_of(text: str) -> int:
    # What was given could be anything, a key among them: it is not repeated.
    if not _NUMBER.fullmatch(text):
        raise typer.BadParameter("a version is a number from 1: `gatehouse keys get KEY` lists them")
    return int(text)


VersionArgument = Annotated[
    int,
    typer.Argument(metavar="VERSION", parser=_version_of, help="The version's number, as `gatehouse keys get` shows."),
]


def overlap_of(text: str) -> timedelta:
    """`1h`, `0`. Raises BadParameter."""
    if text.strip() == "0":
        return timedelta()
    return duration_of(text, "--overlap")


def refuse_key_as_argument(ctx: typer.Context, key_id: str) -> None:
    """Raise BadParameter when `key_id`, or an argument too many, could be the key itself."""
    last = key_id.rpartition("/")[2]
    if ctx.args or not _ID.fullmatch(last) or last.startswith(_KEY_PREFIXES):
        # What was given may be the key: it is not repeated.
        raise typer.BadParameter(
            "KEY is an id: 1 to 63 characters of a-z, 0-9, '.', '_', '-', starting with a letter or digit. The key "
            "itself is never an argument, where the shell's history and other users see it: pipe it in, use --from-env "
            "or type it at the prompt. Ids that begin as real keys do, such as sk-, are refused. If this was a real "
            "key, replace it at the provider."
        )


def read_material(from_env: str | None, vault_secret: str | None) -> tuple[str, VaultSecretReference | None]:
    """The key, or the Vault secret in its place; exactly one is not empty. Raises BadParameter."""
    if vault_secret is None:
        return read_key(from_env), None
    if from_env is not None:
        raise typer.BadParameter("give one of them: the key or a secret of Vault", param_hint="--from-env")
    secret_id, at, version = vault_secret.partition("@")
    # It could be the key itself, given by mistake: it is not repeated.
    if not _ID.fullmatch(secret_id) or (at and not _NUMBER.fullmatch(version)):
        raise typer.BadParameter(
            "is ID or ID@VERSION, such as acme-openai or acme-openai@3; ask the operator for the id. The key itself is "
            "never an argument: if this was a real key, replace it at the provider",
            param_hint="--vault-secret",
        )
    return "", (secret_id, int(version)) if at else secret_id


def read_key(from_env: str | None) -> str:
    """A key from a variable, a hidden prompt or standard input. Raises BadParameter."""
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
