"""Stand-ins for the world around the router's domain, and short ways to make its values."""

from __future__ import annotations

import asyncio
import random
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from libs.core.errors import GatehouseError, Unavailable
from libs.core.money import NanoUsd, PicoUsdPerToken, TokenCounts, TokenPrices
from libs.core.resource_names import Owner
from libs.core.secret import Secret
from services.router.domain.accounting import Reservation, Settlement
from services.router.domain.admission import Admission
from services.router.domain.affinity import SessionAffinity
from services.router.domain.call import CallResources
from services.router.domain.call_context import CallContext
from services.router.domain.configuration import Configuration, Model, Policy, Provider, Snapshot
from services.router.domain.embed import Embeddings
from services.router.domain.embedding import Embedding, Vectors
from services.router.domain.errors import ProviderError
from services.router.domain.explain import Explainer
from services.router.domain.failover import FailoverPolicy
from services.router.domain.generate import Generator
from services.router.domain.generation import (
    Answer,
    Finished,
    FinishReason,
    Generation,
    Message,
    ProviderEvent,
    Role,
    Text,
    TextDelta,
)
from services.router.domain.health import TargetHealth
from services.router.domain.limits import ProviderLimiter
from services.router.domain.planner import Planner
from services.router.domain.ports import Dispatch, Granted, KeyState, OpenedKey, ReserveResult
from services.router.domain.preference import Choice, Preferences, Profile
from services.router.domain.route import Route, RouteTarget
from services.router.domain.routing.route_plan import Rejected
from services.router.domain.routing.usability import ProviderTypes

TYPES = ProviderTypes(known=frozenset({"openai", "openai_compatible"}), keyless=frozenset({"openai_compatible"}))
PRICE = TokenPrices(
    input=PicoUsdPerToken(150_000),
    cache_read=PicoUsdPerToken(75_000),
    cache_write=PicoUsdPerToken(150_000),
    output=PicoUsdPerToken(600_000),
    reasoning=PicoUsdPerToken(600_000),
)
USAGE = TokenCounts(input_tokens=10, output_tokens=5)
EMBED_USAGE = TokenCounts(input_tokens=10)


def model(model_id: str = "small", *, enabled: bool = True, **fields: object) -> Model:
    return Model(id=model_id, provider_model_id=model_id, enabled=enabled, **fields)  # type: ignore[arg-type]


def provider(
    provider_id: str = "one",
    *,
    owner: Owner = Owner("acme"),  # noqa: B008 - frozen
    models: Sequence[Model] = (),
    key: str | None = None,
    active: bool = True,
    is_default: bool = False,
    priority: int = 100,
    default_model: str = "",
    provider_type: str = "openai",
    **fields: object,
) -> Provider:
    return Provider(
        name=f"{owner}/providers/{provider_id}",
        id=provider_id,
        owner=owner,
        type=provider_type,
        base_url=f"https://{provider_id}.example/v1",
        origin=f"https://{provider_id}.example:443",
        key=f"{owner}/keys/{provider_id}" if key is None else key,
        default_model=default_model,
        active=active,
        is_default=is_default,
        priority=priority,
        models={each.id: each for each in (models or (model(),))},
        **fields,  # type: ignore[arg-type]
    )


def route(task: str, *targets: RouteTarget | str, **fields: object) -> Route:
    """A route of acme; a target given as an id is the tenant's provider of that id, with its usual model."""
    return Route(
        name=f"tenants/acme/routes/{task}",
        task=task,
        targets=tuple(to(each) if isinstance(each, str) else each for each in targets),
        **fields,  # type: ignore[arg-type]
    )


def to(provider_id: str, **fields: object) -> RouteTarget:
    name = provider_id if "/" in provider_id else f"tenants/acme/providers/{provider_id}"
    return RouteTarget(provider=name, **fields)  # type: ignore[arg-type]


def choice(provider_id: str, model_id: str = "") -> Choice:
    return Choice(provider_id if "/" in provider_id else f"tenants/acme/providers/{provider_id}", model_id)


