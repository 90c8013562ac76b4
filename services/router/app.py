"""The router's composition root: the only place that names concrete classes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Mapping

import grpc
from gatehouse.router.v1.generation_service_pb2_grpc import add_GenerationServiceServicer_to_server
from gatehouse.router.v1.probe_service_pb2_grpc import add_ProbeServiceServicer_to_server
from gatehouse.router.v1.provider_health_service_pb2_grpc import add_ProviderHealthServiceServicer_to_server

from libs.core.endpoints import EndpointRules
from libs.plugins.telling import tell
from libs.rpc.channels import open_channel
from libs.rpc.name_lookup import NameLookup
from libs.rpc.service import Service
from services.router.api.generation_service import GenerationService, error_details
from services.router.api.probe_service import ProbeService
from services.router.api.provider_health_service import ProviderHealthService
from services.router.clients.configuration import ConfigurationWatcher
from services.router.clients.key_outcomes import KeyOutcomeReporter
from services.router.clients.key_vault import KeyVaultClient
from services.router.clients.usage import UsageClient
from services.router.domain.accounting import Reservation
from services.router.domain.admission import Admission
from services.router.domain.affinity import SessionAffinity
from services.router.domain.call import CallResources
from services.router.domain.embed import Embeddings
from services.router.domain.explain import Explainer
from services.router.domain.failover import FailoverPolicy
from services.router.domain.generate import Generator
from services.router.domain.health import TargetHealth
from services.router.domain.limits import ProviderLimiter
from services.router.domain.planner import Planner
from services.router.domain.probe import Prober
from services.router.domain.routing.usability import ProviderTypes
from services.router.providers.base import Dialect
from services.router.providers.http.access_tokens import AccessTokens
from services.router.providers.http.media import MediaFetcher, MediaLimits
from services.router.providers.http.model_lists import HttpModelLists
from services.router.providers.http.remembered_names import RememberedNames
from services.router.providers.http.session import HttpProviderSession
from services.router.providers.http.timers import Timers
from services.router.providers.http.vetted_http import VettedHttp
from services.router.providers.plugins import with_plugins
from services.router.providers.registry import DIALECTS, provider_types
from services.router.settings import Settings
from services.router.spool.ledger import SpooledLedger
from services.router.spool.spool import Spool
from services.router.telemetry.attempts import TelemetryObserver
from services.router.telemetry.configuration import observe_configuration
from services.router.telemetry.plugins import plugin_failures

DOMAIN = "router.gatehouse"
_SERVICE = "/gatehouse.router.v1.GenerationService"
# After the last call ended, settlements get this long to reach the ledger; the rest waits in the spool.
_DRAIN_S = 5.0
# What is left to tell of keys gets less: the next calls tell it again.
_LAST_REPORT_S = 2.0


def longest_s(settings: Settings) -> dict[str, float]:
    """How long the calls to models may take; all other methods have the usual bound."""
    return {f"{_SERVICE}/{method}": settings.longest_call_s for method in ("Generate", "StreamGenerate", "Embed")}


async def compose(settings: Settings, service: Service) -> None:
    """Wire the router into `service`."""
    key_vault = _channel(service, "key-vault", settings.key_vault_target, settings)
    provider_config = _channel(service, "provider-config", settings.provider_config_target, settings)
    usage_accounting = _channel(service, "usage-accounting", settings.usage_accounting_target, settings)

    dialects = await _dialects(service)
    lookup = NameLookup()
    service.on_close("name lookup", lookup.close)
    rules = EndpointRules(allow_loopback=settings.allow_loopback_endpoints, allowed=settings.allowed_endpoints)
    http = VettedHttp(rules, RememberedNames(lookup))
    service.on_close("connections to providers", http.aclose)
    tokens = _access_tokens(settings, service, http)
    providers = HttpProviderSession(
        http,
        dialects,
        Timers(
            connect_s=settings.connect_timeout_s,
            first_event_s=settings.first_event_timeout_s,
            idle_s=settings.idle_timeout_s,
        ),
        tokens=tokens,
        media=_media_fetcher(settings, service),
    )
    service.on_close("providers", providers.aclose)

    keys = KeyVaultClient(key_vault, timeout_s=settings.key_vault_timeout_s)
    service.on_close("key-vault", keys.aclose)

    outcomes = KeyOutcomeReporter(
        key_vault, timeout_s=settings.key_vault_timeout_s, interval_s=settings.key_outcome_interval_s
    )
    reporting = _Background(outcomes.run())

    async def close_outcomes() -> None:
        await reporting.aclose()
        await outcomes.drain(_LAST_REPORT_S)

    service.on_close("key outcomes", close_outcomes)

    ledger: SpooledLedger

    def abandoned(reservation: Reservation) -> None:
        ledger.release(reservation)

    usage = UsageClient(usage_accounting, timeout_s=settings.usage_accounting_timeout_s, abandoned=abandoned)
    spool = Spool(settings.spool_dir, max_bytes=settings.spool_max_bytes)
    ledger = SpooledLedger(spool, usage)

    async def close_ledger() -> None:
        await usage.aclose()
        await ledger.drain(_DRAIN_S)
        await draining.aclose()
        ledger.close()

    draining = _Background(ledger.run())
    service.on_close("ledger", close_ledger)

    config = ConfigurationWatcher(
        provider_config, patience_s=settings.configuration_patience_s, idle_s=settings.configuration_idle_s
    )
    observe_configuration(service.telemetry, age_s=config.age_s, tenants=lambda: config.tenants)
    watching = _Background(config.run())
    service.on_close("provider-config", watching.aclose, ready=config.ready)

    chance = random.Random()  # noqa: S311 - spreads calls and retries, keeps no secret
    planner = _planner(settings, config, provider_types(dialects), chance)
    resources = CallResources(
        keys=keys,
        outcomes=outcomes,
        ledger=ledger,
        observer=TelemetryObserver(service.telemetry),
        policy=FailoverPolicy(max_attempts=settings.max_attempts, max_retries=settings.max_retries),
        admission=planner.admission,
        affinity=planner.affinity,
        jitter=chance,
    )
    generator = Generator(planner=planner, providers=providers, resources=resources)
    embeddings = Embeddings(planner=planner, providers=providers, resources=resources)
    explainer = Explainer(planner=planner, config=config, keys=keys)
    service.error_details = error_details
    service.add(add_GenerationServiceServicer_to_server, GenerationService(generator, embeddings, explainer))
    service.add(add_ProviderHealthServiceServicer_to_server, ProviderHealthService(explainer))
    _add_probes(
        service,
        dialects,
        Prober(
            lists=HttpModelLists(http, dialects, connect_s=settings.connect_timeout_s, tokens=tokens),
            keys=keys,
            outcomes=outcomes,
            health=planner.admission.health,
        ),
    )


def _channel(service: Service, name: str, target: str, settings: Settings) -> grpc.aio.Channel:
    channel = open_channel(target, settings)
    service.on_close(f"{name} channel", channel.close)
    return channel


async def _dialects(service: Service) -> Mapping[str, Dialect]:
    """The built-in dialects and those of the plugins."""
    dialects, found = await asyncio.to_thread(with_plugins, DIALECTS, plugin_failures(service.telemetry))
    tell(found, service.telemetry)
    return dialects


def _add_probes(service: Service, dialects: Mapping[str, Dialect], prober: Prober) -> None:
    service.add(add_ProbeServiceServicer_to_server, ProbeService(prober, dialects))


def _access_tokens(settings: Settings, service: Service, http: VettedHttp) -> AccessTokens:
    issuers = {"google": settings.google_token_url, "entra": settings.entra_token_url}
    tokens = AccessTokens(http, issuers, connect_s=settings.connect_timeout_s)
    service.on_close("access tokens", tokens.aclose)
    return tokens


def _media_fetcher(settings: Settings, service: Service) -> MediaFetcher:
    # With connections and threads of its own: where providers may live is no place for every caller's URLs, and names
    # that resolve slowly, which every caller can think of, keep no provider's name waiting.
    lookup = NameLookup()
    service.on_close("name lookup for media", lookup.close)
    http = VettedHttp(EndpointRules(allowed=settings.allowed_media_endpoints), lookup)
    service.on_close("connections to media", http.aclose)
    return MediaFetcher(http, MediaLimits(connect_s=settings.connect_timeout_s))


def _planner(settings: Settings, config: ConfigurationWatcher, types: ProviderTypes, chance: random.Random) -> Planner:
    health = TargetHealth(
        threshold=settings.breaker_threshold,
        minimum_calls=settings.breaker_minimum_calls,
        cooldown_s=settings.breaker_cooldown_s,
    )
    return Planner(
        config=config,
        types=types,
        admission=Admission(health, ProviderLimiter()),
        affinity=SessionAffinity(),
        chance=chance,
    )


class _Background:
    """A task that runs as long as the service. What it runs outlives every failure by itself."""

    def __init__(self, work: Coroutine[object, object, None]) -> None:
        self._task = asyncio.create_task(work)

    async def aclose(self) -> None:
        """Cancel it and wait for its end."""
        self._task.cancel()
        await asyncio.wait({self._task})
