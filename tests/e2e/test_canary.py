"""Key material is nowhere: no log, database, spool, audit log or output of the whole run holds it."""

import asyncio
import base64
from collections.abc import Iterable
from pathlib import Path

import pytest
from gatehouse import AsyncClient, FailedPrecondition, GatehouseError

from tests.local_stack import LocalStack

CANARY = "sk-sandbox-canary-6f1d0c9be27a4853"
SECOND = "sk-sandbox-canary-91c07de5b2f84a36"


def spellings(material: str) -> Iterable[bytes]:
    """The material as it may be written."""
    raw = material.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.decode().encode("utf-16-le")
    for shift in range(3):
        # Base64 of a longer text that holds it, at each of the three alignments, without its uncertain ends.
        yield base64.b64encode(b"\0" * shift + raw)[4:-4]


def places(material: str, roots: Iterable[Path]) -> list[Path]:
    """The files in which the material stands in some spelling."""
    wanted = tuple(spellings(material))
    files = (path for root in roots for path in ([root] if root.is_file() else root.rglob("*")) if path.is_file())
    return [path for path in files if _holds(path.read_bytes(), wanted)]


def _holds(content: bytes, wanted: tuple[bytes, ...]) -> bool:
    return any(each in content for each in wanted)


@pytest.mark.parametrize("before", [b"", b"1", b"12"])
def test_the_search_finds_every_spelling(tmp_path: Path, before: bytes) -> None:
    text = before + CANARY.encode() + b" and more"
    for number, content in enumerate(
        (text, text.hex().encode(), base64.b64encode(text), text.decode().encode("utf-16"))
    ):
        (tmp_path / f"{number}").write_bytes(b"something " + content)
    (tmp_path / "innocent").write_bytes(CANARY[:-1].encode())
    assert {path.name for path in places(CANARY, [tmp_path])} == {"0", "1", "2", "3"}


async def test_a_key_is_written_nowhere_and_no_error_says_it(stack: LocalStack) -> None:
    tenant = "canary"
    told: list[str] = []
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, CANARY)
        answer = await client.generate("Hello?", revision=revision)
        for trouble in ("status=401 echo_key", "status=500 echo_key", "error_after=2", "cut_after=2", "garbage"):
            with pytest.raises(GatehouseError) as failure:
                await client.generate(f"Hello? [[sandbox {trouble}]]", timeout=10)
            told += [str(failure.value), repr(failure.value)]
            with pytest.raises(GatehouseError) as failure:
                async for event in client.stream(f"Hello? [[sandbox {trouble}]]", timeout=10):
                    told.append(str(event.raw))
            told += [str(failure.value), repr(failure.value)]
        # As a request that is refused, and as one that Vault answers but the store does not keep.
        with pytest.raises(GatehouseError) as failure:
            await client.keys.create(f"tenants/{tenant}/keys/main", provider_type="", origin="x", api_key=CANARY)
        told += [str(failure.value), repr(failure.value)]
        with pytest.raises(FailedPrecondition):
            await client.generate("Hello?", provider="main")
        await stack.records_when(tenant, answer.outcome.operation_id)
        told += await through_its_life(client, f"tenants/{tenant}")
    assert CANARY not in "".join(told)
    assert SECOND not in "".join(told)

    roots = [stack.layout.root, stack.output_file]
    assert places(answer.outcome.operation_id, roots), "the search finds what is there"
    assert places(CANARY, roots) == []
    assert places(SECOND, roots) == []


async def answered(client: AsyncClient) -> bool:
    """Whether a call is served: after its failures the target rests for a while."""
    try:
        await client.generate("Hello again?")
    except FailedPrecondition:
        return False
    return True


async def through_its_life(client: AsyncClient, owner: str) -> list[str]:
    """What is said about a key that is rotated, refused, listed and audited."""
    name = f"{owner}/keys/main"
    rotated = await client.keys.rotate(name, SECOND, overlap=60)
    told = [str(rotated), str(await client.keys.rollback(name, 1)), str(await client.keys.rollback(name, 2))]
    async with asyncio.timeout(20):
        while not await answered(client):
            await asyncio.sleep(0.1)
    with pytest.raises(FailedPrecondition) as refused:
        await client.keys.rotate(name, SECOND)
    told += [str(refused.value), repr(refused.value)]
    told += [str(each) async for each in client.keys.list(owner)]
    told += [str(each) async for each in client.keys.notifications(owner)]
    told += [str(each) async for each in client.audit.list(owner)]
    told += [str(each) async for each in client.audit.export(owner)]
    return told
