"""The first call: sets up what it needs, asks a question, shows the answer as it streams and what it took."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from gatehouse import AsyncClient, GatehouseError, NotFound, ProfileError
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.text import Text

from deploy.local.call_report import call_table, failure_text, ledger_table
from deploy.local.layout import StateLayout
from deploy.local.next_steps import next_steps
from deploy.local.sample_tenant import (
    DAILY_TOKENS,
    MONTHLY_COST,
    OPENAI,
    SANDBOX,
    TENANT,
    ensure_sample_tenant,
    user_client,
)
from deploy.local.settings import LauncherSettings
from deploy.local.stack import REPOSITORY
from deploy.local.streamed_text import StreamedText

if TYPE_CHECKING:
    from gatehouse.router.v1.generation_pb2 import Outcome
    from gatehouse.usage.v1.quota_pb2 import Quota, QuotaState
    from gatehouse.usage.v1.usage_record_pb2 import UsageRecord

QUESTION = "Why is the sky blue?"
_INSTRUCTIONS = "Answer in two or three sentences."
_MOST_OUTPUT_TOKENS = 300
_CALL_TIMEOUT_S = 60.0
_LEDGER_PATIENCE_S = 5.0
_LEDGER_INTERVAL_S = 0.02

# What to do here, where the error's own advice speaks to whoever calls.
_OR_UNSET = "unset OPENAI_API_KEY: then the sandbox provider answers."
_ABOUT_OPENAI: Mapping[str, str] = {
    "PROVIDER_KEY_REJECTED": f"Set OPENAI_API_KEY to a key that OpenAI accepts and run this again, or {_OR_UNSET}",
    "PROVIDER_PERMISSION_DENIED": f"Set OPENAI_API_KEY to a key that may use the model, or {_OR_UNSET}",
    "PROVIDER_BILLING": f"Add credit to the OpenAI account, or {_OR_UNSET}",
    "PROVIDER_UNREACHABLE": f"See whether the network is there and OPENAI_BASE_URL is right, or {_OR_UNSET}",
}


async def show_first_call(settings: LauncherSettings, layout: StateLayout, console: Console) -> bool:
    """Make the first call and show everything about it; whether it went well. What fails is shown, not raised."""
    try:
        sample = await ensure_sample_tenant(settings, layout)
        for note in sample.notes:
            console.print(f"[yellow]•[/] {escape(note)}", soft_wrap=True)
        async with user_client(layout) as client:
            console.print()
            console.print(Text.assemble(("You ask  ", "dim"), (QUESTION, "bold")))
            outcome = await _ask(client, sample.revision, console)
            records = await _records_of(client, outcome)
            quotas = await _quotas(client)
    except GatehouseError as error:
        _show_failure(error, settings, layout, console)
        return False
    except ProfileError as error:
        console.print(f"[bold red]The first call failed.[/] {escape(str(error))}", soft_wrap=True)
        return False
    console.print(call_table(outcome, pretend_price=outcome.served_by.provider == SANDBOX))
    console.print()
    console.print(Rule(Text("read back from the ledger", style="dim"), align="left", style="dim"))
    console.print(ledger_table(records, quotas))
    complete = len(records) >= len(outcome.attempts)
    if not complete:
        console.print("[bold red]The call's usage record is not in the ledger yet.[/] It waits in the router's spool.")
    _show_next_steps(settings, layout, console)
    return complete


async def _ask(client: AsyncClient, revision: int, console: Console) -> Outcome:
    """Stream the answer onto the console; how the call ended."""
    outcome: Outcome | None = None
    text = StreamedText(console)
    stream = client.stream(
        QUESTION,
        system=_INSTRUCTIONS,
        max_output_tokens=_MOST_OUTPUT_TOKENS,
        task="first-call",
        timeout=_CALL_TIMEOUT_S,
        revision=revision,
    )
    try:
        async with aclosing(stream) as events:
            async for event in events:
                if event.started is not None:
                    console.print(Text(f"{event.started.target.model} answers", style="dim"))
                    console.print()
                text.write(event.text)
                outcome = event.outcome or outcome
    finally:
        text.end()
    if outcome is None:
        # The server's part of the contract; without it there is nothing to show.
        raise GatehouseError("the stream ended without saying how")
    console.print()
    return outcome


async def _records_of(client: AsyncClient, outcome: Outcome) -> list[UsageRecord]:
    """The call's ledger records, the first attempt first; waits until there is one for each attempt."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + _LEDGER_PATIENCE_S
    while True:
        records = [record async for record in client.usage.records(TENANT, operation_id=outcome.operation_id)]
        if len(records) >= len(outcome.attempts) or clock() > deadline:
            return records[::-1]
        await asyncio.sleep(_LEDGER_INTERVAL_S)


async def _quotas(client: AsyncClient) -> list[tuple[Quota, QuotaState]]:
    found = []
    for name in (DAILY_TOKENS, MONTHLY_COST):
        try:
            found.append((await client.quotas.get(name), await client.quotas.state(name)))
        except NotFound:  # somebody deleted it this moment
            continue
    return found


def _show_failure(error: GatehouseError, settings: LauncherSettings, layout: StateLayout, console: Console) -> None:
    console.print()
    console.print("[bold red]The first call failed.[/]")
    console.print(failure_text(error, advice=_advice(error, settings)), soft_wrap=True)
    console.print(f"[dim]The logs are in[/] {escape(str(layout.logs))}", soft_wrap=True)


def _advice(error: GatehouseError, settings: LauncherSettings) -> str:
    """What to do about it at this keyboard; empty when the error's own advice is as good."""
    if settings.openai_api_key is None or error.metadata.get("provider", OPENAI) != OPENAI:
        return ""
    fields = {violation.field.rpartition(".")[2] for violation in error.field_violations}
    if "api_key" in fields:
        return "It was taken from OPENAI_API_KEY."
    if fields & {"origin", "base_url"}:
        return "It was taken from OPENAI_BASE_URL."
    return _ABOUT_OPENAI.get(error.reason, "")


def _show_next_steps(settings: LauncherSettings, layout: StateLayout, console: Console) -> None:
    console.print()
    console.print(Rule(Text(f"go on, in {REPOSITORY}", style="dim"), align="left", style="dim"))
    for step in next_steps(settings, layout, folder=REPOSITORY):
        console.print(f"[dim]# {escape(step.title)}[/]", soft_wrap=True)
        # As it is: nothing is wrapped or indented that is meant to be copied.
        console.print(step.command, markup=False, highlight=False, soft_wrap=True)
    console.print()
    console.print(f"[dim]State[/] {escape(str(layout.root))}  [dim]logs[/] {escape(str(layout.logs))}", soft_wrap=True)
