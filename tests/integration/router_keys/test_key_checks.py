"""Asking key_vault whether keys could be opened, over real gRPC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as pb

from libs.core.errors import Unavailable
from libs.rpc.status import DETAILS_KEY, GRPC_CODES, to_trailer
from services.router.clients.key_vault import KeyVaultClient
from services.router.domain.ports import KeyState
from tests.integration.router_keys.key_vault_double import DOMAIN, KeyVaultDouble, serving

ORIGIN = "https://api.example:443"


@dataclass
class CheckingDouble(KeyVaultDouble):
    """Answers by the last part of a key's name."""

    batches: list[list[pb.KeyCheck]] = field(default_factory=list)
    away: bool = False

    async def CheckKeys(self, request: pb.CheckKeysRequest, context: Any) -> pb.CheckKeysResponse:  # noqa: N802 - the name in the proto
        if self.away:
            trailer = to_trailer(Unavailable("DATABASE_UNAVAILABLE", "away"), domain=DOMAIN).SerializeToString()
            await context.abort(GRPC_CODES[Unavailable.kind], "away", ((DETAILS_KEY, trailer),))
        self.batches.append(list(request.items))
        return pb.CheckKeysResponse(results=[_result(each.name.rpartition("/")[2]) for each in request.items])


def _result(name: str) -> pb.KeyCheckResult:
    if name == "refused":
        return pb.KeyCheckResult(usability=pb.KEY_USABILITY_USABLE, origin=ORIGIN, refused_by_provider=True)
    usability: pb.KeyUsability.ValueType = getattr(pb, f"KEY_USABILITY_{name.upper()}", cast(Any, 99))
    return pb.KeyCheckResult(usability=usability, origin="" if name == "missing" else "https://other.example:443")


async def check(double: CheckingDouble, *names: str) -> list[KeyState]:
    async with serving(double) as channel:
        client = KeyVaultClient(channel, timeout_s=5.0)
        return list(await client.check([(f"tenants/acme/keys/{name}", ORIGIN) for name in names]))


@pytest.mark.parametrize(
    ("usability", "obstacle"),
    [
        ("usable", ""),
        ("missing", "KEY_UNUSABLE"),
        ("disabled", "KEY_DISABLED"),
        ("no_version", "KEY_UNUSABLE"),
        ("origin_mismatch", "ORIGIN_MISMATCH"),
        ("what a newer key_vault says", "KEY_UNUSABLE"),
    ],
)
async def test_what_key_vault_says_becomes_a_cause(usability: str, obstacle: str) -> None:
    (state,) = await check(CheckingDouble(), usability)
    assert state.obstacle == obstacle
    assert bool(state.description) == bool(obstacle)
    assert not state.refused


async def test_a_mismatch_keeps_the_origin_of_the_key_from_those_who_may_only_use_it() -> None:
    (state,) = await check(CheckingDouble(), "origin_mismatch")
    assert "another origin" in state.description
    assert "other.example" not in state.description


async def test_a_key_its_provider_refused_is_told_apart() -> None:
    assert await check(CheckingDouble(), "refused", "usable") == [KeyState(refused=True), KeyState()]


async def test_many_keys_go_in_batches_and_come_back_in_order() -> None:
    double = CheckingDouble()
    names = ["usable", "disabled", *["missing"] * 298]
    states = await check(double, *names)
    assert [len(batch) for batch in double.batches] == [256, 44]
    assert {each.origin for batch in double.batches for each in batch} == {ORIGIN}
    assert [each.obstacle for each in states[:3]] == ["", "KEY_DISABLED", "KEY_UNUSABLE"]
    assert len(states) == 300


async def test_a_key_vault_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(Unavailable) as away:
        await check(CheckingDouble(away=True), "usable")
    assert away.value.reason == "DATABASE_UNAVAILABLE"
