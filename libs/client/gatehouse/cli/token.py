"""`gatehouse token`: makes a development token."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from gatehouse.cli.command import command
from gatehouse.cli.inputs import duration_of
from gatehouse.cli.output import print_json
from gatehouse.cli.session import Session
from gatehouse.cli.terminal import note


class Role(enum.StrEnum):
    """The roles a token can carry."""

    MEMBER = "member"
    TENANT_ADMIN = "tenant_admin"
    SUPER_ADMIN = "super_admin"
    SERVICE = "service"


_LONGEST_S = 30 * 86_400


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(
        app,
        "token",
        "gatehouse token",
        "export GATEHOUSE_TOKEN=$(gatehouse token --user ann --role member --ttl 8h)",
        "GATEHOUSE_TOKEN=$(gatehouse token --role super_admin) gatehouse providers list --owner platform",
        "GATEHOUSE_TOKEN=$(gatehouse token --mfa) gatehouse keys rotate openai-prod",
        'grpcurl -H "authorization: Bearer $(gatehouse token)" …',
    )(token)


def token(
    session: Session,
    *,
    role: Annotated[list[Role] | None, typer.Option("--role", help="May be given more than once.")] = None,
    plan: Annotated[str, typer.Option("--plan", help="The plan of the caller, as usage records show it.")] = "",
    ttl: Annotated[str, typer.Option("--ttl", help="How long it is valid: 30m, 8h; at most 30d.")] = "1h",
    mfa: Annotated[
        bool, typer.Option("--mfa", help="As after a sign-in with a second factor just now, for what demands one.")
    ] = False,
) -> None:
    """Make a development token for --tenant and --user, signed with this machine's issuer key, on standard output."""
    from gatehouse.profile import load_profile
    from gatehouse.tokens import issuer_of, mint_token

    seconds = int(duration_of(ttl, "--ttl").total_seconds())
    if not 1 <= seconds <= _LONGEST_S:
        raise typer.BadParameter("must be from 1s to 30d", param_hint="--ttl")
    issuer = issuer_of(load_profile(session.options.profile), "no development token can be made")
    roles = [each.value for each in role or (Role.TENANT_ADMIN,)]
    made = mint_token(issuer, tenant=session.tenant, user=session.user, roles=roles, plan=plan, ttl_s=seconds, mfa=mfa)
    if session.as_json:
        print_json({"token": made, "tenant": session.tenant, "user": session.user, "roles": roles, "ttl_s": seconds})
        return
    typer.echo(made)
    factors = ", signed in with a second factor" if mfa else ""
    note(
        f"development token for {session.user} of {session.tenant}, {', '.join(roles)}, valid for {ttl}{factors}; "
        "only Gatehouse on this machine takes it"
    )