def configuration(
    tenant: Iterable[Provider] = (),
    platform: Iterable[Provider] = (),
    *,
    routes: Iterable[Route] = (),
    preferences: Preferences | None = None,
    profile: Profile | None = None,
    platform_last: bool = False,
) -> Configuration:
    """What a router holds for acme; `preferences` and the profile are of its user ann."""
    return Configuration(
        tenant=Snapshot(
            scope="tenants/acme",
            revision=7,
            providers=tuple(tenant),
            routes={each.task: each for each in routes},
            preferences={preferences.user: preferences} if preferences is not None else {},
            profiles={profile.name: profile} if profile is not None else {},
            policy=Policy(platform_last=platform_last),
        ),
        platform=Snapshot(scope="platform", revision=5, providers=tuple(platform)),
    )


def ask(text: str = "Why?", **fields: object) -> Generation:
    return Generation(messages=(Message(Role.USER, (Text(text),)),), **fields)  # type: ignore[arg-type]


def context(*, seconds: float = 30.0) -> CallContext:
    now = time.monotonic()
    return CallContext(
        tenant="acme", user="ann", plan="pro", token=Secret(b"the-token"), arrived=now, deadline=now + seconds
    )


def answer(text: str = "Because.", usage: TokenCounts | None = USAGE) -> Answer:
    return Answer(
        parts=(Text(text),) if text else (),
        finish_reason=FinishReason.STOP,
        raw_finish_reason="stop",
        usage=usage,
    )


def vectors(count: int = 1, usage: TokenCounts | None = EMBED_USAGE) -> Vectors:
    return Vectors(vectors=tuple(array("f", (place, 0.5)) for place in range(count)), usage=usage)


def finished(usage: TokenCounts | None = USAGE) -> Finished:
    return Finished(finish_reason=FinishReason.STOP, raw_finish_reason="stop", usage=usage)


class FakeConfig:
    def __init__(self, held: Configuration) -> None:
        self.configuration = held
        self.waited_for: int | None = None
        self.age = 0.25
        self.connected = True

    @property
    def revision(self) -> int:
        return self.configuration.revision

    def age_s(self) -> float:
        return self.age

    def held(self, tenant: str) -> Configuration | None:
        return self.configuration

    async def arrived(self, tenant: str, *, within_s: float) -> Configuration:
        return self.configuration

    async def reached(self, tenant: str, revision: int, *, within_s: float) -> Configuration:
        self.waited_for = revision
        return self.configuration


def opened(version: int = 1, *, fallback_version: int = 0) -> OpenedKey:
    return OpenedKey(
        material=Secret(f"material {version}".encode()), version=version, fallback_version=fallback_version
    )


@dataclass
class FakeKeys:
    """Opens version 1 of every key; `results` and, for versions asked for by number, `versions` say otherwise."""

    results: dict[str, GatehouseError | OpenedKey] = field(default_factory=dict)
    versions: dict[tuple[str, int], GatehouseError | OpenedKey] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    hang: bool = False
    overloaded: bool = False

    def open(
        self, *, name: str, origin: str, caller_token: Secret, version: int = 0
    ) -> asyncio.Future[OpenedKey | GatehouseError]:
        if self.overloaded:
            raise Unavailable("OVERLOADED", "too many wait")
        self.opened.append(name)
        self.asked.append(version)
        future: asyncio.Future[OpenedKey | GatehouseError] = asyncio.get_running_loop().create_future()
        if not self.hang:
            if version:
                future.set_result(self.versions.get((name, version), opened(version)))
            else:
                future.set_result(self.results.get(name, opened()))
        return future


