"""`gatehouse health`: how providers do, and how current the router's configuration is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from gatehouse.cli.command import command
from gatehouse.cli.output import Column, as_document, enum_word, milliseconds, print_json, short, show_table
from gatehouse.cli.session import Session
from gatehouse.cli.terminal import note
from gatehouse.cli.times import moment, span

if TYPE_CHECKING:
    from gatehouse.router.v1.provider_health_service_pb2 import ConfigurationState, ProviderHealth

_STATES = {"closed": "serving", "open": "cooling down", "half_open": "being tried again"}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "health", "gatehouse health", "gatehouse health --json")(health)


def health(session: Session) -> None:
    """Show how the targets do that the router has called lately, as that router saw it. Others see for themselves."""
    response = session.client.health()
    if session.as_json:
        print_json(as_document(response))
        return
    columns: list[Column[ProviderHealth]] = [
        Column("PROVIDER", lambda each: short(each.provider)),
        Column("MODEL", lambda each: each.model),
        Column("KEY", lambda each: short(each.key) or "none"),
        Column("STATE", _state),
        Column("CALLS IN 60 S", lambda each: f"{each.recent_calls:,}", right=True),
        Column("FAULTS", _faults, right=True),
        Column("FIRST CONTENT", _first_content, right=True),
        Column("UNDER WAY", lambda each: f"{each.calls_under_way:,}", right=True),
        Column("COOLING UNTIL", lambda each: moment(each.cooling_until)),
    ]
    show_table(response.targets, columns, empty="this router has called nothing lately")
    if response.HasField("configuration"):
        _tell_configuration(response.configuration)


def _state(each: ProviderHealth) -> str:
    from gatehouse.router.v1.provider_health_service_pb2 import BreakerState

    word = enum_word(BreakerState, each.state)
    return _STATES.get(word, word)


def _faults(each: ProviderHealth) -> str:
    if not each.recent_calls:
        return "0"
    return f"{each.recent_faults:,} ({each.recent_faults / each.recent_calls:.0%})"


def _first_content(each: ProviderHealth) -> str:
    if not each.HasField("average_first_content"):
        return "-"
    return milliseconds(each.average_first_content.ToNanoseconds())


def _tell_configuration(state: ConfigurationState) -> None:
    age = state.age.ToNanoseconds() / 1e9
    if state.connected:
        note(f"configuration revision {state.revision}, current")
    else:
        note(
            f"configuration revision {state.revision}, {span(age)} old: the router does not reach provider_config and "
            "serves from what it holds",
            "yellow",
        )
