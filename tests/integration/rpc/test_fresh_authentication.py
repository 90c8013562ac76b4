"""A deployment that demands a fresh sign-in with a second factor gets one, whatever the token claims."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from libs.rpc.denials import Denial
from tests.identities import Identities

NAME = "tenants/acme/users/ann/keys/k"
ROTATE = pb.RotateKeyRequest(name=NAME)
MAX_AGE_S = 300
FRESH = "FRESH_AUTHENTICATION_REQUIRED"
OK = "OK"

Serve = Callable[..., Awaitable[Any]]


@pytest.fixture
async def demanding(serve: Serve) -> Any:
    return await serve(fresh_auth_max_age_s=MAX_AGE_S, fresh_auth_acr_values="urn:example:two-factor,3")


async def rotate(served: Any, identities: Identities, claims: Mapping[str, object], tenant: str = "acme") -> str:
    """OK, or the reason."""
    metadata = identities.bearer("member", tenant=tenant, more=claims)
    try:
        await served.keys.RotateKey(ROTATE, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return str(info_of(error).reason)
    return OK


def info_of(error: grpc.aio.AioRpcError) -> Any:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return info


def ago(seconds: float) -> int:
    return int(time.time() - seconds)


@pytest.mark.parametrize(
    ("claims", "ends"),
    [
        (lambda: {"auth_time": ago(0), "amr": ["pwd", "otp"]}, OK),
        (lambda: {"auth_time": ago(MAX_AGE_S - 60), "amr": ["hwk"]}, OK),
        (lambda: {"auth_time": ago(0), "amr": ["pwd"], "acr": "urn:example:two-factor"}, OK),
        (lambda: {"auth_time": ago(0), "acr": "3"}, OK),
        # The issuer's clock is a little ahead.
        (lambda: {"auth_time": ago(-15), "amr": ["mfa"]}, OK),
        (lambda: {"auth_time": ago(MAX_AGE_S + 2), "amr": ["pwd", "otp"]}, FRESH),
        (lambda: {"auth_time": ago(MAX_AGE_S + 2), "acr": "3"}, FRESH),
        (lambda: {"auth_time": ago(-60), "amr": ["pwd", "otp"]}, FRESH),
        (lambda: {"auth_time": 0, "amr": ["pwd", "otp"]}, FRESH),
        (lambda: {"amr": ["pwd", "otp"]}, FRESH),
        (lambda: {"acr": "3"}, FRESH),
        (lambda: {"auth_time": ago(0)}, FRESH),
        (lambda: {"auth_time": ago(0), "amr": []}, FRESH),
        (lambda: {"auth_time": ago(0), "amr": ["pwd", "pin", "sms"]}, FRESH),
        (lambda: {"auth_time": ago(0), "amr": ["OTP"]}, FRESH),
        (lambda: {"auth_time": ago(0), "amr": ["pwd"], "acr": "2"}, FRESH),
        (lambda: {"auth_time": ago(0), "amr": ["3"]}, FRESH),
        (dict, FRESH),
        # A token whose claims make no sense is no token.
        (lambda: {"auth_time": ago(0), "amr": "otp"}, "TOKEN_CLAIMS"),
        (lambda: {"auth_time": ago(0), "amr": {"otp": True}}, "TOKEN_CLAIMS"),
        (lambda: {"auth_time": ago(0), "amr": [["otp"]]}, "TOKEN_CLAIMS"),
        (lambda: {"auth_time": str(ago(0)), "amr": ["otp"]}, "TOKEN_CLAIMS"),
        (lambda: {"auth_time": True, "amr": ["otp"]}, "TOKEN_CLAIMS"),
        (lambda: {"auth_time": ago(0), "acr": 3}, "TOKEN_CLAIMS"),
    ],
)
async def test_a_token_must_tell_of_a_fresh_second_factor(
    demanding: Any, identities: Identities, claims: Callable[[], dict[str, object]], ends: str
) -> None:
    assert await rotate(demanding, identities, claims()) == ends
    assert demanding.told.calls == (ends == OK)


async def test_the_refusal_says_what_is_needed(demanding: Any, identities: Identities) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await demanding.keys.RotateKey(ROTATE, metadata=identities.bearer("member"))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "sign in again" in str(caught.value.details())
    assert dict(info_of(caught.value).metadata) == {
        "max_age_s": "300",
        "amr": "face fpt hwk iris mfa otp retina sc swk",
        "acr_values": "3 urn:example:two-factor",
    }


async def test_the_deployment_says_what_a_second_factor_is(serve: Serve, identities: Identities) -> None:
    served = await serve(fresh_auth_max_age_s=MAX_AGE_S, fresh_auth_amr="sms,x-badge")
    assert await rotate(served, identities, {"auth_time": ago(0), "amr": ["x-badge"]}) == OK
    assert await rotate(served, identities, {"auth_time": ago(0), "amr": ["otp"]}) == FRESH


async def test_nobody_is_asked_where_the_deployment_does_not(served: Any, identities: Identities) -> None:
    assert await rotate(served, identities, {}) == OK


async def test_what_reads_asks_for_nothing(demanding: Any, identities: Identities) -> None:
    await demanding.keys.GetKey(pb.GetKeyRequest(name=NAME), metadata=identities.bearer("member"))
    assert demanding.told.calls == 1


async def test_who_may_not_is_not_told_that_signing_in_again_would_help(demanding: Any, identities: Identities) -> None:
    assert await rotate(demanding, identities, {}, tenant="rival") == "PERMISSION_DENIED"


async def test_a_token_that_was_fresh_grows_old_although_it_is_remembered(serve: Serve, identities: Identities) -> None:
    served = await serve(fresh_auth_max_age_s=2)
    metadata = identities.bearer("member", more={"auth_time": ago(0), "amr": ["otp"]})
    await served.keys.RotateKey(ROTATE, metadata=metadata)
    error = None
    while error is None:
        try:
            await served.keys.RotateKey(ROTATE, metadata=metadata, timeout=5)
        except grpc.aio.AioRpcError as refusal:
            error = refusal
    assert info_of(error).reason == FRESH


async def test_the_refusal_is_recorded(demanding: Any, identities: Identities) -> None:
    denials: list[Denial] = []

    async def note(denial: Denial) -> None:
        denials.append(denial)

    demanding.service.denied = note
    await rotate(demanding, identities, {})
    ((reason, resource),) = [(denial.reason, denial.resource) for denial in denials]
    assert (reason, resource) == (FRESH, NAME)
