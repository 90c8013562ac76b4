"""Whether a target can serve a call, and if not, what stands in the way first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from services.router.domain.call_request import CallRequest
from services.router.domain.condition import Pause
from services.router.domain.configuration import Model, Provider
from services.router.domain.embedding import Embedding
from services.router.domain.errors import Reason
from services.router.domain.features import ALL, words_for
from services.router.domain.health import HealthKey, TargetHealth
from services.router.domain.limits import ProviderLimiter
from services.router.domain.needs import needs_of
from services.router.domain.routing.causes import Cause
from services.router.domain.routing.route_plan import Obstacle, input_limit, output_limit
from services.router.domain.tokens import RequestSize

# Each takes about 200 bytes. Thousands of tenants have the same models with the same options.
_MOST_REMEMBERED = 16_384
_FeaturesOf = Callable[[Mapping[str, object], str], int]
_NO_FEATURES: Mapping[str, _FeaturesOf] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTypes:
    """Which provider types this router speaks, which of them cannot do without a key, and what each can carry.

    `features` says by type what its format carries with a provider's options to a model (by the provider's own id of
    it), as bits of `domain.features`; a type without an entry carries everything.
    """

    known: frozenset[str]
    keyless: frozenset[str]
    features: Mapping[str, _FeaturesOf] = field(default_factory=lambda: _NO_FEATURES)
    # By type, then by the provider's id of the model, for providers without options; it has every known type.
    plain: dict[str, dict[str, int]] = field(init=False, repr=False, compare=False)
    # By the identity of the options too, which are kept with what holds for them: as long as they are, nothing else
    # has it.
    _special: dict[tuple[str, str, int], tuple[int, Mapping[str, object]]] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain", {each: {} for each in self.known})

    def features_of(self, provider: Provider, model: Model) -> int:
        """What can be carried to a model of a provider of a known type."""
        options, model_id = provider.options, model.provider_model_id
        if not options:
            of_type = self.plain[provider.type]
            found = of_type.get(model_id)
            if found is None:
                found = self._worked_out(provider, model)
                if len(of_type) >= _MOST_REMEMBERED:
                    of_type.clear()
                of_type[model_id] = found
            return found
        key = provider.type, model_id, id(options)
        remembered = self._special.get(key)
        if remembered is None:
            remembered = self._worked_out(provider, model), options
            if len(self._special) >= _MOST_REMEMBERED:
                self._special.clear()
            self._special[key] = remembered
        return remembered[0]

    def _worked_out(self, provider: Provider, model: Model) -> int:
        features = self.features.get(provider.type)
        return features(provider.options, model.provider_model_id) if features is not None else ALL


NO_MODEL = Obstacle(Cause.NO_MODEL, "it has no enabled model")
NO_EMBEDDER = Obstacle(Cause.NO_MODEL, "it has no enabled model that can do embeddings")
_INACTIVE = Obstacle(Cause.PROVIDER_INACTIVE, "it is not active")
_NO_KEY = Obstacle(Cause.NO_KEY, "it has no key")


class Judge:
    """Judges the targets of one call, at one moment. Reads health and limits, changes nothing."""

    __slots__ = ("_health", "_limits", "_most_output", "_now", "_plain", "_request", "_required", "_size", "_types")

    def __init__(
        self,
        request: CallRequest,
        size: RequestSize,
        *,
        streaming: bool,
        types: ProviderTypes,
        health: TargetHealth,
        limits: ProviderLimiter,
        now: float,
    ) -> None:
        self._request = request
        self._size = size
        self._types = types
        self._plain = types.plain
        self._health = health
        self._limits = limits
        self._now = now
        self._most_output = None if isinstance(request, Embedding) else request.max_output_tokens
        self._required = needs_of(request, size, streaming=streaming).required

    def obstacle(  # noqa: C901, PLR0911, PLR0912 - a row of checks that runs for every candidate of every call
        self, provider: Provider, model: Model | None, wanted: str, key: HealthKey
    ) -> Obstacle | None:
        """The first obstacle of a target; None when it can serve. `wanted` is the model asked for, if one was."""
        if not provider.active:
            return _INACTIVE
        carried = self._plain.get(provider.type)
        if carried is None:
            return Obstacle(Cause.UNSUPPORTED_TYPE, "this router does not speak {!r}", (provider.type,))
        if model is None:
            if not wanted and isinstance(self._request, Embedding):
                return NO_EMBEDDER
            absent = wanted or provider.default_model
            return Obstacle(Cause.UNKNOWN_MODEL, "it has no model {!r}", (absent,)) if absent else NO_MODEL
        if not provider.key and provider.type not in self._types.keyless:
            return _NO_KEY
        if not model.enabled:
            return Obstacle(Cause.MODEL_DISABLED, "its model {!r} is disabled", (model.id,))
        if required := self._required:
            # As features_of says, but written out: this runs for every candidate of every call.
            can = carried.get(model.provider_model_id) if not provider.options else None
            if can is None:
                can = self._types.features_of(provider, model)
            if required & ~(model.capabilities.mask & can):
                return self.lacking(provider, model, required)
        most = self._most_output
        if most and model.max_output_tokens and most > model.max_output_tokens:
            return Obstacle(
                Cause.OUTPUT_LIMIT_EXCEEDED,
                "its model {!r} gives at most {} output tokens",
                (model.id, model.max_output_tokens),
            )
        if model.context_tokens and self._size.least_input_tokens > model.context_tokens:
            return Obstacle(
                Cause.CONTEXT_TOO_LONG, "the conversation exceeds {} tokens of context", (model.context_tokens,)
            )
        # What passes by itself: a limit, or a rest after failures.
        if provider.limits is not None:
            tokens = input_limit(self._request, self._size, model) + output_limit(self._request, provider, model)
            exceeded = self._limits.exceeded(provider, provider.limits, tokens, self._now)
            if exceeded is not None:
                return Obstacle(Cause.RATE_LIMITED, exceeded.words, exceeded.values)
        pause = self._health.pause(key, self._now)
        return paused(pause) if pause is not None else None

    def lacking(self, provider: Provider, model: Model, required: int) -> Obstacle | None:
        """The obstacle that a model, or the API of its provider, cannot do all of the mask `required`."""
        by_model = required & ~model.capabilities.mask
        by_api = 0
        if provider.type in self._plain:
            by_api = required & ~by_model & ~self._types.features_of(provider, model)
        if by_model and by_api:
            words = "its model {!r} cannot do {}, and its API does not carry {}"
            return Obstacle(Cause.CAPABILITY_MISSING, words, (model.id, _Features(by_model), _Features(by_api)))
        if by_model:
            return Obstacle(Cause.CAPABILITY_MISSING, "its model {!r} cannot do {}", (model.id, _Features(by_model)))
        if by_api:
            return Obstacle(Cause.CAPABILITY_MISSING, "its API does not carry {}", (_Features(by_api),))
        return None


def paused(pause: Pause) -> Obstacle:
    """The obstacle that a pause is."""
    if not pause.wait_s:
        return Obstacle(Cause.COOLING_DOWN, "it failed, and another call is trying whether it works again")
    return Obstacle(Cause.COOLING_DOWN, _PAUSED[pause.why], (pause.wait_s,), pause.mendable)


_PAUSED: Mapping[Reason | None, str] = MappingProxyType(
    {
        None: "it failed repeatedly and rests for {:.1f} s more",
        Reason.PROVIDER_RATE_LIMITED: "it limits the rate of this key and asked to wait {:.1f} s more",
        Reason.PROVIDER_KEY_REJECTED: "it refused this key, which is tried again after {:.1f} s",
        Reason.PROVIDER_PERMISSION_DENIED: "it does not let this key use the model; it is asked again after {:.1f} s",
        Reason.PROVIDER_MODEL_NOT_FOUND: "it did not know the model; it is asked again after {:.1f} s",
        Reason.PROVIDER_BILLING: "its account has no credit left; it is tried again after {:.1f} s",
    }
)


class _Features:
    """The words for the bits of a mask, put together when somebody reads them."""

    __slots__ = ("_mask",)

    def __init__(self, mask: int) -> None:
        self._mask = mask

    def __str__(self) -> str:
        return ", ".join(words_for(self._mask))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Features) and other._mask == self._mask

    def __hash__(self) -> int:
        return hash(self._mask)
