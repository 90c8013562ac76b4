"""`gatehouse experiments`: how the arms of an experiment do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import SinceOption, UntilOption, time_of
from gatehouse.cli.output import Column, as_document, cost, print_json, show_table
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import note
from gatehouse.money import format_nano_usd, nano_usd
from gatehouse.references import ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from gatehouse.usage.v1.usage_service_pb2 import Estimate, ExperimentArmStats

app = group(
    "experiments",
    "Experiments on routes: which arm does better, and whether that is more than chance. For admins.",
    "gatehouse routes update writing --experiment cheaper --arm control=openai/gpt-4o@50 "
    "--arm mini=openai/gpt-4o-mini@50",
    "gatehouse experiments stats writing/cheaper",
)


@command(
    app,
    "stats",
    "gatehouse experiments stats writing/cheaper",
    "gatehouse experiments stats writing/cheaper --since 7d --json",
)
def stats(
    session: Session,
    *,
    experiment: Annotated[
        str,
        typer.Argument(metavar="TASK/EXPERIMENT", help="The task's route and the experiment's id, or its full name."),
    ],
    since: SinceOption = None,
    until: UntilOption = None,
) -> None:
    """Compare the arms of an experiment: success, time and cost of a call, each with its 95 % confidence interval."""
    name = _name(session, experiment)
    response = session.client.usage.experiment(name, start=time_of(since, "--since"), end=time_of(until, "--until"))
    if session.as_json:
        print_json(as_document(response))
        return
    columns: list[Column[ExperimentArmStats]] = [
        Column("ARM", lambda arm: arm.arm),
        Column("CALLS", lambda arm: f"{arm.calls:,}", right=True),
        Column("SUCCEEDED", lambda arm: _interval(arm.success_rate, _percent), right=True),
        Column("TOOK", lambda arm: _given(arm, "duration_s", _seconds), right=True),
        Column("FIRST CONTENT", lambda arm: _given(arm, "first_content_s", _seconds), right=True),
        Column("COST OF A CALL", lambda arm: _given(arm, "cost_nano_usd", _dollars), right=True),
        Column("TOTAL", lambda arm: cost(nano_usd(arm.total_cost)), right=True),
        Column("UNPRICED", lambda arm: f"{arm.unpriced_calls:,}", right=True),
    ]
    show_table(
        response.arms,
        columns,
        empty=f"no calls of {name} in this time; what runs: gatehouse routes list; whose arm you are: "
        f"gatehouse explain --task {name.split('/')[3]}",
    )
    if response.arms:
        note("in parentheses: 95 % confidence. Where the ranges of two arms do not meet, the difference is no chance")


def _name(session: Session, experiment: str) -> str:
    task, slash, experiment_id = experiment.partition("/")
    if slash and ID.fullmatch(task) and ID.fullmatch(experiment_id):
        return f"{session.parent(Owner.TENANT)}/routes/{task}/experiments/{experiment_id}"
    parts = experiment.split("/")
    if parts[::2] == ["tenants", "routes", "experiments"] and all(parts) and len(parts) == 6:  # noqa: PLR2004 - names and ids
        return experiment
    raise typer.BadParameter(
        "give TASK/EXPERIMENT, such as writing/cheaper: `gatehouse routes list` shows both",
        param_hint="TASK/EXPERIMENT",
    )


def _given(arm: ExperimentArmStats, field: str, shown: Callable[[float], str]) -> str:
    return _interval(getattr(arm, field), shown) if arm.HasField(field) else "-"  # type: ignore[arg-type]  # one of its fields


def _interval(estimate: Estimate, shown: Callable[[float], str]) -> str:
    """`97.1 % (95.2 % to 98.3 %)`."""
    if not (estimate.HasField("low") and estimate.HasField("high")):
        return shown(estimate.value)
    return f"{shown(estimate.value)} ({shown(estimate.low)} to {shown(estimate.high)})"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def _dollars(value: float) -> str:
    # An average: digits beyond the micro-dollar say nothing.
    return format_nano_usd(round(value / 1000) * 1000)
