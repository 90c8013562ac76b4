"""Whether a target can serve a call, and if not, what stands in the way first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from services.router.domain.condition import Pause
from services.router.domain.configuration import Model, Provider
from services.router.domain.errors import Reason
from services.router.domain.features import CAPABILITY_NAMES
from services.router.domain.generation import Generation, JsonSchemaFormat
from services.router.domain.health import HealthKey, TargetHealth
from services.router.domain.limits import ProviderLimiter
from services.router.domain.routing.causes import Cause
from services.router.domain.routing.route_plan import Obstacle, output_limit
from services.router.domain.tokens import RequestSize

_STREAMING, _TOOLS, _JSON_SCHEMA, _IMAGES = (
    1 << CAPABILITY_NAMES.index(name) for name in ("streaming", "tools", "json_schema", "images")
)
_WORDS: Mapping[str, str] = MappingProxyType({"json_schema": "JSON Schema output"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTypes:
    """Which provider types this router speaks, and which of them cannot do without a key."""

    known: frozenset[str]
    keyless: frozenset[str]


NO_MODEL = Obstacle(Cause.NO_MODEL, "it has no enabled model")
_INACTIVE = Obstacle(Cause.PROVIDER_INACTIVE, "it is not active")
_NO_KEY = Obstacle(Cause.NO_KEY, "it has no key")


class Judge:
    """Judges the targets of one call, at one moment. Reads health and limits, changes nothing."""

    __slots__ = ("_health", "_limits", "_needed", "_now", "_request", "_size", "_types")

    def __init__(
        self,
        request: Generation,
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
        self._health = health
        self._limits = limits
        self._now = now
        self._needed = (
            (_STREAMING if streaming else 0)
            | (_TOOLS if request.tools else 0)
            | (_JSON_SCHEMA if isinstance(request.response_format, JsonSchemaFormat) else 0)
            | (_IMAGES if size.images else 0)
        )

    def obstacle(  # noqa: PLR0911 - a row of checks that runs for every candidate of every call
        self, provider: Provider, model: Model | None, wanted: str, key: HealthKey
    ) -> Obstacle | None:
        """The first obstacle of a target; None when it can serve. `wanted` is the model asked for, if one was."""
        if not provider.active:
            return _INACTIVE
        if provider.type not in self._types.known:
            return Obstacle(Cause.UNSUPPORTED_TYPE, "this router does not speak {!r}", (provider.type,))
        if model is None:
            absent = wanted or provider.default_model
            return Obstacle(Cause.UNKNOWN_MODEL, "it has no model {!r}", (absent,)) if absent else NO_MODEL
        if not provider.key and provider.type not in self._types.keyless:
            return _NO_KEY
        if not model.enabled:
            return Obstacle(Cause.MODEL_DISABLED, "its model {!r} is disabled", (model.id,))
        if self._needed & ~model.capabilities.mask:
            return self.lacking(model, self._needed)
        most = self._request.max_output_tokens
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
            tokens = self._size.most_input_tokens + output_limit(self._request, provider, model)
            exceeded = self._limits.exceeded(provider, provider.limits, tokens, self._now)
            if exceeded is not None:
                return Obstacle(Cause.RATE_LIMITED, exceeded.words, exceeded.values)
        pause = self._health.pause(key, self._now)
        return paused(pause) if pause is not None else None

    def lacking(self, model: Model, needed: int) -> Obstacle | None:
        """The obstacle that a model cannot do all of the mask `needed`."""
        missing = needed & ~model.capabilities.mask
        if not missing:
            return None
        return Obstacle(Cause.CAPABILITY_MISSING, "its model {!r} cannot do {}", (model.id, _CapabilityList(missing)))


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


class _CapabilityList:
    """The names of the bits of a mask, put together when somebody reads them."""

    __slots__ = ("_mask",)

    def __init__(self, mask: int) -> None:
        self._mask = mask

    def __str__(self) -> str:
        return ", ".join(_WORDS.get(name, name) for bit, name in enumerate(CAPABILITY_NAMES) if self._mask & (1 << bit))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _CapabilityList) and other._mask == self._mask

    def __hash__(self) -> int:
        return hash(self._mask)
