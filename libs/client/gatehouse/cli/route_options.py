"""The options of commands about routes."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer


class StrategyWord(enum.StrEnum):
    """How targets are put in order."""

    PRIORITY = "priority"
    WEIGHTED = "weighted"
    LOWEST_COST = "lowest_cost"
    LOWEST_LATENCY = "lowest_latency"
    LEAST_BUSY = "least_busy"
    COMPLEXITY = "complexity"


TaskArgument = Annotated[
    str, typer.Argument(metavar="TASK", help="The task, `default` for all others, or the route's full resource name.")
]
StrategyOption = Annotated[
    StrategyWord | None,
    typer.Option(
        "--strategy",
        help="priority: in the order given. weighted: by chance, by weight. lowest_cost, lowest_latency, least_busy: "
        "by what is so for this call. complexity: by tiers. \\[default: complexity with --tier, weighted with weights, "
        "else priority]",
    ),
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="TARGET",
        help="PROVIDER/MODEL; PROVIDER alone is its default model, platform/PROVIDER/MODEL the platform's. Options "
        "follow a colon, with commas between them: weight=3, plans=pro+enterprise, requires=tools+images. May be given "
        "more than once, in order.",
    ),
]
FallbackOption = Annotated[
    list[str] | None,
    typer.Option("--fallback", metavar="TARGET", help="Tried when no target serves, in order; written as --target."),
]
FallbackRouteOption = Annotated[
    str | None,
    typer.Option(
        "--fallback-route", metavar="TASK", help="Another route to go on with after all of these; '' for none."
    ),
]
TierOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tier",
        metavar="ID<=SCORE=TARGET",
        help="For complexity: calls that score at most so much, 0 to 100, go there; the last tier takes 100. Given "
        "again, a tier gets one more target. Quote it: shells take < for something else.",
    ),
]
ExperimentOption = Annotated[
    str | None, typer.Option("--experiment", metavar="ID", help="Compare targets: an id for it, with --arm.")
]
ArmOption = Annotated[
    list[str] | None,
    typer.Option(
        "--arm",
        metavar="ARM=TARGET@PERCENT",
        help="An arm of the experiment and its part of the users, each of whom stays with their arm.",
    ),
]
RunningOption = Annotated[
    bool | None, typer.Option("--run-experiment/--pause-experiment", help="Whether the experiment runs.")
]
CacheOption = Annotated[
    str | None,
    typer.Option(
        "--cache", metavar="TIME", help="How long answers may be kept, 1h; or off. Stored; nothing is kept yet."
    ),
]
ActiveOption = Annotated[
    bool | None,
    typer.Option(
        "--active/--inactive", help="Whether calls go by it. An inactive one may name what does not exist yet."
    ),
]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="The whole route as YAML, written as below `routes: TASK:` of `gatehouse config export`; - is standard "
        "input. What it leaves out has its default.",
    ),
]
