"""Registers commands: gives each the shared options, a session, examples in its help, and errors people can read."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, get_type_hints

import typer

from gatehouse.cli.failures import show_failure
from gatehouse.cli.help_page import HelpfulCommand, HelpfulGroup, example_lines
from gatehouse.cli.session import Options, Session
from gatehouse.errors import GatehouseError
from gatehouse.profile import PROFILE_VARIABLE, ProfileError
from gatehouse.tokens import TOKEN_VARIABLE

P = ParamSpec("P")

_PANEL = "Connection"

ProfileOption = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        envvar=PROFILE_VARIABLE,
        show_default=".gatehouse/client.json",
        help="The client.json that says where Gatehouse is.",
        rich_help_panel=_PANEL,
    ),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar=TOKEN_VARIABLE,
        help="Your token (better in the variable: arguments are seen by others). Without one, and with the issuer key "
        "of a development profile, a short-lived one is made for --tenant and --user with the role tenant_admin.",
        rich_help_panel=_PANEL,
    ),
]
TenantOption = Annotated[
    str | None,
    typer.Option("--tenant", help="Tenant id. \\[default: the token's, else acme]", rich_help_panel=_PANEL),
]
UserOption = Annotated[
    str | None,
    typer.Option("--user", help="User id. \\[default: the token's, else dev]", rich_help_panel=_PANEL),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=_PANEL)]

_SHARED = {
    "profile": (ProfileOption, None),
    "token": (TokenOption, None),
    "tenant": (TenantOption, None),
    "user": (UserOption, None),
    "as_json": (JsonOption, False),
}


def group(name: str, help_text: str, *examples: str) -> typer.Typer:
    """A command that has commands."""
    return typer.Typer(
        name=name,
        cls=HelpfulGroup,
        help=help_text,
        epilog=example_lines(examples),
        no_args_is_help=True,
        rich_markup_mode="rich",
    )


def command(
    app: typer.Typer, name: str, *examples: str, extra_arguments: bool = False
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a function of a Session and typer parameters as the command `name` of `app`; its docstring is the help.

    `extra_arguments` lets unexpected arguments through to `typer.Context.args`, for commands that must not echo them.
    """

    def register(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        app.command(
            name,
            cls=HelpfulCommand,
            epilog=example_lines(examples),
            context_settings={"allow_extra_args": extra_arguments},
        )(_with_session(function))
        return function

    return register


def _with_session(function: Callable[..., None]) -> Callable[..., None]:
    hints = get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in list(inspect.signature(function).parameters.values())[1:]
    ]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in _SHARED.items()
    ]
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    has_context = any(parameter.name == "ctx" for parameter in own)
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]

    def run(**values: Any) -> None:
        ctx: typer.Context = values["ctx"] if has_context else values.pop("ctx")
        options = _options(ctx, {name: values.pop(name) for name in _SHARED})
        session = Session(options)
        try:
            function(session, **values)
        except (GatehouseError, ProfileError) as error:
            show_failure(error)
            raise typer.Exit(1) from None
        except ValueError as error:
            # A number or text that a message cannot hold.
            raise typer.BadParameter(str(error)) from None
        finally:
            session.close()

    parameters = [*([] if has_context else [context]), *keyword_only, *shared]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = function.__name__, flowing(function.__doc__ or "")
    return run


def _options(ctx: typer.Context, values: dict[str, Any]) -> Options:
    before: Options | None = ctx.find_root().obj
    if before is not None:
        # What stands before the command has read the same variables: they must not win over an option given there.
        variables = {name for name in values if getattr(ctx.get_parameter_source(name), "name", "") == "ENVIRONMENT"}
        values = {name: value for name, value in values.items() if name not in variables}
    return Options(**values).over(before)


def flowing(docstring: str) -> str:
    """A docstring without the line breaks inside its paragraphs, which would break its lines in the help as well."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
