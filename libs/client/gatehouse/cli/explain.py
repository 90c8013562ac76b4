"""`gatehouse explain`: which targets a call would try, and why the others are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.command import command
from gatehouse.cli.inputs import LabelOption, labels_of
from gatehouse.cli.output import Column, as_document, print_json, short, show_table
from gatehouse.cli.session import Session
from gatehouse.cli.terminal import note

if TYPE_CHECKING:
    from gatehouse.operations.generation import GenerationOptions
    from gatehouse.router.v1.generation_pb2 import Target
    from gatehouse.router.v1.generation_service_pb2 import RejectedTarget


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(app, "explain", "gatehouse explain", "gatehouse explain --model gpt-4o-mini 'Why is the sky blue?'")(
        explain
    )


def explain(
    session: Session,
    *,
    prompt: Annotated[str | None, typer.Argument(metavar="[PROMPT]", help="What would be asked.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model a call would name.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="The provider a call would name.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="What the call would be for.")] = None,
    max_output_tokens: Annotated[int | None, typer.Option("--max-output-tokens", help="As the call would say.")] = None,
    label: LabelOption = None,
) -> None:
    """Show how a call would be routed: the targets in order, and why each other one is left out. Nothing is called."""
    options: GenerationOptions = {"labels": labels_of(label)}
    if model is not None:
        options["model"] = model
    if provider is not None:
        options["provider"] = provider
    if task is not None:
        options["task"] = task
    if max_output_tokens is not None:
        options["max_output_tokens"] = max_output_tokens
    plan = session.client.explain(prompt, **options)
    if session.as_json:
        print_json(as_document(plan))
        return
    targets: list[Column[tuple[int, Target]]] = [
        Column("TRY", lambda row: str(row[0]), right=True),
        Column("PROVIDER", lambda row: short(row[1].provider)),
        Column("MODEL", lambda row: row[1].model),
        Column("KEY", lambda row: short(row[1].key) or "none"),
        Column("RULE", lambda row: row[1].rule),
        Column("WHY", lambda row: row[1].reason),
    ]
    show_table(enumerate(plan.targets, start=1), targets, empty="no target can serve this call")
    if plan.rejected:
        rejected: list[Column[RejectedTarget]] = [
            Column("PROVIDER", lambda row: short(row.target.provider)),
            Column("MODEL", lambda row: row.target.model),
            Column("CAUSE", lambda row: row.cause),
            Column("WHY", lambda row: row.description),
        ]
        show_table(plan.rejected, rejected, empty="", title="\nleft out")
    note(f"configuration revision {plan.revision}")
