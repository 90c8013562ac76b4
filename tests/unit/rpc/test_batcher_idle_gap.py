from __future__ import annotations

import asyncio

import pytest

from libs.rpc.batcher import Batcher


@pytest.mark.parametrize("max_in_flight", [1, 2, 3])
async def test_an_item_that_comes_just_as_the_last_sender_ends_is_sent(max_in_flight: int) -> None:
    async def send(items: list[int]) -> list[int]:
        await asyncio.sleep(0)
        return items

    batcher: Batcher[int, int] = Batcher(send, max_in_flight=max_in_flight)

    async def caller(count: int) -> None:
        for number in range(count):
            # Submits in the very step in which the result arrived.
            assert await batcher.submit(number) == number

    async with asyncio.timeout(10):
        await asyncio.gather(*(caller(200) for _ in range(max_in_flight + 1)))


async def test_a_batch_lingers_for_company_only_under_load() -> None:
    sizes: list[int] = []

    async def send(items: list[int]) -> list[int]:
        sizes.append(len(items))
        return items

    batcher: Batcher[int, int] = Batcher(send, max_in_flight=1, linger_per_item_s=0.01, longest_linger_s=0.05)
    await batcher.submit(0)
    first = [batcher.submit(number) for number in range(4)]
    await asyncio.gather(*first)
    late = [batcher.submit(0)]
    await asyncio.sleep(0.005)
    late.append(batcher.submit(1))
    await asyncio.gather(*late)
    assert sizes == [1, 4, 2]
