"""Vectors through the whole stack: what is asked, recorded, charged, refused and failed over."""

import asyncio
import math
import time
from collections.abc import Sequence

import pytest
from gatehouse import AsyncClient, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from gatehouse.answers import Embeddings
from gatehouse.providerconfig.v1.model_pb2 import ModelPrice
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities
from gatehouse.usage.v1.usage_record_pb2 import ATTEMPT_OUTCOME_SUCCEEDED, TOKEN_SOURCE_REPORTED, UsageRecord

from libs.sandbox.bill import BillRecord
from tests.e2e.routed_tenants import target
from tests.local_stack import LocalStack

EMBEDS = Capabilities(embeddings=True)
PRICE = ModelPrice(input_micro_usd_per_million=20_000)
TEXTS = ("The sky is blue.", "The sky, it is blue!", "Bread and butter")


async def give(stack: LocalStack, admin: AsyncClient, tenant: str, *providers: str, kind: str = "openai") -> int:
    """Providers of the tenant at the sandbox, each with a model that talks and one that makes vectors; the revision."""
    revision = 0
    for place, provider in enumerate(providers):
        key, name = f"tenants/{tenant}/keys/{provider}", f"tenants/{tenant}/providers/{provider}"
        await admin.keys.create(
            key, provider_type=kind, origin=stack.sandbox_url, api_key=f"sk-sandbox-{tenant}-{provider}"
        )
        base_url = f"{stack.sandbox_url}/{'ollama' if kind == 'ollama' else 'v1'}"
        await admin.providers.create(name, type=kind, base_url=base_url, key=key, priority=place)
        await admin.models.create(f"{name}/models/sandbox-small")
        made = await admin.models.create(f"{name}/models/sandbox-embed", capabilities=EMBEDS, price=PRICE)
        revision = made.revision
    return revision


async def record_of(stack: LocalStack, tenant: str, answer: Embeddings) -> Sequence[UsageRecord]:
    """The ledger's records of a call, as soon as they are there."""
    deadline = time.monotonic() + 20
    while True:
        found = [each for each in await stack.records(tenant) if each.operation_id == answer.outcome.operation_id]
        if found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.1)


def charged(stack: LocalStack, record: UsageRecord) -> BillRecord:
    reference = f"{record.operation_id}/{record.attempt}"
    (line,) = [each for each in stack.bill() if each.call == reference and each.event == "finished"]
    return line


