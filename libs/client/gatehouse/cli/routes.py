"""`gatehouse routes`: where the calls for each task go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.changes import change
from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import (
    DescriptionOption,
    DisplayNameOption,
    DryRunOption,
    LabelOption,
    LimitOption,
    VersionArgument,
    YesOption,
)
from gatehouse.cli.output import Column, show_messages
from gatehouse.cli.route_fields import changed_experiment, experiment_of, fields_from_file, fields_of
from gatehouse.cli.route_inputs import strategy_for
from gatehouse.cli.route_options import (
    ActiveOption,
    ArmOption,
    CacheOption,
    ExperimentOption,
    FallbackOption,
    FallbackRouteOption,
    FileOption,
    RunningOption,
    StrategyOption,
    TargetOption,
    TaskArgument,
    TierOption,
)
from gatehouse.cli.route_view import show_route, state, strategy, targets_text
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note, require_consent
from gatehouse.cli.versions import History, agree_to_rollback, show_versions

if TYPE_CHECKING:
    from gatehouse.providerconfig.v1.route_pb2 import Route

app = group(
    "routes",
    "Routes: where the calls for a task go. The route `default` serves every task without one of its own. A change is "
    "live within a second, and every version can be brought back.",
    "gatehouse routes create extraction --target openai/gpt-4o-mini --fallback platform/openai/gpt-4o-mini",
    "gatehouse routes create default --target openai/gpt-4o:weight=1 --target groq/llama:weight=3",
    "gatehouse explain --task extraction",
    "gatehouse routes rollback extraction 3",
)


@command(
    app,
    "create",
    "gatehouse routes create extraction --target openai/gpt-4o-mini --fallback platform/openai/gpt-4o-mini",
    "gatehouse routes create chat --target openai/gpt-4o:plans=pro+enterprise --target openai/gpt-4o-mini",
    "gatehouse routes create default --target openai/gpt-4o:weight=1 --target groq/llama:weight=3",
    "gatehouse routes create writing --target openai/gpt-4o --experiment cheaper "
    "--arm control=openai/gpt-4o@50 --arm mini=openai/gpt-4o-mini@50",
    "gatehouse routes create support --tier 'simple<=30=openai/gpt-4o-mini' --tier 'hard<=100=openai/gpt-4o'",
    "gatehouse routes create extraction --file route.yaml --dry-run",
)
def create(
    session: Session,
    *,
    task: TaskArgument,
    strategy_word: StrategyOption = None,
    target: TargetOption = None,
    fallback: FallbackOption = None,
    fallback_route: FallbackRouteOption = None,
    tier: TierOption = None,
    experiment: ExperimentOption = None,
    arm: ArmOption = None,
    cache: CacheOption = None,
    active: ActiveOption = None,
    display_name: DisplayNameOption = None,
    description: DescriptionOption = None,
    label: LabelOption = None,
    file: FileOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Say where the calls for a task go. Every provider and model it names must exist and be enabled."""
    name = _name(session, task)
    fields = fields_of(
        name,
        strategy_word=strategy_word,
        target=target,
        fallback=fallback,
        fallback_route=fallback_route,
        tier=tier,
        cache=cache,
        active=active,
        display_name=display_name,
        description=description,
        label=label,
    )
    if (made := experiment_of(name, experiment, arm)) is not None:
        fields["experiment"] = made
    if file is not None:
        fields = fields_from_file(name, file, fields)
    elif not target and not tier:
        raise typer.BadParameter(
            "say where calls go: --target openai/gpt-4o-mini, --tier … or --file", param_hint="--target"
        )
    fields.setdefault("strategy", strategy_for(fields.get("targets", ()), fields.get("tiers", ())))
    response = change(
        lambda request_id: session.client.routes.create(name, request_id=request_id, validate_only=dry_run, **fields)
    )
    show_route(response.route, session)
    short = name.rpartition("/")[2]
    note(
        "nothing was created: it could be"
        if dry_run
        else f"live at revision {response.revision}; see what it does: gatehouse explain --task {short}"
    )


@command(app, "list", "gatehouse routes list", "gatehouse routes list --json")
def list_routes(session: Session) -> None:
    """List your tenant's routes."""
    parent = session.parent(Owner.TENANT)
    columns: list[Column[Route]] = [
        Column("TASK", lambda route: route.name.rpartition("/")[2]),
        Column("STRATEGY", strategy),
        Column("STATE", state),
        Column("TARGETS", lambda route: _destinations(route, parent)),
        Column("FALLBACKS", lambda route: _fallbacks(route, parent)),
        Column("EXPERIMENT", lambda route: route.experiment.experiment_id),
    ]
    show_messages(
        session.client.routes.list(parent),
        columns,
        empty=f"{parent} has no routes: calls go to its default provider, then by priority. Make one: gatehouse routes "
        "create default --target openai/gpt-4o-mini",
        as_json=session.as_json,
    )


