"""The plugin of the README, installed and called through all services; broken ones beside it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web
from gatehouse import AsyncClient, FailedPrecondition, GatehouseError
from gatehouse.providerconfig.v1 import provider_pb2

from tests.local_stack import LocalStack
from tests.plugin_example import install_example
from tests.unit.plugins.packages import described, install

_KEY = "parley-canary-8f3a6b20d94e71c5"
_TENANT = "tenants/plugged"

# Is described as it should be, and then does what it should not: everything fails but the way to the provider.
_GRUMPY_DIALECT = """
def _dialect():
    from gatehouse_parley.dialect import ParleyAnswers, ParleyDialect
    from services.router.providers.base import EncodedRequest

    class GrumpyAnswers(ParleyAnswers):
        def decode(self, body):
            raise SystemExit(f"refusing {body!r}")

        def stream_decoder(self):
            return self

        def feed(self, data):
            return ["no event"]

    class GrumpyDialect(ParleyDialect):
        id = "grumpy"

        def encode(self, request, **how):
            encoded = super().encode(request, **how)
            return EncodedRequest(encoded.path, encoded.body, GrumpyAnswers())

    return GrumpyDialect()
"""


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack with the README's plugin, one that misbehaves, and two that are not as they should be."""
    directory = tmp_path_factory.mktemp("plugins")
    site = install_example(directory)
    grumpy = described("grumpy", dialect="_dialect", default_base_url="''", options="{}")
    install(site, "grumpy_plugin", _GRUMPY_DIALECT + grumpy)
    install(site, "absent_plugin", "import no_such_module_at_all")
    install(site, "halfhearted_plugin", described("halfhearted", dialect="dict"))
    stack = LocalStack(directory / "gatehouse", {"PYTHONPATH": str(site)})
    stack.start()
    try:
        yield stack
    finally:
        code = stack.stop()
    assert code == 0, stack.output


async def _talk(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    if request.headers.get("X-Parley-Key") != _KEY:
        return web.json_response({"error": {"code": "who", "message": "who is there?"}}, status=401)
    spent = {"heard": 7, "said": 2}
    says = f"{asked['turns'][-1]['says']} - heard in {request.headers.get('X-Parley-Region', 'nowhere')}"
    if not asked["bit_by_bit"]:
        return web.json_response({"says": says, "ended": "done", "spent": spent})
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in ({"says": says[:5]}, {"says": says[5:]}, {"ended": "done", "spent": spent}):
        await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
    return response


async def _speakers(_: web.Request) -> web.Response:
    return web.json_response({"speakers": ["parley-large", "parley-small"]})


@pytest.fixture
async def parley() -> AsyncIterator[str]:
    """A server that speaks Parley; its address."""
    application = web.Application()
    application.add_routes([web.post("/v1/talk", _talk), web.get("/v1/speakers", _speakers)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def _provide(client: AsyncClient, name: str, url: str, **fields: object) -> int:
    key = f"{_TENANT}/keys/{name}"
    await client.keys.create(key, provider_type=str(fields["type"]), origin=url, api_key=_KEY)
    await client.providers.create(f"{_TENANT}/providers/{name}", base_url=url, key=key, **fields)  # type: ignore[arg-type]
    return (await client.models.create(f"{_TENANT}/providers/{name}/models/parley-small")).revision


async def test_the_readmes_plugin_is_called_like_any_other_provider(plugged: LocalStack, parley: str) -> None:
    async with plugged.client(tenant="plugged") as client:
        types = {each.id: each for each in await client.providers.types()}
        assert types["parley"].display_name == "Parley"
        assert json.loads(types["parley"].options_schema_json)["properties"]["region"]["enum"] == ["eu", "us"]
        with pytest.raises(GatehouseError) as refused:
            await client.providers.create(f"{_TENANT}/providers/p", type="parley", options={"region": "mars"})
        assert "provider.options.region" in str(refused.value)

        revision = await _provide(client, "talker", parley, type="parley", options={"region": "eu"})
        answer = await client.generate("Hello?", provider="talker", revision=revision)
        assert answer.text == "Hello? - heard in eu"
        assert (answer.outcome.usage.input_tokens, answer.outcome.usage.output_tokens) == (7, 2)
        pieces = [event.text async for event in client.stream("Again?", provider="talker")]
        assert "".join(pieces) == "Again? - heard in eu"

        test = await client.providers.test(f"{_TENANT}/providers/talker")
        assert (test.outcome, test.model_count) == (provider_pb2.PROVIDER_TEST_OUTCOME_OK, 2)
        # What it cannot carry is known before the call, as of any other type.
        with pytest.raises(FailedPrecondition, match="seed"):
            await client.generate("Hello?", provider="talker", seed=1)


async def test_a_plugin_that_misbehaves_fails_its_attempt_and_nothing_else(plugged: LocalStack, parley: str) -> None:
    async with plugged.client(tenant="plugged") as client:
        await _provide(client, "grumpy", parley, type="grumpy", max_retries=0)
        revision = await _provide(client, "backup", parley, type="parley")
        for _ in range(2):
            with pytest.raises(GatehouseError) as failed:
                await client.generate("Hello?", provider="grumpy", revision=revision)
            assert failed.value.reason == "PROVIDER_BAD_RESPONSE"
        with pytest.raises(GatehouseError) as failed:
            [event async for event in client.stream("Hello?", provider="grumpy")]
        assert failed.value.reason == "PROVIDER_BAD_RESPONSE"
        assert (await client.generate("Hello?", provider="backup")).text == "Hello? - heard in nowhere"

    log = plugged.layout.log("router").read_text()
    assert "plugin_failed" in log
    assert "SystemExit" in log
    assert "a str among the events" in log
    assert "Hello?" not in log
    assert _KEY not in log


async def test_what_is_wrong_with_a_plugin_is_in_the_logs_once(plugged: LocalStack) -> None:
    told = {name: plugged.layout.log(name).read_text() for name in ("provider_config", "router")}
    for log in told.values():
        assert log.count("absent_plugin 1.0 (plugin)") == 1
        assert "No module named 'no_such_module_at_all'" in log
        assert log.count("gatehouse-parley 1.0.0 (parley)") == 1
    # Only the router makes dialects.
    assert "its dialect is a dict without" in told["router"]
    assert "its dialect is a dict without" not in told["provider_config"]