@dataclass
class FakeOutcomes:
    """`told` as (what, key, version)."""

    told: list[tuple[str, str, int]] = field(default_factory=list)
    sent_times: list[float] = field(default_factory=list)
    refusal_times: list[float] = field(default_factory=list)

    def used(self, key: str, version: int, sent_time: float) -> None:
        self._add("used", key, version, sent_time)

    def succeeded(self, key: str, version: int, sent_time: float) -> None:
        self._add("succeeded", key, version, sent_time)

    def rejected(self, key: str, version: int, sent_time: float, refusal_time: float) -> None:
        self._add("rejected", key, version, sent_time)
        self.refusal_times.append(refusal_time)

    def exhausted(self, key: str, version: int, sent_time: float, refusal_time: float) -> None:
        self._add("exhausted", key, version, sent_time)
        self.refusal_times.append(refusal_time)

    def _add(self, what: str, key: str, version: int, sent_time: float) -> None:
        self.told.append((what, key, version))
        self.sent_times.append(sent_time)


def _answer(future: asyncio.Future[ReserveResult], result: ReserveResult) -> None:
    if not future.done():
        future.set_result(result)


@dataclass
class FakeLedger:
    results: list[ReserveResult] = field(default_factory=list)
    reserved: list[Reservation] = field(default_factory=list)
    settled: list[Settlement] = field(default_factory=list)
    released: list[Reservation] = field(default_factory=list)
    accepting: bool = True
    unreachable: bool = False
    futures: list[asyncio.Future[ReserveResult]] = field(default_factory=list)

    def reserve(self, reservation: Reservation) -> asyncio.Future[ReserveResult]:
        self.reserved.append(reservation)
        future: asyncio.Future[ReserveResult] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        if self.unreachable:
            future.set_exception(Unavailable("SERVICE_UNREACHABLE", "away"))
        else:
            result = self.results.pop(0) if self.results else Granted(PRICE)
            asyncio.get_running_loop().call_soon(_answer, future, result)
        return future

    def settle(self, settlement: Settlement) -> None:
        self.settled.append(settlement)

    def release(self, reservation: Reservation) -> None:
        self.released.append(reservation)

    def open_attempts(self) -> set[tuple[str, int]]:
        """Attempts that are reserved and neither settled nor released: there must be none in the end."""
        ended = [(each.operation_id, each.attempt) for each in self.settled]
        ended += [(each.operation_id, each.attempt) for each in self.released]
        assert len(ended) == len(set(ended)), "an attempt ended twice"
        return {(each.operation_id, each.attempt) for each in self.reserved} - set(ended)


class FakeStream:
    def __init__(self, script: Iterable[ProviderEvent | ProviderError | None]) -> None:
        self._script = iter(script)
        self.closed = False
        self.warnings: tuple[str, ...] = ()

    async def read(self) -> list[ProviderEvent]:
        for step in self._script:
            if step is None:
                await asyncio.Event().wait()
            if isinstance(step, ProviderError):
                raise step
            assert step is not None
            return [step]
        return []

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeProviders:
    """Answers by provider id: an Answer, a list of stream events, an error, or None to hang."""

    scripts: dict[str, list[Any]] = field(default_factory=dict)
    dispatched: list[Dispatch[Any]] = field(default_factory=list)
    streams: list[FakeStream] = field(default_factory=list)
    left_out: tuple[str, ...] = ()
    held_back: bool = False

    def _next(self, dispatch: Dispatch[Any]) -> Any:
        self.dispatched.append(dispatch)
        if not self.held_back:
            dispatch.departing()
        script = self.scripts.get(dispatch.target.provider.id, [])
        return script.pop(0) if script else answer()

    async def generate(self, dispatch: Dispatch[Generation]) -> Answer:
        step = self._next(dispatch)
        if step is None:
            await asyncio.Event().wait()
        if isinstance(step, ProviderError):
            raise step
        assert isinstance(step, Answer)
        return replace(step, warnings=self.left_out)

    async def stream(self, dispatch: Dispatch[Generation]) -> FakeStream:
        step = self._next(dispatch)
        if step is None:
            await asyncio.Event().wait()
        if isinstance(step, ProviderError):
            raise step
        script: list[ProviderEvent | ProviderError | None] = [TextDelta("Because."), finished()]
        if isinstance(step, list):
            script = step
        self.streams.append(FakeStream(script))
        self.streams[-1].warnings = self.left_out
        return self.streams[-1]

    async def embed(self, dispatch: Dispatch[Embedding]) -> Vectors:
        script = self.scripts.get(dispatch.target.provider.id, [])
        self.dispatched.append(dispatch)
        dispatch.departing()
        step = script.pop(0) if script else vectors(len(dispatch.request.inputs))
        if step is None:
            await asyncio.Event().wait()
        if isinstance(step, ProviderError):
            raise step
        assert isinstance(step, Vectors)
        return step


