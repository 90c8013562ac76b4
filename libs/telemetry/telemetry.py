"""Sets telemetry up for one process and takes it down again."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from opentelemetry.metrics import Meter, NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NoOpTracerProvider, Tracer

from libs.core.validation import origin_of
from libs.telemetry.instruments import Instruments
from libs.telemetry.logs import configure_logs
from libs.telemetry.spans import ScrubbingSpanProcessor

_SCOPE = "gatehouse"
_EXPORT_TIMEOUT_S = 5
_METRIC_INTERVAL_MS = 15_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """What a process records with.

    `enabled` says whether anything is exported: look at it before building attributes on a hot path; everything else
    works either way and does nothing when disabled. Spans: start them with `record_exception=False,
    set_status_on_exception=False`, and set `error.type` instead.
    """

    enabled: bool
    tracer: Tracer
    meter: Meter
    instruments: Instruments
    _close: Callable[[], None]
    _restore_logs: Callable[[], None]

    def shutdown(self, timeout_s: float = 5.0) -> bool:
        """Send what is left and stop; whether that ended within `timeout_s`. Blocks for as long, so call it last."""
        # The exporters' own waits are not bounded in sum; a thread that outlives the process' end is no loss.
        closing = threading.Thread(target=self._close, name="telemetry-shutdown", daemon=True)
        closing.start()
        closing.join(timeout_s)
        return not closing.is_alive()

    def restore_logs(self) -> None:
        """Give logging back as it was found, for tests.

        A service never does: what goes wrong after `shutdown` must still pass the scrubber.
        """
        self._restore_logs()


def configure(
    service: str, *, log_level: str = "info", otlp_endpoint: str | None = None, stream: BinaryIO | None = None
) -> Telemetry:
    """Set up logs on standard error (or `stream`), and traces and metrics to `otlp_endpoint` if there is one.

    `service` is the process' name (`router`). The endpoint is an OTLP gRPC collector, `http://host:4317` or
    `https://…`. Logs are JSON lines, readable ones on a terminal. Raises ValueError for a wrong level or endpoint.
    Call it once, before the first log line.
    """
    if otlp_endpoint and origin_of(otlp_endpoint) is None:
        raise ValueError("the OTLP endpoint must be http://host:port or https://host:port")
    out = stream or sys.stderr.buffer
    restore = configure_logs(
        service,
        log_level=log_level,
        stream=out,
        pretty=out.isatty(),
        with_traces=bool(otlp_endpoint),
        final=stream is None,
    )
    if not otlp_endpoint:
        return silent(restore)
    # Imported only here: it brings a second gRPC stack that a process without a collector does not need.
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    insecure = otlp_endpoint.startswith("http://")
    spans = OTLPSpanExporter(endpoint=otlp_endpoint, insecure=insecure, timeout=_EXPORT_TIMEOUT_S)
    metrics = OTLPMetricExporter(endpoint=otlp_endpoint, insecure=insecure, timeout=_EXPORT_TIMEOUT_S)
    return recording(
        service,
        spans=BatchSpanProcessor(spans),
        metrics=PeriodicExportingMetricReader(metrics, export_interval_millis=_METRIC_INTERVAL_MS),
        restore_logs=restore,
    )


def recording(
    service: str, *, spans: SpanProcessor, metrics: MetricReader, restore_logs: Callable[[], None] = lambda: None
) -> Telemetry:
    """Telemetry into `spans` (behind the scrubber) and `metrics`; tests pass in-memory ones."""
    resource = Resource.create({"service.name": service, "service.namespace": "gatehouse"})
    # Not the process-wide providers: libraries must not record past the names and the scrubber of this house.
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(ScrubbingSpanProcessor(spans))
    meters = MeterProvider([metrics], resource=resource, shutdown_on_exit=False)
    meter = meters.get_meter(_SCOPE)

    def close_all() -> None:
        tracers.shutdown()
        meters.shutdown(timeout_millis=_EXPORT_TIMEOUT_S * 1000)

    return Telemetry(
        enabled=True,
        tracer=tracers.get_tracer(_SCOPE),
        meter=meter,
        instruments=Instruments(meter),
        _close=close_all,
        _restore_logs=restore_logs,
    )


def silent(restore_logs: Callable[[], None] = lambda: None) -> Telemetry:
    """Telemetry that records nothing."""
    meter = NoOpMeterProvider().get_meter(_SCOPE)
    return Telemetry(
        enabled=False,
        tracer=NoOpTracerProvider().get_tracer(_SCOPE),
        meter=meter,
        instruments=Instruments(meter),
        _close=lambda: None,
        _restore_logs=restore_logs,
    )
