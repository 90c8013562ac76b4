"""The life of a service's process: settings in, serving until SIGTERM, everything closed in reverse order."""

from __future__ import annotations

import asyncio
import gc
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Self

import grpc
import uvloop
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from libs.core.errors import GatehouseError, Unavailable
from libs.identity.freshness import Freshness
from libs.identity.jwks_file import JwksFile
from libs.identity.jwks_url import JwksUrl
from libs.identity.tokens import TokenVerifier
from libs.rpc.chain import ErrorDetails, chain
from libs.rpc.denials import Denial, DenialHook
from libs.rpc.process_memory import forbid_dumps
from libs.rpc.registration import Register, Registrar
from libs.rpc.settings import ServerSettings, WrongSetting
from libs.storage.errors import DatabaseUnusable, InvalidDatabaseUrl
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from libs.telemetry.telemetry import Telemetry, configure

Compose = Callable[["Service"], Awaitable[None]]
Ready = Callable[[], Awaitable[None]]

_log = get_logger(__name__)
_CHECK_INTERVAL_S = 1.0
_CHECK_TIMEOUT_S = 2.0
_DEFAULT_LONGEST_S = 60.0
_GC_THRESHOLD = 20_000
_CLEANUP_S = 5.0
# Tokens of 8 KiB, trace context and what proxies add.
_MAX_METADATA_BYTES = 32 * 1024


class Service:
    """What a composition root adds its servicers and resources to; used inside `async with`.

    It may set `error_details`, which adds typed details to errors, and `denied`, which records what authorization
    refuses. Resources are closed in the reverse order of `on_close`. Health is SERVING while every `ready` check
    passes.
    """

    def __init__(
        self, name: str, settings: ServerSettings, *, domain: str, telemetry: Telemetry, longest_s: Mapping[str, float]
    ) -> None:
        self.name = name
        self.settings = settings
        self.telemetry = telemetry
        self.error_details: ErrorDetails = _no_details
        self.denied: DenialHook = _unrecorded
        self._stack = AsyncExitStack()
        self._ready: dict[str, Ready] = {}
        self._stopping: list[Callable[[], Awaitable[object]]] = []
        self.verifier = self._verifier(settings)
        self._lost: set[str] = set()
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(options=_server_options(settings))
        self._registrar = Registrar(
            chain(
                telemetry=telemetry,
                verifier=self.verifier,
                domain=domain,
                details=self._details,
                freshness=_freshness(settings),
                denied=self._denied,
            ),
            longest_s=longest_s,
            default_s=_DEFAULT_LONGEST_S,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def add(self, register: Register, servicer: object) -> None:
        """Serve `servicer`; `register` is the generated `add_<Service>Servicer_to_server`."""
        self._registrar.add(register, servicer)

    def on_close(self, name: str, close: Callable[[], Awaitable[object]], *, ready: Ready | None = None) -> None:
        """Close a resource at the end, and ask `ready` about it while serving (it raises when it is not)."""
        self._stack.push_async_callback(close)
        if ready is not None:
            self._ready[name] = ready

    def on_stop(self, stop: Callable[[], Awaitable[object]]) -> None:
        """Await `stop` when the service begins to stop, while calls are still being served: to end long streams."""
        self._stopping.append(stop)

    async def start(self) -> None:
        """Listen on both ports. Raises OSError when one is taken."""
        self._registrar.install(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*self._registrar.services, "grpc.health.v1.Health", reflection.SERVICE_NAME), self._server
        )
        settings = self.settings
        pair = [(settings.tls_key_file.read_bytes(), settings.tls_cert_file.read_bytes())]
        authorities = settings.tls_ca_file.read_bytes()
        _listen(self._server, settings.public_address, grpc.ssl_server_credentials(pair))
        _listen(
            self._server,
            settings.internal_address,
            grpc.ssl_server_credentials(pair, root_certificates=authorities, require_client_auth=True),
        )
        await self._set_health(serving=False)
        await self._server.start()
        _log.info(names.EVENT_SERVICE_STARTED, address=settings.public_address, internal=settings.internal_address)

    async def watch_readiness(self) -> None:
        """Keep health in step with the readiness checks, until cancelled."""
        was_ready = False
        while True:
            failing = await self._failing()
            for name in failing - self._lost:
                _log.warning(names.EVENT_DEPENDENCY_LOST, dependency=name)
            for name in self._lost - failing:
                _log.info(names.EVENT_DEPENDENCY_BACK, dependency=name)
            self._lost = failing
            if was_ready == bool(failing):
                was_ready = not failing
                await self._set_health(serving=was_ready)
                if was_ready:
                    _log.info(names.EVENT_SERVICE_READY)
            await asyncio.sleep(_CHECK_INTERVAL_S if was_ready else _CHECK_INTERVAL_S / 10)

    async def stop(self) -> None:
        """Refuse new calls, let those under way finish within the grace time, then cut them off."""
        # A watcher of health that does not read holds a lock inside.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await self._health.enter_graceful_shutdown()
        for stop in self._stopping:
            await stop()
        await self._server.stop(self.settings.shutdown_grace_s)
        # The server is done with calls it cut off before they are: what they clean up with must still be open.
        await self._registrar.ended(_CLEANUP_S)

    def _details(self, error: GatehouseError) -> Sequence[Message]:
        return self.error_details(error)

    async def _denied(self, denial: Denial) -> None:
        await self.denied(denial)

    async def _failing(self) -> set[str]:
        failing = set()
        for name, ready in self._ready.items():
            try:
                async with asyncio.timeout(_CHECK_TIMEOUT_S):
                    await ready()
            except Exception:  # noqa: BLE001 - any failure means not ready; the resource logs its own reason
                failing.add(name)
        return failing

    async def _set_health(self, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *self._registrar.services):
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_TIMEOUT_S):
                    await self._health.set(service, status)

    def _verifier(self, settings: ServerSettings) -> TokenVerifier:
        if "://" in settings.jwt_jwks:
            remote = JwksUrl(settings.jwt_jwks, tls=ssl.create_default_context())
            self.on_close("token issuer", remote.aclose)
            keys: JwksFile | JwksUrl = remote
        else:
            keys = JwksFile(Path(settings.jwt_jwks))
        return TokenVerifier(keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience)


