"""Spans and metrics: their names, what is masked in them, and how a trace crosses services."""

from __future__ import annotations

import io
import json
import socket
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes, rpc_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics, rpc_metrics
from opentelemetry.trace import Status, StatusCode
from opentelemetry.util.types import AttributeValue

from libs.telemetry import names
from libs.telemetry.logs import get_logger
from libs.telemetry.telemetry import Telemetry, configure, recording, silent
from libs.telemetry.trace_context import Metadata, extract, inject

CANARY = "sk-canary-0123456789abcdef"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def metrics() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def telemetry(spans: InMemorySpanExporter, metrics: InMemoryMetricReader) -> Any:
    telemetry = recording("router", spans=SimpleSpanProcessor(spans), metrics=metrics)
    yield telemetry
    telemetry.shutdown()


def test_a_span_keeps_its_names_and_harmless_values(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    attributes: dict[str, AttributeValue] = {
        names.ATTR_OPERATION_NAME: names.OPERATION_CHAT,
        names.ATTR_PROVIDER_NAME: "openai",
        names.ATTR_REQUEST_MODEL: "gpt-4o-mini",
        names.ATTR_INPUT_TOKENS: 12,
        names.ATTR_FINISH_REASONS: ["stop"],
        names.ATTR_PROVIDER: "tenants/acme/providers/openai",
    }
    with telemetry.tracer.start_as_current_span(f"{names.SPAN_CHAT} gpt-4o-mini", attributes=attributes):
        pass
    (span,) = spans.get_finished_spans()
    assert span.name == "chat gpt-4o-mini"
    assert (
        dict(span.attributes or {}) == {**attributes, names.ATTR_FINISH_REASONS: ("stop",)}
        or dict(span.attributes or {}) == attributes
    )
    assert span.resource.attributes["service.name"] == "router"
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time >= span.start_time


def test_keys_and_prompts_are_masked_everywhere_in_a_span(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    link = trace.Link(trace.INVALID_SPAN_CONTEXT, {"note": CANARY})

    def attempt() -> None:
        with telemetry.tracer.start_as_current_span(f"chat {CANARY}", links=[link]) as span:
            span.set_attribute("note", f"Bearer {CANARY}")
            span.set_attribute("list", [CANARY, "x"])
            span.set_attribute("gen_ai.prompt", "the canary prompt")
            span.set_attribute(CANARY, 1)
            span.add_event(f"sent {CANARY}", {"authorization": "canary"})
            raise ValueError(f"plain-canary-7f3e9a1b2c4d {CANARY}")

    with pytest.raises(ValueError, match="canary"):
        attempt()
    with telemetry.tracer.start_as_current_span("other") as span:
        span.set_status(Status(StatusCode.ERROR, f"refused {CANARY}"))
    for finished in spans.get_finished_spans():
        assert "canary" not in finished.to_json()
    assert spans.get_finished_spans()[0].status.status_code is StatusCode.ERROR


def test_metrics_carry_the_conventions_names(telemetry: Telemetry, metrics: InMemoryMetricReader) -> None:
    telemetry.instruments.operation_duration.record(0.5, {names.ATTR_OPERATION_NAME: names.OPERATION_CHAT})
    telemetry.instruments.token_usage.record(12, {names.ATTR_TOKEN_TYPE: names.TOKEN_TYPE_INPUT})
    telemetry.instruments.attempts.add(1)
    data = metrics.get_metrics_data()
    assert data is not None
    found = {
        metric.name: metric.unit
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert found == {
        "gen_ai.client.operation.duration": "s",
        "gen_ai.client.token.usage": "{token}",
        "gatehouse.attempts": "{attempt}",
    }


def test_names_are_those_of_the_conventions() -> None:
    known = {
        value
        for module in (gen_ai_attributes, rpc_attributes, gen_ai_metrics, rpc_metrics)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    ours = {
        value
        for name, value in vars(names).items()
        if name.startswith(("ATTR_", "METRIC_")) and value.startswith(("gen_ai.", "rpc."))
    }
    assert ours <= known


def test_a_name_stands_for_one_thing() -> None:
    for prefix in ("EVENT_", "FIELD_", "SPAN_", "ATTR_", "METRIC_"):
        values = [value for name, value in vars(names).items() if name.startswith(prefix)]
        assert values
        assert len(values) == len(set(values))


def test_without_a_collector_nothing_is_recorded() -> None:
    quiet = silent()
    assert not quiet.enabled
    with quiet.tracer.start_as_current_span("chat") as span:
        assert not span.is_recording()
        quiet.instruments.token_usage.record(1)
    assert quiet.shutdown()


@pytest.mark.parametrize("endpoint", ["localhost:4317", "grpc://x:1", "http://u:p@x:1", "http://"])
def test_a_wrong_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="OTLP endpoint"):
        configure("router", otlp_endpoint=endpoint, stream=io.BytesIO())


def test_shutdown_does_not_wait_for_a_silent_collector() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        lines = io.BytesIO()
        telemetry = configure(
            "router", otlp_endpoint=f"http://127.0.0.1:{mute.getsockname()[1]}", stream=lines, log_level="error"
        )
        try:
            assert telemetry.enabled
            with telemetry.tracer.start_as_current_span("chat"):
                get_logger("x").error("inside")
            assert not telemetry.shutdown(timeout_s=0.2)
        finally:
            telemetry.restore_logs()
    record = json.loads(lines.getvalue().splitlines()[0])
    assert len(record["trace_id"]) == 32
    assert len(record["span_id"]) == 16


def test_a_trace_crosses_from_one_service_to_the_next(telemetry: Telemetry, spans: InMemorySpanExporter) -> None:
    context = extract((("x-request-id", "r1"), ("traceparent", PARENT)))
    with telemetry.tracer.start_as_current_span("server", context=context):
        sent = inject((("x-request-id", "r1"), ("traceparent", "stale")))
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert span.parent is not None
    assert trace.format_trace_id(span.context.trace_id) == "0af7651916cd43dd8448eb211c80319c"
    assert trace.format_span_id(span.parent.span_id) == "b7ad6b7169203331"
    own = f"00-0af7651916cd43dd8448eb211c80319c-{trace.format_span_id(span.context.span_id)}-01"
    assert sent == (("x-request-id", "r1"), ("traceparent", own))


def test_outside_a_trace_metadata_stays_as_it_is() -> None:
    metadata: Metadata = (("x-request-id", "r1"), ("raw-bin", b"\x00"))
    assert inject(metadata) is metadata


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("traceparent", "garbage"),),
        (("traceparent", b"\x00"),),
        (("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"),),
        (("traceparent", PARENT), ("traceparent", PARENT)),
        (("tracestate", "a=b"),),
        (("Traceparent", PARENT),),
    ],
)
def test_a_malformed_parent_is_ignored(metadata: Metadata) -> None:
    assert extract(metadata) is None


def test_an_oversized_tracestate_is_dropped() -> None:
    context = extract((("traceparent", PARENT), ("tracestate", "a=" + "b" * 600)))
    assert context is not None
    assert trace.get_current_span(context).get_span_context().is_valid
    assert not trace.get_current_span(context).get_span_context().trace_state
