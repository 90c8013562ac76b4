"""What preferences and profiles share: choices, by task and for all else, as they are given and shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.inputs import choice_of
from gatehouse.cli.output import Column, show_table
from gatehouse.references import short_provider

if TYPE_CHECKING:
    from gatehouse.providerconfig.v1.preference_pb2 import Choice, TaskChoice

PreferOption = Annotated[
    str | None,
    typer.Option(
        "--prefer",
        metavar="PROVIDER[/MODEL]",
        help="For all tasks that have no choice of their own; '' for none. platform/PROVIDER is the platform's.",
    ),
]
ForTaskOption = Annotated[
    list[str] | None,
    typer.Option(
        "--for-task",
        metavar="TASK=PROVIDER[/MODEL]",
        help="For one task; TASK= takes it away. May be given more than once.",
    ),
]


def choice(text: str, parent: str, hint: str) -> Choice:
    """`openai/gpt-4o`. Raises BadParameter."""
    from gatehouse.providerconfig.v1.preference_pb2 import Choice

    provider, model = choice_of(text, parent, hint)
    return Choice(provider=provider, model=model)


def preferred(text: str, parent: str) -> Choice | None:
    """What --prefer says; None for none. Raises BadParameter."""
    return choice(text, parent, "--prefer") if text else None


def task_choices(pairs: Sequence[str], present: Iterable[TaskChoice], parent: str) -> dict[str, Choice]:
    """The choices by task after `pairs` (`task=openai/gpt-4o`, `task=`) have been laid over what is there."""
    choices = {each.task: each.choice for each in present}
    for pair in pairs:
        task, equals, text = pair.partition("=")
        if not task or not equals:
            raise typer.BadParameter(f"{pair!r} is not TASK=PROVIDER[/MODEL]", param_hint="--for-task")
        if text:
            choices[task] = choice(text, parent, "--for-task")
        else:
            choices.pop(task, None)
    return choices


def choice_text(chosen: Choice, parent: str) -> str:
    """`openai/gpt-4o-mini`; empty for none."""
    if not chosen.provider:
        return ""
    return "/".join(filter(None, (short_provider(chosen.provider, parent), chosen.model)))


def show_choices(preferred: str, tasks: Iterable[TaskChoice], parent: str, *, empty: str) -> None:
    """The choices as a table, that for all else last."""
    rows = [(each.task, choice_text(each.choice, parent)) for each in sorted(tasks, key=lambda each: each.task)]
    if preferred:
        rows.append(("all others" if rows else "all", preferred))
    columns: list[Column[tuple[str, str]]] = [
        Column("TASK", lambda row: row[0]),
        Column("SERVED BY", lambda row: row[1]),
    ]
    show_table(rows, columns, empty=empty)
