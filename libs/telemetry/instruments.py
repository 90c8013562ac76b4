"""The metrics Gatehouse records, made once per process."""

from __future__ import annotations

from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter

from libs.telemetry import names

# Bucket bounds from OpenTelemetry's GenAI and RPC metric conventions.
_OPERATION_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_RPC_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128)


class Instruments:
    """One attribute per metric. With a no-op meter each of them does nothing."""

    def __init__(self, meter: Meter) -> None:
        self.operation_duration: Histogram = meter.create_histogram(
            names.METRIC_OPERATION_DURATION,
            unit="s",
            description="Time of one attempt at a provider.",
            explicit_bucket_boundaries_advisory=_OPERATION_SECONDS,
        )
        self.time_to_first_chunk: Histogram = meter.create_histogram(
            names.METRIC_TIME_TO_FIRST_CHUNK,
            unit="s",
            description="Time from sending a streamed request to its first content.",
            explicit_bucket_boundaries_advisory=_OPERATION_SECONDS,
        )
        self.token_usage: Histogram = meter.create_histogram(
            names.METRIC_TOKEN_USAGE,
            unit="{token}",
            description="Input and output tokens of one attempt.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.rpc_duration: Histogram = meter.create_histogram(
            names.METRIC_RPC_SERVER_DURATION,
            unit="s",
            description="Time of one call, served here.",
            explicit_bucket_boundaries_advisory=_RPC_SECONDS,
        )
        self.attempts: Counter = meter.create_counter(
            names.METRIC_ATTEMPTS, unit="{attempt}", description="Attempts at providers by outcome."
        )
        self.targets_passed_over: Counter = meter.create_counter(
            names.METRIC_PASSED_OVER,
            unit="{target}",
            description="Targets whose place another took, by the rule that put them first and what stood in the way.",
        )
        self.platform_fallbacks: Counter = meter.create_counter(
            names.METRIC_PLATFORM_FALLBACKS,
            unit="{attempt}",
            description="Attempts with the platform's providers, by the rule that chose them.",
        )
        self.cost: Counter = meter.create_counter(
            names.METRIC_COST, unit="{nUSD}", description="Settled cost in nano-USD."
        )
        self.batch_size: Histogram = meter.create_histogram(
            names.METRIC_BATCH_SIZE,
            unit="{item}",
            description="Items that rode in one request between services.",
            explicit_bucket_boundaries_advisory=_BATCH,
        )
        self.plugins: UpDownCounter = meter.create_up_down_counter(
            names.METRIC_PLUGINS, unit="{plugin}", description="Plugins found at the start, loaded and refused."
        )
        self.plugin_failures: Counter = meter.create_counter(
            names.METRIC_PLUGIN_FAILURES,
            unit="{failure}",
            description="Failures of plugins' own code; each failed one attempt at a provider.",
        )
        self.spool_pending: UpDownCounter = meter.create_up_down_counter(
            names.METRIC_SPOOL_PENDING, unit="{record}", description="Usage records not yet acknowledged by the ledger."
        )
