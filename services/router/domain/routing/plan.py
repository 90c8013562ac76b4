"""plan_route: which targets a call tries, in which order, and why each other one is left out. Pure.

The rules, in order: what the request names; the user's and the tenant's default provider; their other providers by
priority; the platform's providers, when neither the tenant nor the user has one of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from libs.core.errors import (
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    PermissionDenied,
    PreconditionViolation,
)
from libs.core.resource_names import Owner
from services.router.domain.configuration import Configuration, Model, Provider
from services.router.domain.errors import Reason
from services.router.domain.generation import Generation, Image, JsonSchemaFormat
from services.router.domain.health import TargetHealth
from services.router.domain.tokens import DEFAULT_OUTPUT_LIMIT, least_input_tokens


class Rule(enum.StrEnum):
    """The rule of selection that put a target where it is."""

    REQUEST = "request"
    DEFAULT = "default"
    PRIORITY = "priority"
    PLATFORM = "platform"


_WHY: Mapping[Rule, str] = {
    Rule.REQUEST: "named in the request",
    Rule.DEFAULT: "the default provider",
    Rule.PRIORITY: "by priority",
    Rule.PLATFORM: "a platform provider, for the tenant has none of its own",
}


class Cause(enum.StrEnum):
    """What stands in a target's way."""

    PROVIDER_INACTIVE = "PROVIDER_INACTIVE"
    UNSUPPORTED_TYPE = "UNSUPPORTED_TYPE"
    NO_MODEL = "NO_MODEL"
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    MODEL_DISABLED = "MODEL_DISABLED"
    NO_KEY = "NO_KEY"
    CAPABILITY_MISSING = "CAPABILITY_MISSING"
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    OUTPUT_LIMIT_EXCEEDED = "OUTPUT_LIMIT_EXCEEDED"
    COOLING_DOWN = "COOLING_DOWN"
    NOT_CHOSEN = "NOT_CHOSEN"
    KEY_UNUSABLE = "KEY_UNUSABLE"
    KEY_DISABLED = "KEY_DISABLED"
    KEY_UNREADABLE = "KEY_UNREADABLE"
    ORIGIN_MISMATCH = "ORIGIN_MISMATCH"
    VAULT_SECRET_MISSING = "VAULT_SECRET_MISSING"  # noqa: S105 - a reason, no secret
    VAULT_SECRET_DENIED = "VAULT_SECRET_DENIED"  # noqa: S105 - as above
    VAULT_SECRET_NOT_ALLOWED = "VAULT_SECRET_NOT_ALLOWED"  # noqa: S105 - as above
    PRICE_UNKNOWN = "PRICE_UNKNOWN"

    @classmethod
    def of(cls, reason: str) -> Cause:
        """The cause when a target could not be opened: the reason of key_vault or the ledger where it is known here."""
        return cls(reason) if reason in _REASONS_OF_OTHERS else cls.KEY_UNUSABLE


