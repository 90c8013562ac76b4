"""The fields of a route, as options or a file give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from gatehouse.cli.inputs import labels_of
from gatehouse.cli.route_inputs import arms_of, cache_of, targets_of, tiers_of
from gatehouse.cli.route_options import StrategyWord
from gatehouse.cli.session import Session

if TYPE_CHECKING:
    from gatehouse.operations.routes import RouteFields
    from gatehouse.providerconfig.v1.route_pb2 import Experiment


def fields_of(
    name: str,
    *,
    strategy_word: StrategyWord | None,
    target: Sequence[str] | None,
    fallback: Sequence[str] | None,
    fallback_route: str | None,
    tier: Sequence[str] | None,
    cache: str | None,
    **others: Any,
) -> RouteFields:
    """The fields that the options set for the route `name`. Raises BadParameter."""
    parent = name.rpartition("/routes/")[0]
    fields: RouteFields = {}
    if strategy_word is not None:
        fields["strategy"] = strategy_word.value
    if target:
        fields["targets"] = targets_of(target, parent, "--target")
    if fallback is not None:
        fields["fallbacks"] = targets_of(fallback, parent, "--fallback")
    if fallback_route is not None:
        bare = fallback_route and "/" not in fallback_route
        fields["fallback_route"] = f"{parent}/routes/{fallback_route}" if bare else fallback_route
    if tier:
        fields["tiers"] = tiers_of(tier, parent)
    if cache is not None:
        fields["cache"] = cache_of(cache)
    if others["active"] is not None:
        fields["active"] = others["active"]
    if others["display_name"] is not None:
        fields["display_name"] = others["display_name"]
    if others["description"] is not None:
        fields["description"] = others["description"]
    if others["label"]:
        fields["labels"] = labels_of(others["label"])
    return fields


def experiment_of(name: str, experiment: str | None, arms: Sequence[str] | None) -> Experiment | None:
    """A new experiment; None when none is given. Raises BadParameter."""
    from gatehouse.providerconfig.v1.route_pb2 import Experiment

    if experiment is None and not arms:
        return None
    if experiment is None or not arms:
        raise typer.BadParameter(
            "an experiment needs both: --experiment cheaper --arm control=openai/gpt-4o@50 --arm …",
            param_hint="--experiment",
        )
    parent = name.rpartition("/routes/")[0]
    return Experiment(experiment_id=experiment, arms=arms_of(arms, parent))


def changed_experiment(
    session: Session, name: str, experiment: str | None, arms: Sequence[str] | None, *, running: bool | None
) -> tuple[Experiment, str]:
    """The experiment after the change, and the etag of the route it was taken from."""
    from gatehouse.providerconfig.v1.route_pb2 import Experiment

    route = session.client.routes.get(name)
    present = Experiment()
    present.CopyFrom(route.experiment)
    if not route.HasField("experiment") and (experiment is None or not arms):
        raise typer.BadParameter(
            f"{name} has no experiment; begin one: --experiment cheaper --arm control=openai/gpt-4o@50 --arm …",
            param_hint="--experiment",
        )
    if experiment is not None:
        present.experiment_id = experiment
    if arms:
        del present.arms[:]
        present.arms.extend(arms_of(arms, name.rpartition("/routes/")[0]))
    if running is not None:
        present.active = running
    return present, route.etag


def fields_from_file(name: str, file: Path, others: RouteFields) -> RouteFields:
    """All fields of a route, as a file has them. Raises BadParameter when options say something as well."""
    from gatehouse.cli.files import read_file, told_by_line
    from gatehouse.configuration.document import read_route
    from gatehouse.configuration.fields import all_fields
    from gatehouse.configuration.shapes import ROUTE

    if others:
        raise typer.BadParameter("the file says it all: leave out the other options", param_hint="--file")
    parent, _, task = name.rpartition("/routes/")
    content = read_file(file, "--file")
    with told_by_line(file):
        route = read_route(content, task, parent)
    return cast("RouteFields", all_fields(route, ROUTE))
