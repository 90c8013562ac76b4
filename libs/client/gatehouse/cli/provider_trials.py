"""`gatehouse providers test`: whether a provider answers and takes its key, before it is saved and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.command import command
from gatehouse.cli.inputs import OwnerOption
from gatehouse.cli.key_inputs import read_key
from gatehouse.cli.provider_inputs import BaseUrlOption, Given, KeyOption, TypeOptionOption, fields_of
from gatehouse.cli.provider_view import outcome, show_test
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import note
from gatehouse.references import ID

if TYPE_CHECKING:
    from gatehouse.providerconfig.v1.provider_pb2 import ProviderTest

_NEXT = {
    "bad_key": "enter a valid key: gatehouse keys rotate {key}",
    "key_unusable": "look at the key: gatehouse keys get {key}",
    "wrong_endpoint": "correct the address: gatehouse providers update {provider} --base-url …",
    "unknown_model": "see what it has: gatehouse models sync {provider} --dry-run",
}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(
        app,
        "test",
        "gatehouse providers test openai",
        "gatehouse providers test openai --model gpt-4o-mini",
        "gatehouse providers test --type openai --key-stdin < key.txt",
        "gatehouse providers test --type openai_compatible --base-url http://localhost:8000/v1",
        "gatehouse providers test --type openai --from-env OPENAI_API_KEY --option organization=org-1",
        extra_arguments=True,
    )(try_out)


def try_out(
    session: Session,
    *,
    ctx: typer.Context,
    provider: Annotated[
        str | None,
        typer.Argument(metavar="PROVIDER", help="A saved provider. Left out with --type, which tries one that is not."),
    ] = None,
    provider_type: Annotated[
        str | None, typer.Option("--type", help="Try a provider of this type that is not saved yet.")
    ] = None,
    base_url: BaseUrlOption = None,
    key: KeyOption = None,
    key_stdin: Annotated[
        bool,
        typer.Option("--key-stdin", help="Read the key from standard input; on a terminal it is asked for, hidden."),
    ] = False,
    from_env: Annotated[
        str | None, typer.Option("--from-env", metavar="VARIABLE", help="Read the key from this environment variable.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="A model to look for in its list, as the provider calls it.")
    ] = "",
    option: TypeOptionOption = None,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Ask a provider for its list of models, through the router, with its key. Nothing is charged or changed.

    The exit code is 0 when it answers and takes the key, 1 otherwise. A key that is read here is used once and kept
    nowhere; it is never an argument.
    """
    if ctx.args or (provider is not None and not ID.fullmatch(provider.rpartition("/")[2])):
        # What was given may be the key: it is not repeated.
        raise typer.BadParameter(
            "give one provider by its id or name. A key is never an argument: use --key-stdin, --from-env or "
            "--key KEY_ID. If this was a real key, replace it at the provider"
        )
    if provider_type is None:
        unsaved = (base_url, key, from_env, option)
        if provider is None or key_stdin or any(each is not None for each in unsaved):
            raise typer.BadParameter(
                "give a saved provider, or --type for one that is not saved yet: gatehouse providers test openai",
                param_hint="PROVIDER",
            )
        name = session.name(owner, "providers", provider)
        found = session.client.providers.test(name, model=model)
    else:
        # The name of a provider that is not saved says only whose it would be.
        name = session.name(owner, "providers", provider or provider_type.replace("_", "-"))
        fields = fields_of(name, Given(base_url=base_url, key=key, option=option))
        material = _material(key, from_env, key_stdin=key_stdin)
        found = session.client.providers.test_unsaved(name, type=provider_type, api_key=material, model=model, **fields)
    show_test(found, session, name=name)
    _conclude(found, session, name if provider_type is None else "")


def _material(key: str | None, from_env: str | None, *, key_stdin: bool) -> str:
    if sum((key is not None, from_env is not None, key_stdin)) > 1:
        raise typer.BadParameter("one of them: --key, --key-stdin or --from-env", param_hint="--key-stdin")
    return read_key(from_env) if from_env is not None or key_stdin else ""


def _conclude(found: ProviderTest, session: Session, saved: str) -> None:
    word = outcome(found)
    if word == "ok":
        return
    if saved and word in _NEXT:
        key = session.client.providers.get(saved).key if "{key}" in _NEXT[word] else ""
        note(_NEXT[word].format(provider=session.reference(saved), key=session.reference(key)))
    raise typer.Exit(1)
