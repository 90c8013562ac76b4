"""`gatehouse policy`: what holds for all calls of a tenant."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.command import command, group
from gatehouse.cli.output import local_time, show_message
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import note

if TYPE_CHECKING:
    from gatehouse.providerconfig.v1.route_pb2 import RoutingPolicy

app = group(
    "policy",
    "What holds for all calls of your tenant.",
    "gatehouse policy get",
    "gatehouse policy set --platform-fallback last",
)


class Fallback(enum.StrEnum):
    """When the platform's providers serve a tenant that has its own."""

    NEVER = "never"
    LAST = "last"


_MEANING = {
    Fallback.NEVER: "never, while the tenant has providers of its own",
    Fallback.LAST: "after all of the tenant's own",
}


@command(app, "get", "gatehouse policy get", "gatehouse policy get --json")
def get(session: Session) -> None:
    """Show your tenant's policy."""
    _show(session.client.policy.get(session.parent(Owner.TENANT)), session)


@command(
    app,
    "set",
    "gatehouse policy set --platform-fallback last",
    "gatehouse policy set --platform-fallback never",
)
def set_policy(
    session: Session,
    *,
    platform_fallback: Annotated[
        Fallback,
        typer.Option(
            "--platform-fallback",
            help="When the platform's providers may serve although your tenant has its own: never, or last of all. A "
            "tenant without any always uses the platform's.",
        ),
    ],
) -> None:
    """Change your tenant's policy."""
    response = session.client.policy.update(session.parent(Owner.TENANT), platform_fallback=platform_fallback.value)
    _show(response.policy, session)
    note(f"live at revision {response.revision}")


def _show(policy: RoutingPolicy, session: Session) -> None:
    from gatehouse.providerconfig.v1.route_pb2 import PLATFORM_FALLBACK_LAST

    fallback = Fallback.LAST if policy.platform_fallback == PLATFORM_FALLBACK_LAST else Fallback.NEVER
    lines = [
        ("name", policy.name),
        ("platform serves", _MEANING[fallback]),
        ("changed", local_time(policy.update_time) or "never"),
    ]
    show_message(policy, lines, as_json=session.as_json)
