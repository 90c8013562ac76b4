"""`gatehouse`: the commands in one place."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from gatehouse.cli import (
    audit,
    chat,
    config,
    embed,
    experiments,
    explain,
    health,
    keys,
    models,
    policy,
    preferences,
    profiles,
    providers,
    quotas,
    routes,
    token,
    usage,
)
from gatehouse.cli.command import (
    JsonOption,
    ProfileOption,
    TenantOption,
    TokenOption,
    UserOption,
)
from gatehouse.cli.help_page import HelpfulGroup, example_lines
from gatehouse.cli.session import Options

app = typer.Typer(
    name="gatehouse",
    cls=HelpfulGroup,
    help="Gatehouse, the gateway for LLM calls: ask models, manage keys, providers and routes, read what was used.\n\n"
    "Connection options can stand before or after a command. The exit code is 0 on success, 1 on failure, 2 for a "
    "wrong command line and 130 after Ctrl-C; `config import --dry-run --exit-code` gives 3 when something differs.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    # A traceback with local variables could show a key.
    pretty_exceptions_enable=False,
    epilog=example_lines(
        (
            "gatehouse chat 'Why is the sky blue?'",
            "gatehouse embed 'bread' 'butter'",
            "gatehouse keys create openai --type openai",
            "gatehouse providers create openai --type openai --key openai --default-model gpt-4o-mini",
            "gatehouse models sync openai --enable",
            "gatehouse routes create default --target openai/gpt-4o-mini",
            "gatehouse explain --task extraction",
            "gatehouse config export -o gatehouse.yaml",
            "gatehouse usage records --limit 5",
            "gatehouse quotas create daily --tokens 200000 --per day",
        )
    ),
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(f"gatehouse {version('gatehouse')}")
    except PackageNotFoundError:
        typer.echo("gatehouse (not installed)")
    raise typer.Exit


@app.callback()
def gatehouse(
    ctx: typer.Context,
    *,
    profile: ProfileOption = None,
    token: TokenOption = None,
    tenant: TenantOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that every command shares."""
    ctx.obj = Options(profile=profile, token=token, tenant=tenant, user=user, as_json=as_json)


chat.register(app)
embed.register(app)
explain.register(app)
for _group in (
    keys,
    providers,
    models,
    routes,
    policy,
    preferences,
    profiles,
    experiments,
    config,
    usage,
    quotas,
    audit,
):
    app.add_typer(_group.app)
health.register(app)
token.register(app)