_REASONS_OF_OTHERS = frozenset(
    {
        Cause.KEY_DISABLED,
        Cause.KEY_UNREADABLE,
        Cause.ORIGIN_MISMATCH,
        Cause.VAULT_SECRET_MISSING,
        Cause.VAULT_SECRET_DENIED,
        Cause.VAULT_SECRET_NOT_ALLOWED,
        Cause.PRICE_UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A provider and model that can serve the call."""

    provider: Provider
    model: Model
    rule: Rule

    @property
    def reason(self) -> str:
        """Why it is here, for people."""
        return _WHY[self.rule]

    @property
    def health_key(self) -> tuple[str, str, str]:
        """What its health is kept under."""
        return (self.provider.name, self.model.id, self.provider.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A provider left out. `model` is the one it was looked at for, empty without one."""

    provider: Provider
    model: str
    rule: Rule
    cause: Cause
    description: str

    @property
    def violation(self) -> PreconditionViolation:
        """The same in an error's details."""
        return PreconditionViolation(
            type=self.cause,
            subject=f"{self.provider.name}/models/{self.model}" if self.model else self.provider.name,
            description=self.description,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePlan:
    """Targets in the order they are tried, what was left out, and the revision both rest on."""

    targets: tuple[Target, ...]
    rejected: tuple[Rejected, ...]
    revision: int

    def without(self, target: Target, cause: Cause, description: str) -> RoutePlan:
        """The plan after `target` turned out not to be usable."""
        rejected = Rejected(
            provider=target.provider, model=target.model.id, rule=target.rule, cause=cause, description=description
        )
        return RoutePlan(
            targets=tuple(each for each in self.targets if each is not target),
            rejected=(*self.rejected, rejected),
            revision=self.revision,
        )

    def require_target(self) -> None:
        """Raises FailedPrecondition `NO_USABLE_TARGET` when there is none."""
        if not self.targets:
            raise self.no_usable_target()

    def no_usable_target(self) -> FailedPrecondition:
        """The error that names every rejected target."""
        reasons = "; ".join(f"{each.provider.name}: {each.description}" for each in self.rejected)
        return FailedPrecondition(
            Reason.NO_USABLE_TARGET,
            f"no provider can serve this call: {reasons}"
            if reasons
            else "no provider is configured for this tenant; create one with a key and a model",
            metadata={"rejected": str(len(self.rejected))},
            precondition_violations=tuple(each.violation for each in self.rejected),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTypes:
    """Which provider types this router speaks, and which of them cannot do without a key."""

    known: frozenset[str]
    keyless: frozenset[str]


def plan_route(
    request: Generation,
    caller: Owner,
    configuration: Configuration,
    *,
    health: TargetHealth,
    types: ProviderTypes,
    streaming: bool,
    now: float,
) -> RoutePlan:
    """The plan of one call of `caller` (a user of a tenant) at monotonic second `now`.

    Raises InvalidArgument when the request names a provider or model that the caller does not have, PermissionDenied
    when it names a provider of somebody else.
    """
    judge = _Judge(needs=_Needs.of(request, streaming=streaming), types=types, health=health, now=now)
    targets: list[Target] = []
    rejected: list[Rejected] = []
    known_model = not request.model
    for provider, rule in _candidates(request, caller, configuration):
        wanted = request.model if rule is Rule.REQUEST else ""
        model = _model(provider, wanted)
        known_model = known_model or (rule is Rule.REQUEST and model is not None)
        obstacle = judge.obstacle(provider, model, wanted)
        if obstacle is None and model is not None:
            if targets and not request.fallback:
                obstacle = (Cause.NOT_CHOSEN, "the request allows no fallback")
            else:
                targets.append(Target(provider=provider, model=model, rule=rule))
                continue
        cause, description = obstacle or _NO_MODEL
        rejected.append(
            Rejected(
                provider=provider,
                model=model.id if model is not None else wanted,
                rule=rule,
                cause=cause,
                description=description,
            )
        )
    if not known_model:
        raise _unknown("generation.model", f"no provider you can use has a model {request.model!r}")
    return RoutePlan(targets=tuple(targets), rejected=tuple(rejected), revision=configuration.revision)


def _candidates(request: Generation, caller: Owner, configuration: Configuration) -> Iterator[tuple[Provider, Rule]]:
    """Every provider the caller may use, once, in the order of the rules."""
    own, platform = _visible(caller, configuration)
    ordered = [(provider, Rule.DEFAULT if provider.is_default else Rule.PRIORITY) for provider in own]
    if not own:
        ordered = [(provider, Rule.PLATFORM) for provider in platform]
    if not (request.provider or request.model):
        yield from ordered
        return
    named = [
        provider
        for provider, _ in ordered
        if (not request.provider or request.provider in (provider.id, provider.name))
        and (not request.model or request.provider or request.model in provider.models)
    ]
    if request.provider:
        # An id may stand for a user's and a tenant's provider: the nearer one is meant.
        named = named[:1]
        if not named:
            _refuse_foreign(request.provider, caller)
            raise _unknown("generation.provider", f"you have no provider {request.provider!r}")
    chosen = {provider.name for provider in named}
    for provider in named:
        yield provider, Rule.REQUEST
    if request.fallback:
        yield from ((provider, rule) for provider, rule in ordered if provider.name not in chosen)


def _visible(caller: Owner, configuration: Configuration) -> tuple[list[Provider], tuple[Provider, ...]]:
    """The caller's own providers and the platform's, in the order their snapshots hold them."""
    own = [
        provider
        for provider in sorted(configuration.tenant.providers, key=_precedence)
        if provider.owner.user is None or provider.owner.user == caller.user
    ]
    return own, tuple(sorted(configuration.platform.providers, key=_precedence))


def _precedence(provider: Provider) -> tuple[bool, bool, int, str]:
    return (not provider.is_default, provider.owner.user is None, provider.priority, provider.name)


def _refuse_foreign(name: str, caller: Owner) -> None:
    if "/" not in name:
        return
    owner = Owner.of(name, field="generation.provider")
    if not owner.is_platform and owner not in (caller, Owner(caller.tenant)):
        raise PermissionDenied("PERMISSION_DENIED", "you may not do this, or the resource does not exist")


def _unknown(field: str, description: str) -> InvalidArgument:
    return InvalidArgument(
        "INVALID_FIELD",
        f"{field}: {description}",
        metadata={"field": field},
        field_violations=(FieldViolation(field=field, description=description),),
    )


def _model(provider: Provider, wanted: str) -> Model | None:
    if wanted:
        return provider.models.get(wanted)
    if provider.default_model:
        return provider.models.get(provider.default_model)
    return next((model for model in provider.models.values() if model.enabled), None)


@dataclass(frozen=True, slots=True)
class _Needs:
    """What the request asks of a model."""

    streaming: bool
    tools: bool
    json_schema: bool
    images: bool
    least_input: int
    max_output: int

    @classmethod
    def of(cls, request: Generation, *, streaming: bool) -> _Needs:
        return cls(
            streaming,
            bool(request.tools),
            isinstance(request.response_format, JsonSchemaFormat),
            any(isinstance(part, Image) for message in request.messages for part in message.parts),
            least_input_tokens(request),
            request.max_output_tokens or 0,
        )

    def missing(self, model: Model) -> list[str]:
        can = model.capabilities
        return [
            name
            for name, needed, able in (
                ("streaming", self.streaming, can.streaming),
                ("tools", self.tools, can.tools),
                ("JSON Schema output", self.json_schema, can.json_schema),
                ("images", self.images, can.images),
            )
            if needed and not able
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """Says what stands in the way of a target; the first obstacle counts."""

    needs: _Needs
    types: ProviderTypes
    health: TargetHealth
    now: float

    def obstacle(self, provider: Provider, model: Model | None, wanted: str) -> tuple[Cause, str] | None:
        if not provider.active:
            return Cause.PROVIDER_INACTIVE, "it is not active"
        if provider.type not in self.types.known:
            return Cause.UNSUPPORTED_TYPE, f"this router does not speak {provider.type!r}"
        if model is None:
            absent = wanted or provider.default_model
            return (Cause.UNKNOWN_MODEL, f"it has no model {absent!r}") if absent else _NO_MODEL
        if not provider.key and provider.type not in self.types.keyless:
            return Cause.NO_KEY, "it has no key"
        return self._shortcoming(model) or self._cooling(provider, model)

    def _shortcoming(self, model: Model) -> tuple[Cause, str] | None:
        needs = self.needs
        if not model.enabled:
            return Cause.MODEL_DISABLED, f"its model {model.id!r} is disabled"
        missing = needs.missing(model)
        if missing:
            return Cause.CAPABILITY_MISSING, f"its model {model.id!r} cannot do {', '.join(missing)}"
        if model.max_output_tokens and needs.max_output > model.max_output_tokens:
            return (
                Cause.OUTPUT_LIMIT_EXCEEDED,
                f"its model {model.id!r} gives at most {model.max_output_tokens} output tokens",
            )
        if model.context_tokens and needs.least_input > model.context_tokens:
            return Cause.CONTEXT_TOO_LONG, f"the conversation exceeds {model.context_tokens} tokens of context"
        return None

    def _cooling(self, provider: Provider, model: Model) -> tuple[Cause, str] | None:
        until = self.health.cooling_until((provider.name, model.id, provider.key))
        if until > self.now:
            return Cause.COOLING_DOWN, f"it failed repeatedly and rests for {until - self.now:.1f} s more"
        return None


_NO_MODEL = (Cause.NO_MODEL, "it has no enabled model")


def output_limit(request: Generation, model: Model) -> int:
    """The most output tokens the call can take from `model`; what is reserved."""
    return request.max_output_tokens or model.max_output_tokens or DEFAULT_OUTPUT_LIMIT