def _no_details(_: GatehouseError) -> Sequence[Message]:
    return ()


async def _unrecorded(_: Denial) -> None:
    pass


def _freshness(settings: ServerSettings) -> Freshness | None:
    if settings.fresh_auth_max_age_s is None:
        return None
    return Freshness(
        max_age_s=settings.fresh_auth_max_age_s,
        methods=settings.fresh_auth_amr,
        acr_values=settings.fresh_auth_acr_values,
    )


def run(
    name: str,
    settings: ServerSettings,
    compose: Compose,
    *,
    domain: str,
    longest_s: Mapping[str, float] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. Exits with code 2 and a sentence when a port is taken or a setting is wrong.

    `compose` adds servicers and resources to a Service; while what it needs is Unavailable it is tried again. It raises
    OSError, WrongSetting, or another GatehouseError for what its operator has to mend.
    `longest_s` gives methods (full names) another bound than 60 seconds.
    """
    forbid_dumps()
    telemetry = configure(name, log_level=settings.log_level, otlp_endpoint=settings.otlp_endpoint)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            make = partial(Service, name, settings, domain=domain, telemetry=telemetry, longest_s=longest_s or {})
            runner.run(_serve(make, compose))
    except (OSError, GatehouseError, WrongSetting, InvalidDatabaseUrl, DatabaseUnusable) as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(2)
    finally:
        telemetry.shutdown()


async def _serve(make: Callable[[], Service], compose: Compose) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    async with AsyncExitStack() as stack:
        while True:
            service = make()
            await stack.enter_async_context(service)
            try:
                await compose(service)
                break
            except Unavailable as error:
                _log.warning(names.EVENT_DEPENDENCY_LOST, reason=error.reason)
                await stack.aclose()
            if await _set_within(stopping, _CHECK_INTERVAL_S):
                return
        await service.start()
        # What lives until the end need not be looked at by every collection.
        gc.collect()
        gc.freeze()
        # Calls make few cycles; the interpreter's own thresholds would look for them every few calls.
        gc.set_threshold(_GC_THRESHOLD, 20, 50)
        readiness = asyncio.create_task(service.watch_readiness())
        await stopping.wait()
        _log.info(names.EVENT_SERVICE_STOPPING)
        readiness.cancel()
        await service.stop()
    _log.info(names.EVENT_SERVICE_STOPPED)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _listen(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials) -> None:
    try:
        bound = server.add_secure_port(address, credentials)
    except RuntimeError:
        bound = 0
    if not bound:
        raise OSError(f"cannot listen on {address}: is another process using the port? Set another address.")


def _server_options(settings: ServerSettings) -> tuple[tuple[str, int], ...]:
    return (
        # Two servers must never share a port in silence.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        # Between the two, chance would decide.
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", int(settings.max_connection_age_s * 1000)),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    )
