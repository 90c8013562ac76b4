"""How current the router's configuration is, as metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Observation

from libs.telemetry import names
from libs.telemetry.telemetry import Telemetry


def observe_configuration(telemetry: Telemetry, *, age_s: Callable[[], float], tenants: Callable[[], int]) -> None:
    """Report both whenever metrics are exported, which happens in a thread of its own."""

    def age(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(age_s())

    def count(_: CallbackOptions) -> Iterable[Observation]:
        yield Observation(tenants())

    telemetry.meter.create_observable_gauge(
        names.METRIC_CONFIG_AGE,
        callbacks=[age],
        unit="s",
        description="Time since the configuration held was last known to be current.",
    )
    telemetry.meter.create_observable_gauge(
        names.METRIC_CONFIG_TENANTS,
        callbacks=[count],
        unit="{tenant}",
        description="Tenants whose configuration is held.",
    )
