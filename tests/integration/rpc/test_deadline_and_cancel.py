"""How calls end early: by their deadline, by the method's own bound, by a caller who goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self

import grpc
import pytest
from gatehouse.keyvault.v1 import key_service_pb2 as key_pb
from gatehouse.router.v1 import generation_service_pb2 as pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from libs.rpc import chain
from tests.identities import Identities

GET_KEY = "/gatehouse.keyvault.v1.KeyService/GetKey"
STREAM = "/gatehouse.router.v1.GenerationService/StreamGenerate"
# How long a promptly ended handler may take at worst on a busy machine, in seconds.
SOON_S = 5.0
LONG_S = 60.0

Serve = Callable[..., Awaitable[Any]]


def reason_of(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)
    assert status is not None, "the error carries no details"
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    reason: str = info.reason
    return reason


@pytest.fixture
def long_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much time for the answer to arrive that even a busy machine manages."""
    monkeypatch.setattr(chain, "_WAY_BACK_SHARE", 0.5)
    monkeypatch.setattr(chain, "_WAY_BACK_MOST_S", 1.0)


class Ended:
    """Notes when and where a handler's cleanup ran."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.entered = asyncio.Event()
        self.task: object = None
        self.closed_in: object = None
        self.yielded = 0

    def __enter__(self) -> Self:
        self.task = asyncio.current_task()
        self.entered.set()
        return self

    def __exit__(self, *_: object) -> None:
        self.closed_in = asyncio.current_task()
        self.event.set()

    async def check(self) -> None:
        async with asyncio.timeout(SOON_S):
            await self.event.wait()
        assert self.closed_in is self.task


@pytest.mark.usefixtures("long_way_back")
async def test_a_handler_that_outlives_the_deadline_ends_the_call_with_details(
    served: Any, identities: Identities
) -> None:
    ended = Ended()

    async def sleep(request: object) -> object:
        with ended:
            await asyncio.sleep(LONG_S)
        return key_pb.GetKeyResponse()

    served.told.unary = sleep
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.keys.GetKey(
            key_pb.GetKeyRequest(name="tenants/acme/users/ann/keys/k"), timeout=1, metadata=identities.bearer("member")
        )
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert reason_of(caught.value) == "DEADLINE_EXCEEDED"
    await ended.check()


@pytest.mark.usefixtures("long_way_back")
async def test_a_stream_that_outlives_the_deadline_ends_with_details_after_its_events(
    served: Any, identities: Identities
) -> None:
    ended = Ended()

    async def one_then_sleep(request: object) -> AsyncIterator[object]:
        with ended:
            yield pb.StreamGenerateResponse()
            await asyncio.sleep(LONG_S)

    served.told.stream = one_then_sleep
    events = 0
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in served.generation.StreamGenerate(
            pb.StreamGenerateRequest(), timeout=1, metadata=identities.bearer("member")
        ):
            events += 1
    assert events == 1
    assert reason_of(caught.value) == "DEADLINE_EXCEEDED"
    await ended.check()


async def test_a_call_without_a_deadline_is_bounded_by_the_method(serve: Serve, identities: Identities) -> None:
    served = await serve(longest_s={GET_KEY: 0.2})
    ended = Ended()

    async def sleep(request: object) -> object:
        with ended:
            await asyncio.sleep(LONG_S)
        return key_pb.GetKeyResponse()

    served.told.unary = sleep
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(SOON_S):
            await served.keys.GetKey(
                key_pb.GetKeyRequest(name="tenants/acme/users/ann/keys/k"), metadata=identities.bearer("member")
            )
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert reason_of(caught.value) == "DEADLINE_EXCEEDED"
    await ended.check()


async def test_a_longer_deadline_than_the_methods_bound_is_shortened_to_it(
    serve: Serve, identities: Identities
) -> None:
    served = await serve(longest_s={STREAM: 0.2})

    async def sleep(request: object) -> AsyncIterator[object]:
        await asyncio.sleep(LONG_S)
        yield pb.StreamGenerateResponse()

    served.told.stream = sleep
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(SOON_S):
            async for _ in served.generation.StreamGenerate(
                pb.StreamGenerateRequest(), timeout=LONG_S, metadata=identities.bearer("member")
            ):
                pass
    assert reason_of(caught.value) == "DEADLINE_EXCEEDED"


async def test_the_methods_bound_ends_a_stream_whose_reader_stands_still(serve: Serve, identities: Identities) -> None:
    served = await serve(longest_s={STREAM: 1.0})
    ended = Ended()
    served.told.stream = flood(ended)
    call = served.generation.StreamGenerate(pb.StreamGenerateRequest(), metadata=identities.bearer("member"))
    await call.read()
    await ended.check()
    call.cancel()


async def test_a_timeout_of_the_handlers_own_is_a_defect_not_the_callers_deadline(
    served: Any, identities: Identities
) -> None:
    async def gives_up(request: object) -> object:
        raise TimeoutError

    served.told.unary = gives_up
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.keys.GetKey(
            key_pb.GetKeyRequest(name="tenants/acme/users/ann/keys/k"), metadata=identities.bearer("member")
        )
    assert caught.value.code() is grpc.StatusCode.INTERNAL


def flood(ended: Ended) -> Callable[[object], AsyncIterator[object]]:
    """Events until nobody takes them any more: the generator then waits suspended at its `yield`."""
    filler = pb.StreamGenerateResponse(text_delta="x" * 64_000)

    async def events(request: object) -> AsyncIterator[object]:
        with ended:
            while True:
                ended.yielded += 1
                yield filler

    return events


async def still(ended: Ended) -> None:
    """Wait until the handler stands still: it yielded nothing for a while."""
    seen = -1
    async with asyncio.timeout(SOON_S):
        while seen != ended.yielded:
            seen = ended.yielded
            await asyncio.sleep(0.2)


def waiting(ended: Ended) -> Callable[[object], AsyncIterator[object]]:
    async def events(request: object) -> AsyncIterator[object]:
        with ended:
            yield pb.StreamGenerateResponse()
            await asyncio.sleep(LONG_S)

    return events


@pytest.mark.parametrize("handler", [waiting, flood])
async def test_cleanup_runs_in_the_calls_own_task_when_the_caller_cancels(
    served: Any, identities: Identities, handler: Callable[[Ended], Callable[[object], AsyncIterator[object]]]
) -> None:
    ended = Ended()
    served.told.stream = handler(ended)
    call = served.generation.StreamGenerate(
        pb.StreamGenerateRequest(), timeout=LONG_S, metadata=identities.bearer("member")
    )
    await call.read()
    await still(ended)
    call.cancel()
    await ended.check()
    assert "rpc_crashed" not in served.log_text


@pytest.mark.parametrize("handler", [waiting, flood])
async def test_cleanup_runs_in_the_calls_own_task_when_the_connection_breaks(
    served: Any,
    identities: Identities,
    relay: Callable[[str], Awaitable[tuple[str, Callable[[], None]]]],
    handler: Callable[[Ended], Callable[[object], AsyncIterator[object]]],
) -> None:
    ended = Ended()
    served.told.stream = handler(ended)
    address, cut = await relay(served.settings.public_address)
    async with grpc.aio.secure_channel(address, identities.anonymous()) as channel:
        call = type(served.generation)(channel).StreamGenerate(
            pb.StreamGenerateRequest(), timeout=LONG_S, metadata=identities.bearer("member")
        )
        await call.read()
        await still(ended)
        cut()
        await ended.check()
    assert "rpc_crashed" not in served.log_text


async def test_cleanup_runs_when_a_unary_caller_cancels(served: Any, identities: Identities) -> None:
    ended = Ended()

    async def sleep(request: object) -> object:
        with ended:
            await asyncio.sleep(LONG_S)
        return key_pb.GetKeyResponse()

    served.told.unary = sleep
    call = served.keys.GetKey(
        key_pb.GetKeyRequest(name="tenants/acme/users/ann/keys/k"), metadata=identities.bearer("member")
    )
    task = asyncio.ensure_future(call)
    await ended.entered.wait()
    task.cancel()
    await ended.check()
    with pytest.raises(asyncio.CancelledError):
        await task