@dataclass
class FakeObserver:
    finishes: list[Settlement] = field(default_factory=list)
    key_fallbacks: list[tuple[str, int, int]] = field(default_factory=list)
    passed: list[tuple[str, str, str]] = field(default_factory=list)
    platform: list[Reservation] = field(default_factory=list)

    def finished(self, reservation: Reservation, settlement: Settlement, cost: NanoUsd | None) -> None:
        self.finishes.append(settlement)

    def key_fallback(self, reservation: Reservation, *, refused_version: int, version: int) -> None:
        self.key_fallbacks.append((reservation.key, refused_version, version))

    def passed_over(self, tenant: str, operation_id: str, rejected: Rejected) -> None:
        self.passed.append((rejected.provider_name, rejected.rule.value, rejected.cause.value))

    def platform_fallback(self, reservation: Reservation) -> None:
        self.platform.append(reservation)


@dataclass
class FakeKeyStates:
    """Says of every key that it could be opened; `states` by key's name say otherwise, `away` that nobody answers."""

    states: dict[str, KeyState] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    away: bool = False

    async def check(self, keys: Sequence[tuple[str, str]]) -> Sequence[KeyState]:
        self.asked.extend(keys)
        if self.away:
            raise Unavailable("SERVICE_UNREACHABLE", "away")
        return [self.states.get(name, KeyState()) for name, _ in keys]


@dataclass
class World:
    """A Generator and an Explainer with everything around them faked."""

    providers: FakeProviders = field(default_factory=FakeProviders)
    keys: FakeKeys = field(default_factory=FakeKeys)
    outcomes: FakeOutcomes = field(default_factory=FakeOutcomes)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    observer: FakeObserver = field(default_factory=FakeObserver)
    health: TargetHealth = field(default_factory=TargetHealth)
    policy: FailoverPolicy = field(default_factory=lambda: FailoverPolicy(backoff_s=0.0))
    config: FakeConfig = field(default_factory=lambda: FakeConfig(configuration([provider()])))
    limits: ProviderLimiter = field(default_factory=ProviderLimiter)
    affinity: SessionAffinity = field(default_factory=SessionAffinity)
    key_states: FakeKeyStates = field(default_factory=FakeKeyStates)

    def planner(self) -> Planner:
        return Planner(
            config=self.config,
            types=TYPES,
            admission=Admission(self.health, self.limits),
            affinity=self.affinity,
            chance=random.Random(1),
        )

    def explainer(self) -> Explainer:
        return Explainer(planner=self.planner(), config=self.config, keys=self.key_states)

    def generator(self) -> Generator:
        planner = self.planner()
        return Generator(planner=planner, providers=self.providers, resources=self._resources(planner))

    def embeddings(self) -> Embeddings:
        planner = self.planner()
        return Embeddings(planner=planner, providers=self.providers, resources=self._resources(planner))

    def _resources(self, planner: Planner) -> CallResources:
        return CallResources(
            keys=self.keys,
            outcomes=self.outcomes,
            ledger=self.ledger,
            observer=self.observer,
            policy=self.policy,
            admission=planner.admission,
            affinity=self.affinity,
            jitter=random.Random(1),
        )


def world_of(*providers: Provider, **scripts: list[Any]) -> World:
    """A world in which tenant acme has these providers, which answer by these scripts."""
    return World(config=FakeConfig(configuration(providers)), providers=FakeProviders(scripts))


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until `condition` holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)
