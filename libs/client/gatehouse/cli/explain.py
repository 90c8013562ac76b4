"""`gatehouse explain` and `gatehouse estimate`: where a call would go, why, and what it would cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from gatehouse.cli.call_inputs import (
    ModelOption,
    OutputTokensOption,
    PromptArgument,
    ProviderOption,
    RevisionOption,
    SessionOption,
    SystemOption,
    TaskOption,
    call_options,
    prompt_of,
)
from gatehouse.cli.command import command
from gatehouse.cli.inputs import LabelOption
from gatehouse.cli.output import Column, as_document, cost, milliseconds, print_json, short, show_lines, show_table
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import note
from gatehouse.money import nano_usd

if TYPE_CHECKING:
    from google.type.money_pb2 import Money

    from gatehouse.router.v1.generation_pb2 import RejectedTarget, RouteTrace, Target
    from gatehouse.router.v1.generation_service_pb2 import CostEstimate

# The router knows of changes within a second; more means that it has lost provider_config.
_OLD_NS = 5_000_000_000


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    command(
        app,
        "explain",
        "gatehouse explain",
        "gatehouse explain --task extraction",
        "gatehouse explain --model gpt-4o-mini 'Why is the sky blue?'",
        "git diff | gatehouse explain --task review -",
    )(explain)
    command(
        app,
        "estimate",
        "gatehouse estimate 'Why is the sky blue?'",
        "gatehouse estimate --task extraction --max-output-tokens 500 - < report.txt",
    )(estimate)


def explain(
    session: Session,
    *,
    prompt: PromptArgument = None,
    model: ModelOption = None,
    provider: ProviderOption = None,
    task: TaskOption = None,
    conversation: SessionOption = None,
    system: SystemOption = None,
    max_output_tokens: OutputTokensOption = None,
    revision: RevisionOption = None,
    label: LabelOption = None,
) -> None:
    """Show how a call would be routed: the targets in order, and why each other one is left out. Nothing is called.

    It is the call of --user: preferences, profile and plan are that user's, as the token says. Quotas are looked at
    only when a call is made; one of cost also keeps models out whose price is not known.
    """
    options = call_options(
        session.parent(Owner.TENANT),
        model=model,
        provider=provider,
        task=task,
        session=conversation,
        system=system,
        max_output_tokens=max_output_tokens,
        revision=revision,
        label=label,
    )
    plan = session.client.explain(prompt_of(prompt), **options)
    if session.as_json:
        print_json(as_document(plan))
        return
    show_trace(plan.trace)
    for warning in plan.warnings:
        note(f"warning: {warning}", "yellow")


def estimate(
    session: Session,
    *,
    prompt: PromptArgument = None,
    model: ModelOption = None,
    provider: ProviderOption = None,
    task: TaskOption = None,
    conversation: SessionOption = None,
    system: SystemOption = None,
    max_output_tokens: OutputTokensOption = None,
    revision: RevisionOption = None,
    label: LabelOption = None,
) -> None:
    """Show what a call would cost at each target it could go to: likely, and at most. Nothing is called."""
    options = call_options(
        session.parent(Owner.TENANT),
        model=model,
        provider=provider,
        task=task,
        session=conversation,
        system=system,
        max_output_tokens=max_output_tokens,
        revision=revision,
        label=label,
    )
    response = session.client.estimate(prompt_of(prompt), **options)
    if session.as_json:
        print_json(as_document(response))
        return
    columns: list[Column[tuple[int, CostEstimate]]] = [
        Column("TRY", lambda row: str(row[0]), right=True),
        Column("PROVIDER", lambda row: short(row[1].target.provider)),
        Column("MODEL", lambda row: row[1].target.model),
        Column("LIKELY IN", lambda row: f"{row[1].likely_input_tokens:,}", right=True),
        Column("OUT", lambda row: f"{row[1].likely_output_tokens:,}", right=True),
        Column("COST", lambda row: _money(row[1].likely_cost, known=row[1].HasField("likely_cost")), right=True),
        Column("AT MOST IN", lambda row: f"{row[1].most_input_tokens:,}", right=True),
        Column("OUT", lambda row: f"{row[1].most_output_tokens:,}", right=True),
        Column("COST", lambda row: _money(row[1].most_cost, known=row[1].HasField("most_cost")), right=True),
    ]
    show_table(
        enumerate(response.estimates, start=1),
        columns,
        empty="no target can serve this call: `gatehouse explain` says why",
    )
    for text, models in _assumptions(response.estimates).items():
        of = "" if len(models) == len(response.estimates) else f" ({', '.join(models)})"
        note(f"assumed: {text}{of}")


def _assumptions(estimates: Iterable[CostEstimate]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in estimates:
        for text in each.assumptions:
            found.setdefault(text, []).append(f"{short(each.target.provider)} / {each.target.model}")
    return found


def show_trace(trace: RouteTrace) -> None:
    """How targets were chosen: the plan, what was left out, and what it rests on."""
    targets: list[Column[tuple[int, Target]]] = [
        Column("TRY", lambda row: str(row[0]), right=True),
        Column("PROVIDER", lambda row: short(row[1].provider)),
        Column("MODEL", lambda row: row[1].model),
        Column("KEY", lambda row: short(row[1].key) or "none"),
        Column("RULE", lambda row: row[1].rule),
        Column("WHY", lambda row: row[1].reason),
        Column(
            "COSTS ABOUT",
            lambda row: _money(row[1].estimated_cost, known=row[1].HasField("estimated_cost")),
            right=True,
        ),
    ]
    show_table(enumerate(trace.targets, start=1), targets, empty="no target can serve this call")
    if trace.rejected:
        rejected: list[Column[RejectedTarget]] = [
            Column("PROVIDER", lambda row: short(row.target.provider)),
            Column("MODEL", lambda row: row.target.model),
            Column("CAUSE", lambda row: row.cause),
            Column("WHY", lambda row: row.description),
        ]
        show_table(trace.rejected, rejected, empty="", title="\nleft out")
    show_lines(
        [
            ("route", trace.route),
            ("experiment", trace.experiment),
            ("arm", trace.arm),
            ("profile", trace.profile),
            ("complexity", _complexity(trace)),
            ("revision", str(trace.revision) if trace.revision else ""),
            ("configuration", _age(trace)),
        ],
        title="\nresting on",
    )


def _complexity(trace: RouteTrace) -> str:
    if not trace.HasField("complexity"):
        return ""
    score = trace.complexity
    parts = [
        f"{name.replace('_', ' ')} {points}"
        for name in ("length", "tools", "code", "images", "json_schema")
        if (points := getattr(score, name))
    ]
    return f"{score.score} of 100 ({' + '.join(parts) or 'nothing counts'}), tier {score.tier}"


def _age(trace: RouteTrace) -> str:
    if not trace.HasField("configuration_age"):
        return ""
    age = trace.configuration_age.ToNanoseconds()
    stale = ": the router does not reach provider_config" if age > _OLD_NS else ""
    return f"known to be current {milliseconds(age)} ago{stale}"


def _money(money: Money, *, known: bool) -> str:
    return cost(nano_usd(money) if known else None)
