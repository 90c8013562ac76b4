"""Whether a provider's key fits and its address leads outside, as callers of the API learn it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as key_pb
from gatehouse.providerconfig.v1 import provider_pb2
from gatehouse.providerconfig.v1 import provider_service_pb2 as pb
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import ProviderServiceStub

from libs.core.endpoints import AllowedEndpoint
from libs.core.errors import GatehouseError
from tests.integration.provider_config.conftest import Replica, Stack, error_of
from tests.integration.provider_config.fake_key_vault import MISSING

NAME = "tenants/acme/providers/main"
KEY = "tenants/acme/keys/prod"
URL = "https://models.example.com/v1"
ORIGIN = "https://models.example.com:443"


class World:
    """A service with its key_vault, and an administrator."""

    def __init__(self, stack: Stack, replica: Replica) -> None:
        self.key_vault = stack.key_vault
        self.providers: Any = ProviderServiceStub(replica.public)
        self._token = stack.token("acme", "ann", "tenant_admin")

    async def create(
        self, *, validate_only: bool = False, request_id: str = "", **changes: Any
    ) -> provider_pb2.Provider:
        fields: dict[str, Any] = {"type": "openai", "base_url": URL, "key": KEY, **changes}
        request = pb.CreateProviderRequest(
            parent="tenants/acme",
            provider_id="main",
            provider=provider_pb2.Provider(**fields),
            validate_only=validate_only,
            request_id=request_id,
        )
        response: pb.CreateProviderResponse = await self.providers.CreateProvider(request, metadata=self._token)
        return response.provider

    async def update(self, **changes: Any) -> provider_pb2.Provider:
        request = pb.UpdateProviderRequest(provider=provider_pb2.Provider(name=NAME, **changes))
        response: pb.UpdateProviderResponse = await self.providers.UpdateProvider(request, metadata=self._token)
        return response.provider

    async def roll_back(self, version: int) -> None:
        request = pb.RollbackProviderRequest(name=NAME, version=version)
        await self.providers.RollbackProvider(request, metadata=self._token)

    async def get(self) -> provider_pb2.Provider:
        response: pb.GetProviderResponse = await self.providers.GetProvider(
            pb.GetProviderRequest(name=NAME), metadata=self._token
        )
        return response.provider


@pytest.fixture
async def world(stack: Stack) -> World:
    return World(stack, await stack.start())


async def refusal(call: Any) -> GatehouseError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return error_of(caught.value)


def fields_of(error: GatehouseError) -> dict[str, str]:
    return {each.field: each.description for each in error.field_violations}


@pytest.mark.parametrize("validate_only", [False, True])
async def test_a_key_that_does_not_exist_is_refused_on_create(world: World, validate_only: bool) -> None:
    world.key_vault.known[KEY] = MISSING
    error = await refusal(world.create(validate_only=validate_only))
    assert fields_of(error) == {"provider.key": f"must exist, and {KEY} does not; create the key first"}
    assert (await refusal(world.get())).reason == "PROVIDER_NOT_FOUND"


async def test_a_key_of_another_origin_is_refused_with_what_to_do(world: World) -> None:
    world.key_vault.known[KEY] = key_pb.KeyCheckResult(
        usability=key_pb.KEY_USABILITY_ORIGIN_MISMATCH, origin="https://api.openai.com:443"
    )
    error = await refusal(world.create())
    assert fields_of(error) == {
        "provider.key": f"must be one for {ORIGIN}, and {KEY} was entered for https://api.openai.com:443, where alone "
        "it is sent; correct base_url, or create a key for this address"
    }
    assert world.key_vault.asked == [(KEY, ORIGIN)]


@pytest.mark.parametrize("usability", ["DISABLED", "NO_VERSION", "USABLE"])
async def test_a_key_that_can_be_mended_may_be_named(world: World, usability: str) -> None:
    world.key_vault.known[KEY] = key_pb.KeyCheckResult(
        usability=key_pb.KeyUsability.Value(f"KEY_USABILITY_{usability}"), origin=ORIGIN, refused_by_provider=True
    )
    assert (await world.create()).key == KEY


async def test_key_vault_is_asked_only_about_what_changes(world: World) -> None:
    await world.create()
    await world.update(display_name="Ours", priority=7)
    await world.update(base_url=URL, key=KEY, description="the same")
    assert world.key_vault.asked == [(KEY, ORIGIN)]
    await world.update(base_url="https://other.example.com")
    await world.update(key="tenants/acme/keys/next")
    assert world.key_vault.asked[1:] == [
        (KEY, "https://other.example.com:443"),
        ("tenants/acme/keys/next", "https://other.example.com:443"),
    ]


async def test_a_wrong_key_or_address_is_refused_on_update_and_nothing_changes(world: World) -> None:
    before = await world.create()
    world.key_vault.known[KEY] = key_pb.KeyCheckResult(usability=key_pb.KEY_USABILITY_ORIGIN_MISMATCH, origin=ORIGIN)
    world.key_vault.known["tenants/acme/keys/none"] = MISSING
    assert fields_of(await refusal(world.update(base_url="https://evil.example.com"))).keys() == {"provider.key"}
    assert fields_of(await refusal(world.update(key="tenants/acme/keys/none"))).keys() == {"provider.key"}
    assert await world.get() == before
    await world.update(display_name="what has no key still has a name")


async def test_a_rollback_is_checked_as_an_update_is(world: World) -> None:
    await world.create()
    await world.update(key="tenants/acme/keys/next")
    world.key_vault.known[KEY] = MISSING
    assert fields_of(await refusal(world.roll_back(1))).keys() == {"provider.key"}
    world.key_vault.known.clear()
    await world.roll_back(1)
    assert (await world.get()).key == KEY


async def test_key_vault_being_down_is_no_fault_of_the_caller(world: World) -> None:
    await world.create()
    world.key_vault.down = True
    error = await refusal(world.update(key="tenants/acme/keys/next"))
    assert (error.kind.value, error.reason, error.metadata) == (
        "UNAVAILABLE",
        "SERVICE_UNREACHABLE",
        {"service": "key-vault"},
    )
    await world.update(display_name="this needs no key_vault")


async def test_a_repeated_request_is_answered_as_the_first_time_whatever_became_of_the_key(world: World) -> None:
    request_id = "8a9b2c3d-0000-4000-8000-000000000001"
    first = await world.create(request_id=request_id)
    world.key_vault.known[KEY] = MISSING
    assert await world.create(request_id=request_id) == first


@pytest.mark.parametrize("inside", ["10.0.0.1", "169.254.169.254", "127.0.0.1", "::1", "fd00:ec2::254", "::ffff:a00:1"])
async def test_a_name_that_leads_inside_is_refused(world: World, addresses: dict[str, str], inside: str) -> None:
    addresses["models.example.com"] = inside
    for call in (world.create(), world.create(validate_only=True)):
        problem = fields_of(await refusal(call))["provider.base_url"]
        assert problem.startswith("must not point to ")
        assert inside not in problem
    await world.create(base_url="https://good.example.com")
    assert fields_of(await refusal(world.update(base_url=URL))).keys() == {"provider.base_url"}


async def test_both_are_said_at_once(world: World, addresses: dict[str, str]) -> None:
    addresses["models.example.com"] = "10.0.0.1"
    world.key_vault.known[KEY] = MISSING
    assert fields_of(await refusal(world.create())).keys() == {"provider.base_url", "provider.key"}


async def test_the_operators_list_is_obeyed(stack: Stack, addresses: dict[str, str]) -> None:
    addresses["ollama.models.svc.cluster.local"] = "10.96.0.7"
    allowed = (AllowedEndpoint.parse("ollama.models.svc.cluster.local:11434"),)
    world = World(stack, await stack.start(allowed_endpoints=allowed))
    inside: dict[str, Any] = {"type": "openai_compatible", "key": ""}
    for other in ("http://ollama.models.svc.cluster.local/v1", "http://10.96.0.7:11434/v1"):
        assert fields_of(await refusal(world.create(base_url=other, **inside))).keys() == {"provider.base_url"}
    await world.create(base_url="http://ollama.models.svc.cluster.local:11434/v1", **inside)
