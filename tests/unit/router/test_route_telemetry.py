"""What is logged and counted of the choice of targets."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from libs.core.resource_names import Owner
from libs.telemetry.telemetry import Telemetry, configure, recording
from services.router.domain.configuration import Capabilities
from services.router.domain.embedding import Embedding
from services.router.domain.preference import Preferences
from services.router.telemetry.attempts import TelemetryObserver
from services.router.telemetry.lately import Lately
from tests.unit.router.fakes import FakeConfig, World, ask, choice, configuration, context, model, provider


@pytest.fixture
def log() -> Iterator[io.BytesIO]:
    stream = io.BytesIO()
    telemetry = configure("router", log_level="debug", stream=stream)
    yield stream
    telemetry.restore_logs()


@pytest.fixture
def metrics() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def telemetry(metrics: InMemoryMetricReader) -> Iterator[Telemetry]:
    made = recording("router", spans=SimpleSpanProcessor(InMemorySpanExporter()), metrics=metrics)
    yield made
    made.shutdown()


def lines(log: io.BytesIO, event: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.getvalue().splitlines()) if line["event"] == event]


def counted(metrics: InMemoryMetricReader, name: str) -> list[tuple[dict[str, Any], Any]]:
    data = metrics.get_metrics_data()
    return [
        (dict(point.attributes or {}), point.value)
        for resource in (data.resource_metrics if data is not None else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == name
        for point in metric.data.data_points
        if hasattr(point, "value")
    ]


async def call(world: World, telemetry: Telemetry, observer: TelemetryObserver | None = None) -> None:
    world.observer = observer or TelemetryObserver(telemetry)  # type: ignore[assignment]
    await world.generator().generate(ask("a secret question"), context())


async def test_vectors_and_answers_are_told_apart(telemetry: Telemetry, metrics: InMemoryMetricReader) -> None:
    both = provider("one", models=[model("a"), model("b", capabilities=Capabilities(embeddings=True))])
    world = World(config=FakeConfig(configuration([both])))
    await call(world, telemetry)
    await world.embeddings().embed(Embedding(inputs=("a secret text",)), context())
    found = [attributes["gen_ai.operation.name"] for attributes, _ in counted(metrics, "gatehouse.attempts")]
    assert sorted(found) == ["chat", "embeddings"]


async def test_a_passed_over_preference_is_one_line_and_one_count(
    log: io.BytesIO, telemetry: Telemetry, metrics: InMemoryMetricReader
) -> None:
    held = configuration(
        [provider("one"), provider("off", active=False)], preferences=Preferences(user="ann", preferred=choice("off"))
    )
    await call(World(config=FakeConfig(held)), telemetry)
    (line,) = lines(log, "target_passed_over")
    assert (line["tenant"], line["provider"], line["rule"], line["reason"], line["level"]) == (
        "acme",
        "tenants/acme/providers/off",
        "preference",
        "PROVIDER_INACTIVE",
        "warning",
    )
    assert counted(metrics, "gatehouse.route.passed_over") == [
        ({"gatehouse.route.rule": "preference", "gatehouse.route.cause": "PROVIDER_INACTIVE"}, 1)
    ]
    assert b"secret question" not in log.getvalue()


async def test_a_choice_that_stays_passed_over_warns_once_and_counts_every_time(
    log: io.BytesIO, telemetry: Telemetry, metrics: InMemoryMetricReader
) -> None:
    broken = [provider("off", active=False), provider("gone", models=[model(enabled=False)])]
    observer = TelemetryObserver(telemetry)
    for name in ("off", "off", "gone", "off"):
        held = configuration(
            [provider("one"), *broken], preferences=Preferences(user="ann", preferred=choice(name, "small"))
        )
        await call(World(config=FakeConfig(held)), telemetry, observer)
    said = [(line["provider"].rpartition("/")[2], line["level"]) for line in lines(log, "target_passed_over")]
    assert said == [("off", "warning"), ("off", "debug"), ("gone", "warning"), ("off", "debug")]
    assert sum(value for _, value in counted(metrics, "gatehouse.route.passed_over")) == 4


def test_news_is_what_was_not_said_within_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.router.telemetry.lately._MOST", 2)
    lately = Lately()
    assert [lately.is_news("one", now) for now in (0.0, 59.0, 60.0, 119.0)] == [True, False, True, False]
    assert [lately.is_news(each, 120.0) for each in ("two", "three", "three", "one")] == [True, True, False, True]


async def test_the_platform_standing_in_is_one_line_and_one_count(
    log: io.BytesIO, telemetry: Telemetry, metrics: InMemoryMetricReader
) -> None:
    await call(World(config=FakeConfig(configuration([], [provider("common", owner=Owner())]))), telemetry)
    (line,) = lines(log, "platform_fallback")
    assert (line["tenant"], line["provider"], line["rule"]) == ("acme", "platform/providers/common", "platform")
    assert counted(metrics, "gatehouse.route.platform_fallbacks") == [({"gatehouse.route.rule": "platform"}, 1)]


async def test_the_platform_that_goes_on_standing_in_is_told_once_and_counted_every_time(
    log: io.BytesIO, telemetry: Telemetry, metrics: InMemoryMetricReader
) -> None:
    world, observer = World(), TelemetryObserver(telemetry)
    world.config = FakeConfig(configuration([], [provider("common", owner=Owner())]))
    for _ in range(3):
        await call(world, telemetry, observer)
    assert [line["level"] for line in lines(log, "platform_fallback")] == ["info", "debug", "debug"]
    assert counted(metrics, "gatehouse.route.platform_fallbacks") == [({"gatehouse.route.rule": "platform"}, 3)]


async def test_an_ordinary_call_logs_and_counts_neither(
    log: io.BytesIO, telemetry: Telemetry, metrics: InMemoryMetricReader
) -> None:
    await call(World(), telemetry)
    assert lines(log, "target_passed_over") + lines(log, "platform_fallback") == []
    assert counted(metrics, "gatehouse.route.passed_over") == []
