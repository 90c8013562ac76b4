"""Trying a provider: what each failure comes to, and what is told of the key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from gatehouse.router.v1 import probe_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from libs.core.errors import (
    FailedPrecondition,
    GatehouseError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from libs.core.secret import Secret
from services.router.api import read_probes
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.health import TargetHealth
from services.router.domain.ports import OpenedKey
from services.router.domain.probe import (
    _MEANINGS,
    LONGEST_MODEL_ID,
    MOST_MODELS,
    Endpoint,
    Probe,
    ProbeOutcome,
    Prober,
    ProbeResult,
    SavedKey,
)
from tests.unit.router.planning import NOW, fault

ENDPOINT = Endpoint(
    type="openai", base_url="https://api.openai.com/v1", origin="https://api.openai.com:443", options={"project": "p"}
)
SAVED = SavedKey(name="tenants/acme/keys/openai", caller_token=Secret(b"token"))
MATERIAL = Secret(b"sk-canary-0123456789")


class World:
    """Stand-ins for key service, outcome reporter and provider."""

    def __init__(self) -> None:
        self.opens: OpenedKey | GatehouseError = OpenedKey(material=MATERIAL, version=3, fallback_version=2)
        self.asked: list[tuple[str, str, Secret]] = []
        self.told: list[tuple[str, str, int]] = []
        self.health = TargetHealth()
        self.sent: list[tuple[Endpoint, Secret | None, float]] = []
        self.answers: Callable[[], frozenset[str]] = lambda: frozenset({"gpt-4o", "gpt-4o-mini"})

    def open_for_probe(
        self, *, name: str, origin: str, caller_token: Secret
    ) -> asyncio.Future[OpenedKey | GatehouseError]:
        self.asked.append((name, origin, caller_token))
        future: asyncio.Future[OpenedKey | GatehouseError] = asyncio.get_running_loop().create_future()
        future.set_result(self.opens)
        return future

    def used(self, key: str, version: int, sent_time: float) -> None:
        self.told.append(("used", key, version))

    def succeeded(self, key: str, version: int, sent_time: float) -> None:
        self.told.append(("succeeded", key, version))

    def rejected(self, key: str, version: int, sent_time: float, refusal_time: float) -> None:
        self.told.append(("rejected", key, version))

    def exhausted(self, key: str, version: int, sent_time: float, refusal_time: float) -> None:
        self.told.append(("exhausted", key, version))

    def requires_key(self, type_: str) -> bool:
        return type_ == "openai"

    async def read(self, endpoint: Endpoint, key: Secret | None, *, timeout_s: float) -> frozenset[str]:
        self.sent.append((endpoint, key, timeout_s))
        return self.answers()

    async def probe(self, key: SavedKey | Secret | None = SAVED, model: str = "", type_: str = "openai") -> ProbeResult:
        endpoint = Endpoint(type=type_, base_url=ENDPOINT.base_url, origin=ENDPOINT.origin, options=ENDPOINT.options)
        prober = Prober(lists=self, keys=self, outcomes=self, health=self.health)
        return await prober(Probe(endpoint=endpoint, key=key, model=model, timeout_s=7.0))


def failing(error: BaseException) -> Callable[[], frozenset[str]]:
    def answers() -> frozenset[str]:
        raise error

    return answers


async def test_a_provider_that_lists_its_models_is_right() -> None:
    world = World()
    result = await world.probe()
    assert (result.outcome, result.model_ids) == (ProbeOutcome.OK, ("gpt-4o", "gpt-4o-mini"))
    assert world.asked == [(SAVED.name, ENDPOINT.origin, SAVED.caller_token)]
    assert world.sent == [(ENDPOINT, MATERIAL, 7.0)]
    assert world.told == [("succeeded", SAVED.name, 3)], "which makes a key that was refused before work again"


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-9"])
async def test_a_model_is_looked_for(model: str) -> None:
    world = World()
    result = await world.probe(model=model)
    assert result.outcome is (ProbeOutcome.OK if model == "gpt-4o" else ProbeOutcome.UNKNOWN_MODEL)
    assert result.model_ids == ("gpt-4o", "gpt-4o-mini")
    assert world.told == [("succeeded", SAVED.name, 3)]


@pytest.mark.parametrize("model", ["", "gpt-9"])
async def test_a_key_that_is_taken_again_rests_no_longer(model: str) -> None:
    world = World()
    other = SAVED.name + "-other"
    for name in (SAVED.name, other):
        fault(world.health, ("tenants/acme/providers/openai", "gpt-4o", name), Reason.PROVIDER_KEY_REJECTED)
    await world.probe(model=model)
    assert world.health.pause(("tenants/acme/providers/openai", "gpt-4o", SAVED.name), NOW) is None
    assert world.health.pause(("tenants/acme/providers/openai", "gpt-4o", other), NOW) is not None


async def test_what_else_a_target_rests_for_a_test_does_not_mend() -> None:
    world = World()
    target = ("tenants/acme/providers/openai", "gpt-4o", SAVED.name)
    fault(world.health, target, Reason.PROVIDER_BILLING)
    await world.probe()
    assert world.health.pause(target, NOW) is not None


@pytest.mark.parametrize(
    ("error", "outcome", "told"),
    [
        (ProviderError(Reason.PROVIDER_KEY_REJECTED, status=401), ProbeOutcome.BAD_KEY, "rejected"),
        (ProviderError(Reason.PROVIDER_PERMISSION_DENIED, status=403), ProbeOutcome.NO_PERMISSION, "used"),
        (ProviderError(Reason.PROVIDER_MODEL_NOT_FOUND, status=404), ProbeOutcome.WRONG_ENDPOINT, "used"),
        (ProviderError(Reason.PROVIDER_BAD_RESPONSE, status=200), ProbeOutcome.WRONG_ENDPOINT, "used"),
        (ProviderError(Reason.PROVIDER_INVALID_REQUEST, status=405), ProbeOutcome.WRONG_ENDPOINT, "used"),
        (ProviderError(Reason.PROVIDER_RATE_LIMITED, status=429), ProbeOutcome.RATE_LIMITED, "used"),
        (ProviderError(Reason.PROVIDER_BILLING, status=429), ProbeOutcome.PROVIDER_ERROR, "exhausted"),
        (ProviderError(Reason.PROVIDER_ERROR, status=500), ProbeOutcome.PROVIDER_ERROR, "used"),
        (ProviderError(Reason.PROVIDER_OVERLOADED, status=503), ProbeOutcome.PROVIDER_ERROR, "used"),
        (ProviderError(Reason.PROVIDER_TIMEOUT, timer="total", sent=True), ProbeOutcome.UNREACHABLE, "used"),
        (ProviderError(Reason.PROVIDER_TIMEOUT, timer="connect"), ProbeOutcome.UNREACHABLE, None),
        (ProviderError(Reason.PROVIDER_UNREACHABLE), ProbeOutcome.UNREACHABLE, None),
        (ProviderError(Reason.PROVIDER_ADDRESS_REFUSED), ProbeOutcome.UNREACHABLE, None),
    ],
)
async def test_a_provider_that_fails_is_a_result(error: ProviderError, outcome: ProbeOutcome, told: str | None) -> None:
    world = World()
    world.answers = failing(error)
    result = await world.probe()
    assert (result.outcome, result.model_ids) == (outcome, ())
    assert result.message
    assert world.told == ([(told, SAVED.name, 3)] if told else [])


def test_every_failure_of_a_provider_has_a_meaning() -> None:
    of_providers = {each for each in Reason if each.startswith("PROVIDER_")}
    assert of_providers | {Reason.CONTEXT_TOO_LONG, Reason.CONTENT_REFUSED} == set(_MEANINGS)


@pytest.mark.parametrize(
    "error",
    [
        FailedPrecondition("KEY_DISABLED", "x"),
        FailedPrecondition("ORIGIN_MISMATCH", "x"),
        FailedPrecondition("VAULT_SECRET_MISSING", "x"),
        FailedPrecondition("SOMETHING_NEW", "x"),
        NotFound("KEY_NOT_FOUND", "x"),
        PermissionDenied("PERMISSION_DENIED", "x"),
    ],
)
async def test_a_key_that_does_not_open_is_a_result_and_nothing_is_sent(error: GatehouseError) -> None:
    world = World()
    world.opens = error
    result = await world.probe()
    assert result.outcome is ProbeOutcome.KEY_UNUSABLE
    assert (world.sent, world.told) == ([], [])


async def test_a_key_service_that_is_away_says_nothing_about_the_provider() -> None:
    world = World()
    world.opens = Unavailable("VAULT_SEALED", "sealed")
    with pytest.raises(Unavailable):
        await world.probe()


async def test_a_key_in_clear_is_sent_and_nothing_is_told_of_it() -> None:
    world = World()
    assert (await world.probe(Secret(b"sk-fresh"))).outcome is ProbeOutcome.OK
    assert [key for _, key, _ in world.sent] == [Secret(b"sk-fresh")]
    world.answers = failing(ProviderError(Reason.PROVIDER_KEY_REJECTED, status=401))
    assert (await world.probe(Secret(b"sk-fresh"))).outcome is ProbeOutcome.BAD_KEY
    assert (world.asked, world.told) == ([], [])


async def test_a_key_is_needed_where_the_type_needs_one() -> None:
    world = World()
    assert (await world.probe(None)).outcome is ProbeOutcome.KEY_UNUSABLE
    assert world.sent == []
    result = await world.probe(None, type_="openai_compatible")
    assert (result.outcome, result.message) == (ProbeOutcome.OK, "it answers, without a key")


async def test_a_test_that_is_cancelled_has_used_the_key() -> None:
    world = World()
    world.answers = failing(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await world.probe()
    assert world.told == [("used", SAVED.name, 3)]


async def test_a_long_list_is_cut_and_what_no_screen_should_show_is_left_out() -> None:
    world = World()
    strange = {"x" * (LONGEST_MODEL_ID + 1), "a\x1b[2J", "b\n"}
    world.answers = lambda: frozenset({*(f"m{number:05}" for number in range(MOST_MODELS + 10)), *strange})
    result = await world.probe(model=f"m{MOST_MODELS + 5:05}")
    assert result.outcome is ProbeOutcome.OK, "it is looked for in the whole list"
    assert result.model_ids == tuple(f"m{number:05}" for number in range(MOST_MODELS))


def test_a_request_is_read_whole() -> None:
    options = Struct()
    options.update({"project": "p"})
    request = pb.ProbeProviderRequest(
        type="openai",
        base_url="https://api.openai.com/v1",
        options=options,
        key="tenants/acme/keys/openai",
        caller_token=b"token",
        model="gpt-4o",
        timeout=Duration(seconds=7),
    )
    assert read_probes.probe(request, {"openai"}) == Probe(endpoint=ENDPOINT, key=SAVED, model="gpt-4o", timeout_s=7.0)
    request.ClearField("timeout")
    assert read_probes.probe(request, {"openai"}).timeout_s == 15.0


def test_a_key_in_clear_is_a_secret_at_once() -> None:
    request = pb.ProbeProviderRequest(type="openai", base_url="https://a/v1", api_key=b"sk-canary-1")
    read = read_probes.probe(request, {"openai"})
    assert read.key == Secret(b"sk-canary-1")
    assert "canary" not in repr(read)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"type": "none", "base_url": ""}, {"type", "base_url"}),
        ({"base_url": "ftp://x"}, {"base_url"}),
        ({"base_url": "https://x/" + "a" * 2048}, {"base_url"}),
        ({"key": "tenants/acme/keys/openai"}, {"caller_token"}),
        ({"key": "acme", "caller_token": b"t"}, {"key"}),
        ({"key": "tenants/acme/keys/openai", "caller_token": b"t", "api_key": b"k"}, {"key"}),
        ({"api_key": b"k" * 8193}, {"api_key"}),
        ({"model": "m" * 257}, {"model"}),
        ({"timeout": Duration(seconds=61)}, {"timeout"}),
        ({"timeout": Duration(seconds=0)}, {"timeout"}),
        ({"timeout": Duration(seconds=-1)}, {"timeout"}),
    ],
)
def test_wrong_fields_are_named(changes: dict[str, object], fields: set[str]) -> None:
    values: dict[str, object] = {"type": "openai", "base_url": "https://a/v1", **changes}
    with pytest.raises(InvalidArgument) as refused:
        read_probes.probe(pb.ProbeProviderRequest(**values), {"openai"})  # type: ignore[arg-type]
    assert {each.field for each in refused.value.field_violations} == fields


@pytest.mark.parametrize("outcome", ProbeOutcome)
def test_every_outcome_can_be_said(outcome: ProbeOutcome) -> None:
    result = ProbeResult(outcome=outcome, message="m", duration_s=1.5, model_ids=("a",))
    assert read_probes.result_to_pb(result) == pb.ProbeProviderResponse(
        outcome=pb.ProbeOutcome.Value(f"PROBE_OUTCOME_{outcome.name}"),
        message="m",
        duration=Duration(seconds=1, nanos=500_000_000),
        model_ids=["a"],
    )
