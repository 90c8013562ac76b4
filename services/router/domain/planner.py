"""Plans as the router makes them: the configuration it holds, the health it has seen, the session's last target."""

from __future__ import annotations

import hashlib
import random
import time

from libs.core.resource_names import Owner
from services.router.domain.admission import Admission
from services.router.domain.affinity import SessionAffinity
from services.router.domain.call_context import CallContext
from services.router.domain.call_request import CallRequest, session_of
from services.router.domain.configuration import Configuration
from services.router.domain.health import HealthKey
from services.router.domain.ports import ConfigSource
from services.router.domain.routing.plan import Circumstances, plan_route
from services.router.domain.routing.route_plan import RoutePlan
from services.router.domain.routing.usability import ProviderTypes

# Part of the time left, so that the caller learns what was waited for and not just that time ran out.
_SHARE_FOR_CONFIGURATION = 0.9


class Planner:
    """Makes the plan of each call. One instance serves all calls of a router, from one event loop."""

    def __init__(
        self,
        *,
        config: ConfigSource,
        types: ProviderTypes,
        admission: Admission,
        affinity: SessionAffinity,
        chance: random.Random,
    ) -> None:
        self.admission = admission
        self.affinity = affinity
        self.types = types
        self._config = config
        self._chance = chance

    def configuration_age_s(self) -> float:
        """Seconds since the configuration was last known to be current."""
        return self._config.age_s()

    async def configuration(self, context: CallContext) -> Configuration:
        """What the call is planned with. Raises Unavailable when it does not arrive in time."""
        configuration = None if context.revision is not None else self._config.held(context.tenant)
        if configuration is not None:
            return configuration
        within_s = (context.deadline - time.monotonic()) * _SHARE_FOR_CONFIGURATION
        if context.revision is not None:
            return await self._config.reached(context.tenant, context.revision, within_s=within_s)
        return await self._config.arrived(context.tenant, within_s=within_s)

    async def plan(self, request: CallRequest, context: CallContext, *, streaming: bool) -> RoutePlan:
        """The plan of a call as of now. Raises as `plan_route` and `configuration` do."""
        configuration = await self.configuration(context)
        last_served = None
        if session := session_of(request):
            last_served = self.affinity.last(context.tenant, context.user, session)
            seed = _seed(context.tenant, context.user, session)
        else:
            seed = self._chance.getrandbits(64)
        circumstances = self.circumstances(seed=seed, last_served=last_served)
        caller = Owner(context.tenant, context.user)
        return plan_route(request, caller, configuration, circumstances, plan=context.plan, streaming=streaming)

    def circumstances(self, *, seed: int, last_served: HealthKey | None = None) -> Circumstances:
        """What a plan depends on, as of now."""
        return Circumstances(
            health=self.admission.health,
            limits=self.admission.limits,
            types=self.types,
            now=time.monotonic(),
            seed=seed,
            last_served=last_served,
        )


def _seed(tenant: str, user: str, session: str) -> int:
    """The same for a session in every router."""
    digest = hashlib.blake2b(f"{tenant}\n{user}\n{session}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
