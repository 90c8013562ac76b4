"""What a server takes from one message, one call and one connection; what goes beyond harms nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_service_pb2 as pb
from gatehouse.keyvault.v1 import key_service_pb2_grpc

from tests.identities import Identities
from tests.integration.rpc import http2

GET_KEY = "/gatehouse.keyvault.v1.KeyService/GetKey"
REQUEST = pb.GetKeyRequest(name="tenants/acme/users/ann/keys/k")
LEAST_MESSAGE = 64 * 1024
MOST_METADATA = 32 * 1024

Serve = Callable[..., Awaitable[Any]]


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(caught.value.details())


async def still_serves(served: Any, identities: Identities) -> bool:
    before = served.told.calls
    await served.keys.GetKey(REQUEST, metadata=identities.bearer("member"), timeout=20)
    return bool(served.told.calls == before + 1)


async def test_a_message_that_is_too_large_is_refused_unread(serve: Serve, identities: Identities) -> None:
    served = await serve(max_message_bytes=LEAST_MESSAGE)
    member = identities.bearer("member")
    call = served.public.unary_unary(GET_KEY)
    code, text = await refusal(call(b"\0" * (LEAST_MESSAGE + 1), metadata=member))
    assert (code, "larger than max" in text) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
    # Within the limit it is read, and found to be no message.
    code, _ = await refusal(call(b"\0" * LEAST_MESSAGE, metadata=member))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert served.told.calls == 0
    assert await still_serves(served, identities)


async def test_a_message_that_grows_when_unpacked_is_refused(serve: Serve, identities: Identities) -> None:
    served = await serve(max_message_bytes=LEAST_MESSAGE)
    bomb = b"\0" * (40 * 1024 * 1024)
    call = served.public.unary_unary(GET_KEY)
    code, text = await refusal(call(bomb, compression=grpc.Compression.Gzip, metadata=identities.bearer("member")))
    assert (code, "larger than max" in text) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
    assert served.told.calls == 0
    assert await still_serves(served, identities)


async def test_an_answer_that_is_too_large_is_not_sent(serve: Serve, identities: Identities) -> None:
    served = await serve(max_message_bytes=LEAST_MESSAGE)

    async def verbose(request: object) -> object:
        return pb.ListKeysResponse(next_page_token="x" * LEAST_MESSAGE)

    brief, served.told.unary = served.told.unary, verbose
    code, _ = await refusal(served.keys.GetKey(REQUEST, metadata=identities.bearer("member")))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    served.told.unary = brief
    assert await still_serves(served, identities)


@pytest.mark.parametrize("size", [MOST_METADATA, MOST_METADATA + MOST_METADATA // 4, 1_000_000])
async def test_metadata_that_is_too_large_is_always_refused(served: Any, identities: Identities, size: int) -> None:
    metadata = (*identities.bearer("member"), ("x-large", "x" * size))
    refusals = {await refusal(served.keys.GetKey(REQUEST, metadata=metadata)) for _ in range(5)}
    assert {code for code, _ in refusals} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert served.told.calls == 0
    assert await still_serves(served, identities)


async def test_many_small_metadata_are_refused_like_a_large_one(served: Any, identities: Identities) -> None:
    metadata = (*identities.bearer("member"), *((f"x-{number}", "x" * 100) for number in range(400)))
    code, _ = await refusal(served.keys.GetKey(REQUEST, metadata=metadata))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await still_serves(served, identities)


async def test_metadata_within_the_limit_passes(served: Any, identities: Identities) -> None:
    metadata = (*identities.bearer("member"), ("x-large", "x" * (MOST_METADATA - 4_000)))
    await served.keys.GetKey(REQUEST, metadata=metadata)
    assert served.told.calls == 1


class Held:
    """A handler whose calls wait for `release`; knows how many ran at once."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.running = 0
        self.most = 0

    async def __call__(self, request: object) -> object:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.release.wait()
        finally:
            self.running -= 1
        return pb.GetKeyResponse()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def two_at_once(serve: Serve, identities: Identities) -> Any:
    """A server that takes two calls at once on a connection, and a client that knows it."""
    served = await serve(max_concurrent_streams=2)
    await served.keys.GetKey(REQUEST, metadata=identities.bearer("member"), timeout=20)
    served.told.calls = 0
    served.told.unary = Held()
    return served


async def test_calls_beyond_the_limit_of_a_connection_wait_or_are_refused(
    two_at_once: Any, identities: Identities
) -> None:
    served, held = two_at_once, two_at_once.told.unary
    member = identities.bearer("member")
    calls = [served.keys.GetKey(REQUEST, metadata=member, timeout=60) for _ in range(20)]
    await until(lambda: held.running == 2)
    # Other connections are none the worse for it.
    async with grpc.aio.secure_channel(served.settings.public_address, identities.anonymous()) as other:
        keys: Any = key_service_pb2_grpc.KeyServiceStub(other)
        aside = keys.GetKey(REQUEST, metadata=member, timeout=60)
        await until(lambda: held.running == 3)
        held.release.set()
        assert await aside == pb.GetKeyResponse()
        codes = [await call.code() for call in calls]
        # A call that begins while the one before it is still being cleared away is refused; it never ran.
        assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        assert served.told.calls == codes.count(grpc.StatusCode.OK) + 1
        assert held.most == 3
        await keys.GetKey(REQUEST, metadata=member, timeout=20)


async def test_a_client_that_does_not_keep_to_the_limit_is_refused(two_at_once: Any, identities: Identities) -> None:
    served = two_at_once
    async with http2.connect(served.settings.public_address, identities.layout.ca_certificate) as connection:
        for number in range(10):
            await connection.call(2 * number + 1, GET_KEY, REQUEST.SerializeToString(), identities.bearer("member"))
        refused: set[int] = set()
        async with asyncio.timeout(20):
            while len(refused) < 8:
                frame = await connection.receive()
                assert frame.type != http2.GOAWAY
                if frame.type == http2.RST_STREAM:
                    assert int.from_bytes(frame.payload, "big") == http2.REFUSED_STREAM
                    refused.add(frame.stream)
        assert refused == set(range(5, 20, 2))
        await until(lambda: served.told.unary.running == 2)
        served.told.unary.release.set()
        assert served.told.calls == 2
    assert await still_serves(served, identities)
