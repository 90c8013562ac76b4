"""CheckKeys, as the router and provider_config see it."""

from __future__ import annotations

import grpc
import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_service_pb2 as pb

from tests.integration.key_vault.api.served_key_vault import CANARY, NAME, ORIGIN, ServedKeyVault, error_of


def asking(*items: tuple[str, str]) -> access_pb.CheckKeysRequest:
    return access_pb.CheckKeysRequest(items=[access_pb.KeyCheck(name=name, origin=origin) for name, origin in items])


async def test_a_batch_is_answered_in_its_order(served: ServedKeyVault) -> None:
    await served.create()
    await served.create("off")
    await served.keys.DisableKey(pb.DisableKeyRequest(name="tenants/acme/keys/off"), metadata=served.admin)
    response = await served.access.CheckKeys(
        asking(
            ("tenants/acme/keys/none", ORIGIN),
            (NAME, f"{ORIGIN}/v1"),
            (NAME, "https://api.openai.com:8443"),
            (NAME, ""),
            ("tenants/acme/keys/off", ORIGIN),
            (NAME, ORIGIN),
        )
    )
    usable = access_pb.KeyCheckResult(usability=access_pb.KEY_USABILITY_USABLE, origin=f"{ORIGIN}:443")
    mismatch = access_pb.KeyCheckResult(usability=access_pb.KEY_USABILITY_ORIGIN_MISMATCH, origin=f"{ORIGIN}:443")
    disabled = access_pb.KeyCheckResult(usability=access_pb.KEY_USABILITY_DISABLED, origin=f"{ORIGIN}:443")
    missing = access_pb.KeyCheckResult(usability=access_pb.KEY_USABILITY_MISSING)
    assert list(response.results) == [missing, usable, mismatch, usable, disabled, usable]
    assert CANARY not in str(response)


async def test_it_opens_nothing_and_asks_vault_nothing(world: ServedKeyVault) -> None:
    await world.create()
    before = world.log.getvalue().count(b"keys_opened")
    await world.access.CheckKeys(asking((NAME, ORIGIN)))
    assert world.log.getvalue().count(b"keys_opened") == before


async def test_only_the_router_and_provider_config_may_ask(world: ServedKeyVault) -> None:
    for service in ("router", "provider-config"):
        assert (await (await world.stranger(service)).CheckKeys(asking((NAME, ORIGIN)))).results
    assert (await error_of((await world.stranger("usage-accounting")).CheckKeys(asking((NAME, ""))))).reason == (
        "PERMISSION_DENIED"
    )
    assert (await error_of(world.public_access.CheckKeys(asking((NAME, "")), metadata=world.admin))).reason == (
        "PERMISSION_DENIED"
    )
    with pytest.raises(grpc.aio.AioRpcError):
        await (await world.stranger("provider-config")).AccessKeys(access_pb.AccessKeysRequest(items=[world.item()]))


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (asking(), ["items"]),
        (asking(*[(NAME, "")] * 257), ["items"]),
        (asking(("acme", ORIGIN), (NAME, "api.openai.com"), (NAME, "https://a@b")), ["items[0].name"]),
        (asking((NAME, "api.openai.com"), (NAME, "https://a@b")), ["items[0].origin", "items[1].origin"]),
    ],
)
async def test_a_malformed_batch_is_refused_by_its_fields(
    world: ServedKeyVault, request_: access_pb.CheckKeysRequest, fields: list[str]
) -> None:
    error = await error_of(world.access.CheckKeys(request_))
    assert error.reason == "INVALID_FIELD"
    assert [each.field for each in error.field_violations][: len(fields)] == fields


async def test_a_full_batch_is_answered(served: ServedKeyVault) -> None:
    await served.create()
    response = await served.access.CheckKeys(asking(*[(f"tenants/acme/keys/k{number}", "") for number in range(256)]))
    assert [each.usability for each in response.results] == [access_pb.KEY_USABILITY_MISSING] * 256