@command(app, "get", "gatehouse routes get extraction", "gatehouse routes get default --json")
def get(session: Session, *, task: TaskArgument) -> None:
    """Show one route with its targets."""
    show_route(session.client.routes.get(_name(session, task)), session)


@command(
    app,
    "update",
    "gatehouse routes update extraction --target openai/gpt-4o-mini --target groq/llama",
    "gatehouse routes update writing --pause-experiment",
    "gatehouse routes update writing --no-experiment",
    "gatehouse routes update extraction --inactive",
    "gatehouse routes update extraction --file route.yaml --dry-run",
)
def update(
    session: Session,
    *,
    task: TaskArgument,
    strategy_word: StrategyOption = None,
    target: TargetOption = None,
    fallback: FallbackOption = None,
    no_fallbacks: Annotated[bool, typer.Option("--no-fallbacks", help="Take all fallbacks away.")] = False,
    fallback_route: FallbackRouteOption = None,
    tier: TierOption = None,
    experiment: ExperimentOption = None,
    arm: ArmOption = None,
    running: RunningOption = None,
    no_experiment: Annotated[bool, typer.Option("--no-experiment", help="End the experiment and forget it.")] = False,
    cache: CacheOption = None,
    active: ActiveOption = None,
    display_name: DisplayNameOption = None,
    description: DescriptionOption = None,
    label: LabelOption = None,
    file: FileOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Change a route: exactly what is given. Targets, fallbacks, tiers, arms and labels are replaced as a whole."""
    name = _name(session, task)
    fields = fields_of(
        name,
        strategy_word=strategy_word,
        target=target,
        fallback=[] if no_fallbacks else fallback,
        fallback_route=fallback_route,
        tier=tier,
        cache=cache,
        active=active,
        display_name=display_name,
        description=description,
        label=label,
    )
    etag = ""
    if no_experiment:
        fields["experiment"] = None
    elif experiment is not None or arm or running is not None:
        fields["experiment"], etag = changed_experiment(session, name, experiment, arm, running=running)
    if file is not None:
        fields = fields_from_file(name, file, fields)
    if not fields:
        raise typer.BadParameter("say what to change: --target openai/gpt-4o-mini, --inactive, --file route.yaml, …")
    response = session.client.routes.update(name, etag=etag, validate_only=dry_run, **fields)
    show_route(response.route, session)
    note("nothing was changed: it could be" if dry_run else f"live at revision {response.revision}")


@command(app, "delete", "gatehouse routes delete extraction", "gatehouse routes delete extraction --yes")
def delete(session: Session, *, task: TaskArgument, yes: YesOption = False) -> None:
    """Delete a route: its task's calls then go by the route `default`, or to the default provider."""
    require_consent(yes=yes)
    name = _name(session, task)
    etag = "" if yes else session.client.routes.get(name).etag
    confirm(f"Delete {name} with its versions?", yes=yes)
    response = session.client.routes.delete(name, etag=etag)
    note(f"deleted {name}, live at revision {response.revision}")


@command(app, "versions", "gatehouse routes versions extraction", "gatehouse routes versions extraction --json")
def versions(session: Session, *, task: TaskArgument, limit: LimitOption = 20) -> None:
    """List what a route was, newest first, and what each version changed."""
    show_versions(_history(session, _name(session, task)), session, limit=limit)


@command(app, "rollback", "gatehouse routes rollback extraction 3", "gatehouse routes rollback extraction 3 --yes")
def rollback(session: Session, *, task: TaskArgument, version: VersionArgument, yes: YesOption = False) -> None:
    """Make a route what it was at an earlier version. That is a change like any other, and can be undone as one."""
    require_consent(yes=yes)
    name = _name(session, task)
    etag = ""
    if not yes:
        etag = session.client.routes.get(name).etag
        agree_to_rollback(_history(session, name), version, yes=yes)
    response = session.client.routes.rollback(name, version, etag=etag)
    show_route(response.route, session)
    note(f"live at revision {response.revision}")


def _name(session: Session, task: str) -> str:
    return session.name(Owner.TENANT, "routes", task)


def _history(session: Session, name: str) -> History:
    from gatehouse.configuration.shapes import ROUTE

    return History(
        name=name,
        shape=ROUTE,
        versions=session.client.routes.versions(name, page_size=100),
        resource=lambda version: version.route,
    )


def _destinations(route: Route, parent: str) -> str:
    if route.tiers:
        return "; ".join(f"<={tier.most_score}: {targets_text(tier.targets, parent)}" for tier in route.tiers)
    return targets_text(route.targets, parent)


def _fallbacks(route: Route, parent: str) -> str:
    further = route.fallback_route.rpartition("/")[2]
    return ", ".join(filter(None, (targets_text(route.fallbacks, parent), f"route {further}" if further else "")))
