"""A service hears of every call that authorization refused before the caller does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_access_service_pb2_grpc
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from gatehouse.router.v1 import generation_service_pb2 as generation_pb

from libs.identity.permissions import DENIAL
from libs.rpc.context import current
from libs.rpc.denials import Denial
from tests.identities import Identities

GET_KEY = "/gatehouse.keyvault.v1.KeyService/GetKey"
FOREIGN = "tenants/rival/keys/k"
REQUEST = pb.GetKeyRequest(name=FOREIGN)


class Recorder:
    """Keeps the denials it is told of."""

    def __init__(self) -> None:
        self.denials: list[Denial] = []
        self.seen_in: list[str] = []

    async def __call__(self, denial: Denial) -> None:
        await asyncio.sleep(0.01)
        self.denials.append(denial)
        self.seen_in.append(current().request_id)


@pytest.fixture
def recorder(served: Any) -> Recorder:
    recorder = Recorder()
    served.service.denied = recorder
    return recorder


async def refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_denial_is_recorded_before_it_is_answered(
    served: Any, identities: Identities, recorder: Recorder
) -> None:
    metadata = (*identities.bearer("member", "service"), ("x-request-id", "req-9"))
    error = await refused(served.keys.GetKey(REQUEST, metadata=metadata))
    assert (error.code(), error.details()) == (grpc.StatusCode.PERMISSION_DENIED, DENIAL)
    (denial,) = recorder.denials
    assert denial.caller.actor == "tenants/acme/users/ann"
    assert {role.value for role in denial.caller.roles} == {"member", "service"}
    assert (denial.method, denial.resource, denial.reason) == (GET_KEY, FOREIGN, "PERMISSION_DENIED")
    assert (denial.address, denial.request_id) == ("127.0.0.1", "req-9")
    assert recorder.seen_in == ["req-9"]


async def test_a_service_that_is_denied_is_named(served: Any, identities: Identities, recorder: Recorder) -> None:
    async with grpc.aio.secure_channel(served.settings.internal_address, identities.peer("usage-accounting")) as other:
        stub = key_access_service_pb2_grpc.KeyAccessServiceStub(other)
        await refused(stub.AccessKeys(access_pb.AccessKeysRequest()))
    assert [(denial.caller.actor, denial.resource) for denial in recorder.denials] == [
        ("services/usage-accounting", None)
    ]


async def test_streams_are_recorded_like_other_calls(served: Any, identities: Identities, recorder: Recorder) -> None:
    stream = served.generation.StreamGenerate(generation_pb.StreamGenerateRequest(), metadata=identities.bearer())
    assert (await refused(stream.read())).code() is grpc.StatusCode.PERMISSION_DENIED
    assert len(recorder.denials) == 1


async def test_nobody_unknown_is_recorded_and_nothing_that_was_no_denial(
    served: Any, identities: Identities, recorder: Recorder
) -> None:
    member = identities.bearer("member")
    await refused(served.keys.GetKey(REQUEST))
    await refused(served.keys.GetKey(REQUEST, metadata=(("authorization", "Bearer not.a.token"),)))
    await refused(served.keys.GetKey(pb.GetKeyRequest(name="no name"), metadata=member))
    await refused(served.public.unary_unary(GET_KEY)(b"\xff", metadata=member))
    await served.keys.GetKey(pb.GetKeyRequest(name="tenants/acme/users/ann/keys/k"), metadata=member)
    assert recorder.denials == []


async def test_a_forged_name_is_not_recorded(served: Any, identities: Identities, recorder: Recorder) -> None:
    await refused(served.keys.GetKey(pb.GetKeyRequest(name="x" * 100_000), metadata=identities.bearer()))
    assert [denial.resource for denial in recorder.denials] == [None]


async def broken(_: Denial) -> None:
    raise ConnectionError("the database is down")


async def silent(_: Denial) -> None:
    await asyncio.sleep(60)


@pytest.mark.parametrize("hook", [broken, silent])
async def test_a_recorder_that_fails_changes_nothing_of_the_answer(
    served: Any, identities: Identities, hook: Callable[[Denial], Awaitable[None]]
) -> None:
    served.service.denied = hook
    error = await refused(served.keys.GetKey(REQUEST, timeout=2, metadata=identities.bearer("member")))
    assert (error.code(), error.details()) == (grpc.StatusCode.PERMISSION_DENIED, DENIAL)
    assert served.told.calls == 0
    assert '"event":"denial_unrecorded"' in served.log_text
    assert "tenants/acme/users/ann" in served.log_text
