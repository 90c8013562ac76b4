"""`gatehouse models available`: the models you can really use, and why not the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.call_inputs import RevisionOption
from gatehouse.cli.command import command
from gatehouse.cli.output import Column, short, show_messages
from gatehouse.cli.session import Session
from gatehouse.cli.terminal import note
from gatehouse.money import format_nano_usd, nano_usd

if TYPE_CHECKING:
    from gatehouse.router.v1.generation_service_pb2 import AvailableModel


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(
        app,
        "available",
        "gatehouse models available",
        "gatehouse models available --usable-only --json",
        "gatehouse --user ann models available",
    )(available)


def available(
    session: Session,
    *,
    usable_only: Annotated[bool, typer.Option("--usable-only", help="Leave out what cannot be used.")] = False,
    revision: RevisionOption = None,
) -> None:
    """List the models of all providers you may see: yours, your tenant's, the platform's, and which are usable."""
    columns: list[Column[AvailableModel]] = [
        Column("PROVIDER", lambda each: short(each.provider)),
        Column("MODEL", lambda each: each.model),
        Column("NAME", lambda each: each.display_name if each.display_name != each.model else ""),
        Column("USABLE", _usable),
        Column("CONTEXT", lambda each: f"{each.context_tokens:,}" if each.context_tokens else "unknown", right=True),
        Column("CAN", lambda each: ", ".join(each.capabilities)),
        Column("PRICE PER MILLION", _price),
    ]
    found = session.client.models.available(
        usable_only=usable_only,
        revision=revision,
        page_size=1000,
        warn=lambda text: note(f"warning: {text}", "yellow"),
    )
    show_messages(
        found,
        columns,
        empty="you can use no model: `gatehouse models available` says why"
        if usable_only
        else "there is no model. Configure a provider: gatehouse providers create openai --type openai --key openai",
        as_json=session.as_json,
    )


def _usable(each: AvailableModel) -> str:
    if each.usable:
        return "yes, the provider's default" if each.is_default else "yes"
    return f"no: {each.description or each.cause}" + (f" ({each.cause})" if each.description and each.cause else "")


def _price(each: AvailableModel) -> str:
    if not each.HasField("input_price_per_million") or not each.HasField("output_price_per_million"):
        return "unknown"
    prices = (each.input_price_per_million, each.output_price_per_million)
    return "{} in, {} out".format(*(format_nano_usd(nano_usd(price)) for price in prices))
