"""Key material is nowhere: no log, database, spool, audit log or output of the whole run holds it."""

import asyncio
import base64
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest
from gatehouse import AsyncClient, FailedPrecondition, GatehouseError

from libs.sandbox.dialects.google_tokens import google_service_account
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


# Keys as each type sends them: in which header, as part of which request for a token.
TYPES = {
    "openai": ("/v1", {"api": "responses"}, "sk-sandbox-canary-{}"),
    "azure_openai": ("/azure", {}, "sk-sandbox-canary-{}"),
    "azure-entra": (
        "/azure",
        {"auth": "entra"},
        '{{"tenant_id": "contoso", "client_id": "c", "client_secret": "sk-sandbox-canary-{}"}}',
    ),
    "anthropic": ("/anthropic", {}, "sk-sandbox-canary-{}"),
    "gemini": ("/gemini/v1beta", {}, "sk-sandbox-canary-{}"),
    # The sandbox knows another key of this account, so that there is no token for this one.
    "gemini-account": ("/gemini/v1beta", {"auth": "service_account"}, google_service_account()),
    "ollama": ("/ollama", {}, "sk-sandbox-canary-{}"),
}
TROUBLES = (
    "",
    "status=401 echo_key",
    "status=400 echo_key",
    "error_after=2 error_status=400",
    "garbage",
    "cut_after=1",
)


def secrets_in(material: str) -> list[str]:
    """The parts of a key that are secret by themselves."""
    if not material.startswith("{"):
        return [material]
    content = orjson.loads(material)
    # Of a private key, lines in its middle: all of it stands nowhere in one piece once it was read.
    return [content["client_secret"]] if "client_secret" in content else content["private_key"].split("\n")[3:6]


async def test_keys_of_every_type_are_written_nowhere(stack: LocalStack) -> None:
    tenant, told, secrets, served = "canary-types", [], [], []
    async with stack.client(tenant=tenant) as client:
        for name, (path, options, form) in TYPES.items():
            type_ = {"azure-entra": "azure_openai", "gemini-account": "gemini"}.get(name, name)
            material = form if "private_key" in form else form.format(name.replace("_", "-"))
            secrets += secrets_in(material)
            key, provider = f"tenants/{tenant}/keys/{name}", f"tenants/{tenant}/providers/{name.replace('_', '-')}"
            key = key.replace("_", "-")
            made = await client.keys.create(key, provider_type=type_, origin=stack.sandbox_url, api_key=material)
            told.append(str(made))
            await client.providers.create(
                provider, type=type_, base_url=f"{stack.sandbox_url}{path}", key=key, options=options, max_retries=0
            )
            revision = (await client.models.create(f"{provider}/models/sandbox-small")).revision
            told.append(str(await client.providers.test(provider)))
            for trouble in TROUBLES:
                said = f"Hello?{f' [[sandbox {trouble}]]' if trouble else ''}"
                where = {"provider": name.replace("_", "-"), "model": "sandbox-small", "revision": revision}
                try:
                    answer = await client.generate(said, **where)  # type: ignore[arg-type]  # as a call takes them
                    served.append((name, answer.outcome.operation_id))
                    async for event in client.stream(said, **where):  # type: ignore[arg-type]
                        told.append(str(event.raw))
                except GatehouseError as failure:
                    told += [str(failure), repr(failure)]
        told += [str(each) async for each in client.keys.list(f"tenants/{tenant}")]
        told += [str(each) async for each in client.audit.export(f"tenants/{tenant}")]
        await stack.records_when(tenant, served[-1][1])
    assert {name for name, _ in served} == TYPES.keys() - {"gemini-account"}
    assert [secret for secret in secrets if secret in "".join(told)] == []
    roots = [stack.layout.root, stack.output_file]
    assert places(served[-1][1], roots), "the search finds what is there"
    assert [secret for secret in secrets if places(secret, roots)] == []


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
