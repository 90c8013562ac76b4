"""The candidates of one call as the rules put them up: each becomes a target or is rejected, once."""

from __future__ import annotations

from collections.abc import Sequence

from services.router.domain.configuration import Configuration, Model, Provider
from services.router.domain.health import HealthKey
from services.router.domain.route import RouteTarget
from services.router.domain.routing.causes import Cause, Rule
from services.router.domain.routing.route_plan import Obstacle, Rejected, Target
from services.router.domain.routing.usability import Judge

_UNKNOWN_PROVIDER = Obstacle(Cause.UNKNOWN_PROVIDER, "there is no such provider")
_NOT_IN_PROFILE = Obstacle(Cause.NOT_IN_PROFILE, "it is not among the providers of the active profile")
_NOT_ALLOWED = Obstacle(
    Cause.PLATFORM_NOT_ALLOWED, "it is the platform's, which the policy of a tenant with providers of its own rules out"
)
_NOT_CHOSEN = Obstacle(Cause.NOT_CHOSEN, "the request allows no fallback")
_OTHER_PLANS = Obstacle(Cause.PLAN_EXCLUDED, "the route keeps it for other plans")

# Each choice under these rules is somebody's, and whoever made it is told when another target takes its place. Under
# the others only a rule as a whole is: that a route has several targets is so that one can stand in for another.
_SINGLE_CHOICES = frozenset({Rule.EXPERIMENT, Rule.PREFERENCE, Rule.DEFAULT})
_WHOLE_RULES = frozenset({Rule.REQUEST, Rule.ROUTE, Rule.DEFAULT_ROUTE})
_AS_CONFIGURED = frozenset({Cause.PLAN_EXCLUDED, Cause.NOT_IN_PROFILE})


