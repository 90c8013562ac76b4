"""How current the configuration is, for whoever watches the router."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs.telemetry import names
from libs.telemetry.telemetry import recording, silent
from services.router.telemetry.configuration import observe_configuration


def test_age_and_number_of_tenants_are_read_at_every_export() -> None:
    reader = InMemoryMetricReader()
    telemetry = recording("router", spans=SimpleSpanProcessor(InMemorySpanExporter()), metrics=reader)
    age_s, tenants = 0.25, 3
    observe_configuration(telemetry, age_s=lambda: age_s, tenants=lambda: tenants)
    assert _exported(reader) == {names.METRIC_CONFIG_AGE: 0.25, names.METRIC_CONFIG_TENANTS: 3}
    age_s, tenants = 90.0, 2
    assert _exported(reader) == {names.METRIC_CONFIG_AGE: 90.0, names.METRIC_CONFIG_TENANTS: 2}
    telemetry.shutdown()


def test_without_a_collector_nothing_is_read() -> None:
    def fail() -> Any:
        raise AssertionError("read")

    observe_configuration(silent(), age_s=fail, tenants=fail)


def _exported(reader: InMemoryMetricReader) -> dict[str, float]:
    data: Any = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    return {metric.name: metric.data.data_points[0].value for metric in metrics}
