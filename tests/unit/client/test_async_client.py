from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import gatehouse
import grpc
import pytest
from gatehouse import AsyncClient
from gatehouse.keyvault.v1.audit_service_pb2 import AuditEvent, ExportAuditEventsResponse
from gatehouse.keyvault.v1.key_pb2 import Key
from gatehouse.keyvault.v1.key_service_pb2 import ListKeysResponse
from gatehouse.router.v1.generation_service_pb2 import GenerateResponse, StreamGenerateResponse

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.test_client_generate import endless


@pytest.fixture
async def client(fake: FakeGatehouse) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(endpoints=fake.target, ca=fake.ca, token="t0ken") as made:
        yield made


async def test_an_answer_and_its_metadata(fake: FakeGatehouse, client: AsyncClient) -> None:
    fake.answers["Generate"] = lambda _: GenerateResponse(message=gatehouse.assistant("Because."))
    answer = await client.generate("Why?", timeout=20, revision=7)
    assert answer.text == "Because."
    call = fake.last("Generate")
    assert (call.metadata["authorization"], call.metadata["gatehouse-revision"]) == ("Bearer t0ken", "7")
    assert call.seconds_left == pytest.approx(20, abs=5)


async def test_a_stream_gives_events(fake: FakeGatehouse, client: AsyncClient) -> None:
    fake.answers["StreamGenerate"] = lambda _: [StreamGenerateResponse(text_delta=text) for text in "abc"]
    assert [event.text async for event in client.stream("x")] == ["a", "b", "c"]


async def test_closing_a_stream_cancels_the_call(fake: FakeGatehouse, client: AsyncClient) -> None:
    fake.answers["StreamGenerate"] = endless
    async with contextlib.aclosing(client.stream("x")) as events:
        assert (await anext(events)).text == "word "
    assert await asyncio.to_thread(fake.ended.wait, 10)


async def test_cancelling_the_task_cancels_the_call(fake: FakeGatehouse, client: AsyncClient) -> None:
    fake.answers["StreamGenerate"] = endless
    first = asyncio.Event()

    async def read() -> None:
        async for _ in client.stream("x"):
            first.set()

    task = asyncio.create_task(read())
    await first.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(fake.ended.wait, 10)


async def test_an_async_token_source_is_awaited_for_each_call(fake: FakeGatehouse) -> None:
    tokens = iter(["one", "two"])

    async def token() -> str:
        await asyncio.sleep(0)
        return next(tokens)

    async with AsyncClient(endpoints=fake.target, ca=fake.ca, token=token) as client:
        await client.generate("x")
        await client.keys.get("tenants/acme/keys/x")
    assert [call.metadata["authorization"] for call in fake.received] == ["Bearer one", "Bearer two"]


async def test_lists_go_through_all_pages(fake: FakeGatehouse, client: AsyncClient) -> None:
    pages = {
        "": ListKeysResponse(keys=[Key(name="a")], next_page_token="2"),
        "2": ListKeysResponse(keys=[Key(name="b")]),
    }
    fake.answers["ListKeys"] = lambda request: pages[request.page_token]
    assert [key.name async for key in client.keys.list("tenants/acme")] == ["a", "b"]


async def test_an_export_gives_event_after_event_and_is_cancelled_when_closed(
    fake: FakeGatehouse, client: AsyncClient
) -> None:
    def answer(_: object) -> Iterator[ExportAuditEventsResponse]:
        while True:
            yield ExportAuditEventsResponse(events=[AuditEvent(sequence=1), AuditEvent(sequence=2)])

    fake.answers["ExportAuditEvents"] = answer
    async with contextlib.aclosing(client.audit.export("tenants/acme")) as events:
        assert [(await anext(events)).sequence for _ in range(3)] == [1, 2, 1]
    assert await asyncio.to_thread(fake.ended.wait, 10)


async def test_a_failure_is_the_same_exception_as_in_the_sync_client(fake: FakeGatehouse, client: AsyncClient) -> None:
    error = failure(grpc.StatusCode.NOT_FOUND, "no such key", "KEY_NOT_FOUND")
    fake.fails("GetKey", error)
    fake.fails("StreamGenerate", error)
    with pytest.raises(gatehouse.NotFound) as caught:
        await client.keys.get("tenants/acme/keys/x")
    assert (caught.value.reason, caught.value.request_id) == ("KEY_NOT_FOUND", "req-1")
    with pytest.raises(gatehouse.NotFound, match="KEY_NOT_FOUND"):
        await anext(client.stream("x"))


async def test_a_profile_is_enough(fake: FakeGatehouse) -> None:
    async with AsyncClient.from_profile(fake.profile) as client:
        await client.generate("x")
    assert str(fake.last("Generate").metadata["authorization"]).startswith("Bearer ey")