class Candidates:
    """Collects the targets of one plan.

    `only` are the providers that the active profile allows, empty for all; `platform_allowed` whether the platform's
    providers may serve; `plan` is the caller's pricing plan; `last_served` what served its session last. `embedding`:
    vectors are asked for, so that a provider's usual model is the one that makes them.
    """

    __slots__ = (
        "_common", "_early", "_embedding", "_excluded", "_judge", "_last_served", "_mendable", "_only", "_own", "_plan",
        "_platform_allowed", "_seen", "_users", "rejected", "targets",
    )  # fmt: skip

    def __init__(
        self,
        configuration: Configuration,
        judge: Judge,
        *,
        user: str | None,
        plan: str,
        only: frozenset[str],
        platform_allowed: bool,
        last_served: HealthKey | None,
        embedding: bool = False,
    ) -> None:
        self.targets: list[Target] = []
        self.rejected: list[Rejected] = []
        self._own = configuration.tenant.by_name
        self._common = configuration.platform.by_name
        self._judge = judge
        # Whose providers the caller may use beside its own: those of no user.
        self._users = (None, user)
        self._plan = plan
        self._only = only
        self._platform_allowed = platform_allowed
        self._last_served = last_served
        self._embedding = embedding
        self._seen: set[HealthKey] = set()
        # How many were rejected before there was a target.
        self._early = 0
        # What only a list of a route left out.
        self._excluded: dict[HealthKey, Rejected] = {}
        self._mendable: list[tuple[Rejected, Target]] = []

    def consider(self, provider: Provider, wanted: str, rule: Rule, reason: str) -> bool:
        """Put up a provider with the model `wanted`, or its usual one when that is empty; whether it is taken."""
        # As _model and _key say, but written out: this runs for every candidate of every call.
        if wanted:
            model = provider.models.get(wanted)
        else:
            model = provider.usual_embedder if self._embedding else provider.usual_model
        key = (provider.name, model.id if model is not None else wanted, provider.key)
        if key in self._seen:
            return False
        self._seen.add(key)
        if not self._platform_allowed and provider.owner.tenant is None:
            obstacle: Obstacle | None = _NOT_ALLOWED
        elif self._only and provider.name not in self._only:
            obstacle = _NOT_IN_PROFILE
        else:
            obstacle = self._judge.obstacle(provider, model, wanted, key)
        if obstacle is None:
            assert model is not None  # noqa: S101 - else there is an obstacle
            if not self.targets:
                self._early = len(self.rejected)
            self.targets.append(Target(provider, model, rule, reason, key))
            return True
        rejected = Rejected(provider.name, provider, key[1], rule, reason, obstacle)
        self.rejected.append(rejected)
        if obstacle.mendable and model is not None:
            self._mendable.append((rejected, Target(provider, model, rule, reason, key)))
        return False

    def choose(self, name: str, wanted: str, rule: Rule, reason: str) -> bool:
        """Put up a provider by its resource name; whether it is a target now."""
        provider = self._own.get(name) or self._common.get(name)
        if provider is not None and provider.owner.user in self._users:
            if self._excluded:
                # By an arm of an experiment: that it is not for this caller takes no choice of its own away.
                self._readmit(self._key(provider, wanted))
            return self.consider(provider, wanted, rule, reason)
        if (key := (name, wanted, "")) not in self._seen:
            self._seen.add(key)
            self.rejected.append(Rejected(name, None, wanted, rule, reason, _UNKNOWN_PROVIDER))
        return False

    def enter_list(self, listed: Sequence[RouteTarget], rule: Rule, reason: str) -> list[int]:
        """Put up a list of a route; the places in it of those that became targets."""
        kept: list[int] = []
        for place, each in enumerate(listed):
            if each.plans or each.requires or self._excluded:
                taken = self._enter_restricted(each, rule, reason)
            else:
                taken = self.choose(each.provider, each.model, rule, reason)
            if taken:
                kept.append(place)
        return kept

    def keep_session(self, start: int) -> None:
        """Put the target that served the session last before those that one rule put up from `start` on."""
        last, targets = self._last_served, self.targets
        if last is None:
            return
        for place in range(start, len(targets)):
            if targets[place].health_key == last:
                targets.insert(start, targets.pop(place))
                return

    def take_mendable(self) -> bool:
        """Without any target, try what rests for a reason its owner may have mended; whether there is any."""
        if self.targets or not self._mendable:
            return False
        taken = {id(rejected) for rejected, _ in self._mendable}
        self.rejected = [each for each in self.rejected if id(each) not in taken]
        self.targets = [target for _, target in self._mendable]
        self._early = 0
        return True

    def keep_first(self) -> None:
        """Leave only the first target, for a request without fallback."""
        for each in self.targets[1:]:
            self.rejected.append(
                Rejected(each.provider.name, each.provider, each.model.id, each.rule, each.reason, _NOT_CHOSEN)
            )
        del self.targets[1:]

    def passed_over(self) -> tuple[Rejected, ...]:
        """What would have come first, and why it did not; not what is left out because it was configured so."""
        if not self.targets or not self._early:
            return ()
        first, whole = self.targets[0].rule, set(_WHOLE_RULES)
        whole.discard(first)
        told: list[Rejected] = []
        for each in self.rejected[: self._early]:
            if each.cause in _AS_CONFIGURED:
                continue
            if each.rule in _SINGLE_CHOICES:
                told.append(each)
            elif each.rule in whole:
                whole.discard(each.rule)
                told.append(each)
        return tuple(told)

    def _enter_restricted(self, listed: RouteTarget, rule: Rule, reason: str) -> bool:
        provider = self._own.get(listed.provider) or self._common.get(listed.provider)
        if provider is None or provider.owner.user not in self._users:
            return self.choose(listed.provider, listed.model, rule, reason)
        model, key = self._model(provider, listed.model), self._key(provider, listed.model)
        if key in self._seen and key not in self._excluded:
            return False
        obstacle = _OTHER_PLANS if listed.plans and self._plan not in listed.plans else None
        if obstacle is None and model is not None:
            obstacle = self._judge.lacking(provider, model, listed.requires)
        if obstacle is None:
            self._readmit(key)
            return self.consider(provider, listed.model, rule, reason)
        if key not in self._seen:
            self._seen.add(key)
            rejected = Rejected(provider.name, provider, key[1], rule, reason, obstacle)
            self.rejected.append(rejected)
            self._excluded[key] = rejected
        return False

    def _readmit(self, key: HealthKey) -> None:
        """What one list of a route left out is put up once more."""
        earlier = self._excluded.pop(key, None)
        if earlier is not None:
            place = next(place for place, each in enumerate(self.rejected) if each is earlier)
            del self.rejected[place]
            if place < self._early:
                self._early -= 1
            self._seen.discard(key)

    def _model(self, provider: Provider, wanted: str) -> Model | None:
        if wanted:
            return provider.models.get(wanted)
        return provider.usual_embedder if self._embedding else provider.usual_model

    def _key(self, provider: Provider, wanted: str) -> HealthKey:
        model = self._model(provider, wanted)
        return provider.name, model.id if model is not None else wanted, provider.key
