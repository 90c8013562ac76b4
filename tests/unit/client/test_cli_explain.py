"""Where calls would go, what they would cost, how targets do, and which arm does better."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from gatehouse.cli.output import local_time
from gatehouse.router.v1.generation_pb2 import RouteTrace
from gatehouse.router.v1.generation_service_pb2 import CostEstimate, EstimateCostResponse, ExplainRouteResponse
from gatehouse.router.v1.provider_health_service_pb2 import (
    BREAKER_STATE_CLOSED,
    BREAKER_STATE_OPEN,
    ConfigurationState,
    ListProviderHealthResponse,
    ProviderHealth,
)
from gatehouse.usage.v1.usage_service_pb2 import Estimate, ExperimentArmStats, GetExperimentStatsResponse
from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money

from tests.unit.client.fake_gatehouse import FakeGatehouse
from tests.unit.client.samples import KEY, PLAN, PROVIDER, TARGET, from_now

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("now")


def cells(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line.strip()]


def dollars(nanos: int) -> Money:
    return Money(currency_code="USD", nanos=nanos)


def test_explain_shows_the_plan_what_was_left_out_and_what_it_rests_on(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["ExplainRoute"] = lambda _: PLAN
    result = run("explain", "--model", "gpt-4o-mini", "--task", "extraction", "--session", "chat-1", "hi")
    assert result.exit_code == 0
    assert cells(result.stdout) == [
        ["TRY", "PROVIDER", "MODEL", "KEY", "RULE", "WHY", "COSTS ABOUT"],
        ["1", "openai", "gpt-4o-mini", "openai", "route", "the route's first target", "$0.00001245"],
        ["left out"],
        ["PROVIDER", "MODEL", "CAUSE", "WHY"],
        ["spare (platform)", "big", "PROVIDER_INACTIVE", "the provider is inactive"],
        ["resting on"],
        ["route", "tenants/acme/routes/extraction"],
        ["experiment", "tenants/acme/routes/extraction/experiments/cheaper"],
        ["arm", "control"],
        ["profile", "tenants/acme/users/dev/profiles/work"],
        ["complexity", "35 of 100 (length 20 + code 15), tier hard"],
        ["revision", "42"],
        ["configuration", "known to be current 120 ms ago"],
    ]
    assert result.stderr == "warning: key_vault was not asked\n"
    call = fake.last("ExplainRoute").request.generation
    assert (call.model, call.task, call.session) == ("gpt-4o-mini", "extraction", "chat-1")
    document = json.loads(run("explain", "--json").stdout)
    assert document["trace"]["rejected"][0]["cause"] == "PROVIDER_INACTIVE"


def test_explain_copes_with_what_a_server_does_not_say(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["ExplainRoute"] = lambda _: ExplainRouteResponse()
    result = run("explain")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no target can serve this call\n")
    old = RouteTrace(targets=[TARGET], revision=1, configuration_age=Duration(seconds=9))
    fake.answers["ExplainRoute"] = lambda _: ExplainRouteResponse(trace=old)
    rows = cells(run("explain").stdout)
    assert rows[1][-1] == "unknown"
    assert rows[-1] == ["configuration", "known to be current 9.00 s ago: the router does not reach provider_config"]


def test_the_prompt_can_be_piped_in(fake: FakeGatehouse, run: Run) -> None:
    run("explain", "-", input="a long text\n")
    (message,) = fake.last("ExplainRoute").request.generation.messages
    assert message.parts[0].text == "a long text"
    run("explain")
    assert not fake.last("ExplainRoute").request.generation.messages
    assert run("estimate", "-", input="").exit_code == 2


def test_an_estimate_shows_what_is_likely_and_what_is_most(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["EstimateCost"] = lambda _: EstimateCostResponse(
        estimates=[
            CostEstimate(
                target=TARGET,
                likely_input_tokens=1_200,
                likely_output_tokens=300,
                likely_cost=dollars(360_000),
                most_input_tokens=2_400,
                most_output_tokens=4_096,
                most_cost=dollars(2_817_600),
                assumptions=["the catalogue's price", "4 bytes a token"],
            ),
            CostEstimate(target=TARGET, assumptions=["4 bytes a token", "no price is known"]),
        ],
        revision=42,
    )
    result = run("estimate", "--system", "Be brief.", "--max-output-tokens", "4096", "Why?")
    assert cells(result.stdout) == [
        ["TRY", "PROVIDER", "MODEL", "LIKELY IN", "OUT", "COST", "AT MOST IN", "OUT", "COST"],
        ["1", "openai", "gpt-4o-mini", "1,200", "300", "$0.00036", "2,400", "4,096", "$0.0028176"],
        ["2", "openai", "gpt-4o-mini", "0", "0", "unknown", "0", "0", "unknown"],
    ]
    assert result.stderr.splitlines() == [
        "assumed: the catalogue's price (openai / gpt-4o-mini)",
        "assumed: 4 bytes a token",
        "assumed: no price is known (openai / gpt-4o-mini)",
    ]
    assert len(fake.last("EstimateCost").request.generation.messages) == 2
    assert json.loads(run("estimate", "x", "--json").stdout)["revision"] == "42"
    fake.answers["EstimateCost"] = lambda _: EstimateCostResponse()
    assert "`gatehouse explain` says why" in run("estimate", "x").stderr


def test_health_shows_targets_and_how_current_the_router_is(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["ListProviderHealth"] = lambda _: ListProviderHealthResponse(
        targets=[
            ProviderHealth(
                provider=PROVIDER.name,
                model="gpt-4o",
                key=KEY.name,
                state=BREAKER_STATE_OPEN,
                recent_calls=20,
                recent_faults=15,
                average_first_content=Duration(nanos=412_000_000),
                calls_under_way=1_000,
                cooling_until=from_now(30),
            ),
            ProviderHealth(provider="platform/providers/p", model="m", state=BREAKER_STATE_CLOSED),
        ],
        configuration=ConfigurationState(connected=True, revision=42),
    )
    result = run("health")
    assert cells(result.stdout) == [
        [
            *("PROVIDER", "MODEL", "KEY", "STATE", "CALLS IN 60 S", "FAULTS", "FIRST CONTENT", "UNDER WAY"),
            "COOLING UNTIL",
        ],
        [
            *("openai", "gpt-4o", "openai", "cooling down", "20", "15 (75%)", "412 ms", "1,000"),
            f"{local_time(from_now(30))} (in 30 s)",
        ],
        ["p (platform)", "m", "none", "serving", "0", "0", "-", "0"],
    ]
    assert result.stderr == "configuration revision 42, current\n"
    fake.answers["ListProviderHealth"] = lambda _: ListProviderHealthResponse(
        configuration=ConfigurationState(age=Duration(seconds=90), revision=41)
    )
    stale = run("health")
    assert "this router has called nothing lately" in stale.stderr
    assert "revision 41, 1 min 30 s old: the router does not reach provider_config" in stale.stderr
    assert json.loads(run("health", "--json").stdout)["configuration"]["revision"] == "41"
    fake.answers["ListProviderHealth"] = lambda _: ListProviderHealthResponse()
    assert run("health").exit_code == 0


def test_arms_are_compared_with_their_intervals(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["GetExperimentStats"] = lambda _: GetExperimentStatsResponse(
        arms=[
            ExperimentArmStats(
                arm="control",
                calls=1_000,
                succeeded=971,
                success_rate=Estimate(value=0.971, low=0.959, high=0.98),
                duration_s=Estimate(value=1.234, low=1.1, high=1.36),
                first_content_s=Estimate(value=0.3, low=0.28, high=0.32),
                cost_nano_usd=Estimate(value=1_234_567.8, low=1_200_000, high=1_260_000),
                total_cost=Money(currency_code="USD", units=1, nanos=234_567_800),
            ),
            ExperimentArmStats(arm="mini", calls=1, success_rate=Estimate(value=1, low=0.2, high=1), unpriced_calls=1),
        ]
    )
    result = run("experiments", "stats", "writing/cheaper", "--since", "7d")
    assert cells(result.stdout)[1:] == [
        [
            *("control", "1,000", "97.1% (95.9% to 98.0%)", "1.23 s (1.10 s to 1.36 s)", "300 ms (280 ms to 320 ms)"),
            *("$0.001235 ($0.0012 to $0.00126)", "$1.2345678", "0"),
        ],
        ["mini", "1", "100.0% (20.0% to 100.0%)", "-", "-", "-", "$0.00", "1"],
    ]
    assert "95 % confidence" in result.stderr
    request = fake.last("GetExperimentStats").request
    assert request.name == "tenants/acme/routes/writing/experiments/cheaper"
    assert request.HasField("start_time")
    full = "tenants/x/routes/writing/experiments/cheaper"
    assert json.loads(run("experiments", "stats", full, "--json").stdout)["arms"][0]["arm"] == "control"
    assert fake.last("GetExperimentStats").request.name == full
    fake.answers["GetExperimentStats"] = lambda _: GetExperimentStatsResponse()
    assert "gatehouse explain --task writing" in run("experiments", "stats", "writing/cheaper").stderr


@pytest.mark.parametrize("name", ["writing", "a/b/c", "/x", "tenants/x/routes/y", "A/b"])
def test_what_names_no_experiment_is_a_usage_error(fake: FakeGatehouse, run: Run, name: str) -> None:
    assert run("experiments", "stats", name).exit_code == 2
    assert fake.received == []


@pytest.mark.parametrize("command", ["explain", "chat", "estimate"])
def test_a_provider_is_named_as_everywhere_else(fake: FakeGatehouse, run: Run, command: str) -> None:
    given = {"openai": "openai", "platform/p": "platform/providers/p", "tenant/p": "tenants/acme/providers/p"}
    for reference, sent in given.items():
        run(command, "--provider", reference, "Hi")
        assert fake.received[-1].request.generation.provider == sent
    fake.received.clear()
    result = run(command, "--provider", "https://api.openai.com/v1", "Hi")
    assert result.exit_code == 2
    assert "--provider" in result.stderr
    assert fake.received == []