def near(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


async def test_vectors_are_charged_to_the_token_for_what_the_provider_billed(stack: LocalStack) -> None:
    async with stack.client(tenant="vectors") as admin:
        revision = await give(stack, admin, "vectors", "one")
        answer = await admin.embed(TEXTS, task="search", labels={"team": "a"}, revision=revision)
        assert near(answer.vectors[0], answer.vectors[0]) == pytest.approx(1, abs=1e-5)
        assert near(answer.vectors[0], answer.vectors[1]) > 0.5 > near(answer.vectors[0], answer.vectors[2])
        assert (answer.outcome.served_by.model, answer.outcome.finish_reason) == ("sandbox-embed", 1)
        (record,) = await record_of(stack, "vectors", answer)
    line = charged(stack, record)
    assert (record.outcome, record.token_source) == (ATTEMPT_OUTCOME_SUCCEEDED, TOKEN_SOURCE_REPORTED)
    assert (record.tokens.input_tokens, record.tokens.output_tokens) == (line.prompt_tokens, 0)
    assert answer.outcome.usage.input_tokens == line.prompt_tokens
    assert line.operation == "embeddings"
    assert answer.cost_nano_usd == line.prompt_tokens * 20
    assert (record.dimensions.task, dict(record.dimensions.labels)) == ("search", {"team": "a"})


async def test_vectors_have_the_dimensions_asked_for_or_the_call_says_why_not(stack: LocalStack) -> None:
    async with stack.client(tenant="vectors-narrow") as admin:
        revision = await give(stack, admin, "vectors-narrow", "one")
        answer = await admin.embed("Bread", dimensions=32, revision=revision)
        assert (len(answer.vectors[0]), list(answer.outcome.warnings)) == (32, [])
        with pytest.raises(FailedPrecondition, match="does not carry a purpose"):
            await admin.embed("Bread", purpose="query")
        dropped = await admin.embed("Bread", purpose="query", compatibility="drop")
        assert any("purpose" in warning for warning in dropped.outcome.warnings)


async def test_only_models_that_make_vectors_are_asked(stack: LocalStack) -> None:
    async with stack.client(tenant="vectors-models") as admin:
        revision = await give(stack, admin, "vectors-models", "one")
        with pytest.raises(FailedPrecondition) as caught:
            await admin.embed("Bread", model="sandbox-small", revision=revision)
        assert [each.type for each in caught.value.precondition_violations if "/one/" in each.subject] == [
            "CAPABILITY_MISSING"
        ]
        with pytest.raises(InvalidArgument, match="has no model"):
            await admin.embed("Bread", provider="one", model="gone")
        unknown = await admin.models.create("tenants/vectors-models/providers/one/models/gpt-0", capabilities=EMBEDS)
        with pytest.raises(NotFound):
            await admin.embed("Bread", model="gpt-0", revision=unknown.revision)


async def test_another_model_serves_only_where_the_caller_says_so(stack: LocalStack) -> None:
    failing = "Bread [[sandbox status=503]]"
    async with stack.client(tenant="vectors-failing") as admin:
        revision = await give(stack, admin, "vectors-failing", "one", "two")
        with pytest.raises(Unavailable):
            await admin.embed(failing, revision=revision)
        # Every provider fails by what stands in the text: that all were asked is what can be seen.
        with pytest.raises(Unavailable):
            await admin.embed(failing, fallback=True)
        keys = {each.key_fingerprint for each in stack.bill() if each.model == "sandbox-embed" and each.status == 503}
        assert len(keys) >= 2
        await admin.providers.update("tenants/vectors-failing/providers/one", base_url=f"{stack.sandbox_url}/nowhere")
        changed = await admin.providers.update("tenants/vectors-failing/providers/one", priority=0)
        answer = await admin.embed("Bread", fallback=True, revision=changed.revision)
        assert answer.outcome.served_by.provider.endswith("/two")
        assert [each.error_reason for each in answer.outcome.attempts][-1] == ""
        records = await record_of(stack, "vectors-failing", answer)
        assert len(records) == len(answer.outcome.attempts)


async def test_routes_are_followed_by_task(stack: LocalStack) -> None:
    async with stack.client(tenant="vectors-routed") as admin:
        await give(stack, admin, "vectors-routed", "one", "two")
        made = await admin.routes.create(
            "tenants/vectors-routed/routes/search", strategy="priority", targets=[target("two", "")]
        )
        answer = await admin.embed("Bread", task="search", revision=made.revision)
        served = answer.outcome.served_by
        assert (served.provider.rpartition("/")[2], served.model, served.rule) == ("two", "sandbox-embed", "route")
        assert answer.trace.route == "tenants/vectors-routed/routes/search"


async def test_a_quota_holds_for_vectors(stack: LocalStack) -> None:
    async with stack.client(tenant="vectors-bounded") as admin:
        revision = await give(stack, admin, "vectors-bounded", "one")
        await admin.quotas.create("tenants/vectors-bounded/quotas/few", metric="tokens", window="day", limit=200)
        await admin.embed("Bread", revision=revision)
        with pytest.raises(ResourceExhausted) as caught:
            await admin.embed("word " * 200)
        assert caught.value.reason == "QUOTA_EXCEEDED"


async def test_wrong_requests_are_refused_field_by_field(stack: LocalStack) -> None:
    async with stack.client(tenant="vectors-wrong") as admin:
        with pytest.raises(InvalidArgument) as caught:
            await admin.embed(["Bread", ""], dimensions=0, task="No id")
        fields = {each.field for each in caught.value.field_violations}
        assert fields == {"embedding.inputs[1]", "embedding.dimensions", "embedding.task"}


async def test_a_large_batch_comes_whole(stack: LocalStack) -> None:
    async with stack.client(tenant="vectors-many") as admin:
        revision = await give(stack, admin, "vectors-many", "one")
        texts = [f"sentence number {number}" for number in range(2048)]
        answer = await admin.embed(texts, dimensions=1536, timeout=120, revision=revision)
        assert (len(answer.vectors), {len(vector) for vector in answer.vectors}) == (2048, {1536})
        assert answer.vectors[0] != answer.vectors[2047]


async def test_vectors_of_ollama_come_the_same_way(stack: LocalStack) -> None:
    async with stack.client(tenant="vectors-local") as admin:
        revision = await give(stack, admin, "vectors-local", "one", kind="ollama")
        answer = await admin.embed(TEXTS, revision=revision)
        assert near(answer.vectors[0], answer.vectors[1]) > 0.5 > near(answer.vectors[0], answer.vectors[2])
        (record,) = await record_of(stack, "vectors-local", answer)
        assert record.tokens.input_tokens == charged(stack, record).prompt_tokens
