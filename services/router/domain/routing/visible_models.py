"""The models a caller may see, and whether a call that names one would be sent. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from libs.core.resource_names import Owner
from services.router.domain.configuration import Configuration, Fleet, Model, Provider
from services.router.domain.generation import Generation
from services.router.domain.routing.candidates import Candidates
from services.router.domain.routing.causes import Rule
from services.router.domain.routing.plan import Circumstances
from services.router.domain.routing.route_plan import Obstacle
from services.router.domain.routing.usability import Judge
from services.router.domain.tokens import measure

Place = tuple[int, int, str, str]
"""Where a model stands in the list: the rank of its provider, its priority, its name, the model's id."""

_NO_REQUEST = Generation(messages=())


class VisibleModel(NamedTuple):
    """A model of a provider that the caller may see; `obstacle` is None where a call that names it would be sent.

    `abilities` is the mask of what it can do through its provider's API.
    """

    place: Place
    provider: Provider
    model: Model
    abilities: int
    obstacle: Obstacle | None


def visible_models(
    caller: Owner, configuration: Configuration, circumstances: Circumstances, *, after: Place | None
) -> Iterator[VisibleModel]:
    """The models of the providers the caller may see, by provider in the order of selection, then by id.

    Those that come `after` a place, all for None. Each is judged when it is asked for: a tenant can have thousands.
    """
    tenant, platform = configuration.tenant, configuration.platform.fleet
    # With or without providers: the ranks of the others must stay as they are from page to page.
    own, profile = (tenant.fleet_of(caller.user), tenant.fleet), tenant.active_profile(caller.user)
    judge = Judge(
        _NO_REQUEST,
        measure(_NO_REQUEST),
        streaming=False,
        types=circumstances.types,
        health=circumstances.health,
        limits=circumstances.limits,
        now=circumstances.now,
    )
    candidates = Candidates(
        configuration,
        judge,
        user=caller.user,
        plan="",
        only=profile.providers if profile is not None else frozenset(),
        platform_allowed=tenant.allows_platform(caller.user),
        last_served=None,
    )
    for rank, provider in (*_ranked(own, 0), *_ranked((platform,), 2 * len(own))):
        of_provider = rank, provider.priority, provider.name
        if after is not None and of_provider < after[:3]:
            continue
        for model_id, model in sorted(provider.models.items()):
            place = (*of_provider, model_id)
            if after is not None and place <= after:
                continue
            before = len(candidates.rejected)
            candidates.consider(provider, model_id, Rule.REQUEST, "")
            obstacle = candidates.rejected[-1].obstacle if len(candidates.rejected) > before else None
            # Named by itself, a target that rests is tried all the same.
            obstacle = None if obstacle is not None and obstacle.mendable else obstacle
            abilities = model.capabilities.mask
            # Of a type that is not there any more nobody can say what it carries.
            if provider.type in circumstances.types.known:
                abilities &= circumstances.types.features_of(provider, model)
            yield VisibleModel(place, provider, model, abilities, obstacle)


def _ranked(fleets: Sequence[Fleet], start: int) -> Iterator[tuple[int, Provider]]:
    """The default providers, then the others, each with a rank of the list they are in."""
    for rank, fleet in enumerate(fleets, start):
        if fleet.default is not None:
            yield rank, fleet.default
    for rank, fleet in enumerate(fleets, start + len(fleets)):
        for provider in fleet.providers:
            if provider is not fleet.default:
                yield rank, provider
