"""Every type of provider, every way a call can end: what the sandbox would charge is what the ledger says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from gatehouse import AsyncClient, GatehouseError
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities
from gatehouse.usage.v1.usage_record_pb2 import (
    ATTEMPT_OUTCOME_CANCELLED,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_INTERRUPTED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    TOKEN_SOURCE_REPORTED,
    UsageRecord,
)

from libs.sandbox.bill import BillRecord, key_fingerprint
from tests.local_stack import LocalStack

TENANT = "every-type"
PATIENCE_S = 20.0
NEAR_TOKENS = 20


@dataclass(frozen=True)
class Type:
    """A type of provider at the sandbox."""

    path: str
    options: Mapping[str, object] = field(default_factory=dict)
    type: str = ""
    embeds: bool = True


TYPES: Mapping[str, Type] = {
    "openai": Type("/v1", {"api": "chat_completions"}),
    "responses": Type("/v1", {"api": "responses"}, type="openai"),
    "openai-compatible": Type("/v1", type="openai_compatible"),
    "azure": Type("/azure", type="azure_openai"),
    "anthropic": Type("/anthropic", embeds=False),
    "gemini": Type("/gemini/v1beta"),
    "ollama": Type("/ollama"),
}

# How the answer ends, and what the ledger is to say of it: how a whole one ended, how a stream, and whether the
# provider told what it used.
ENDINGS = {
    "": (ATTEMPT_OUTCOME_SUCCEEDED, ATTEMPT_OUTCOME_SUCCEEDED, True),
    "cached=3": (ATTEMPT_OUTCOME_SUCCEEDED, ATTEMPT_OUTCOME_SUCCEEDED, True),
    "reasoning=7": (ATTEMPT_OUTCOME_SUCCEEDED, ATTEMPT_OUTCOME_SUCCEEDED, True),
    "no_usage": (ATTEMPT_OUTCOME_SUCCEEDED, ATTEMPT_OUTCOME_SUCCEEDED, False),
    "status=500": (ATTEMPT_OUTCOME_FAILED, ATTEMPT_OUTCOME_FAILED, False),
    "status=400": (ATTEMPT_OUTCOME_FAILED, ATTEMPT_OUTCOME_FAILED, False),
    "error_after=0": (ATTEMPT_OUTCOME_FAILED, ATTEMPT_OUTCOME_FAILED, False),
    "error_after=4": (ATTEMPT_OUTCOME_FAILED, ATTEMPT_OUTCOME_INTERRUPTED, False),
    "cut_after=4": (ATTEMPT_OUTCOME_FAILED, ATTEMPT_OUTCOME_INTERRUPTED, False),
    "garbage": (ATTEMPT_OUTCOME_FAILED, ATTEMPT_OUTCOME_FAILED, False),
    "html": (ATTEMPT_OUTCOME_FAILED, ATTEMPT_OUTCOME_FAILED, False),
    "reset": (ATTEMPT_OUTCOME_FAILED, ATTEMPT_OUTCOME_FAILED, False),
    "silence_after=4": (ATTEMPT_OUTCOME_CANCELLED, ATTEMPT_OUTCOME_CANCELLED, False),
}
# A model that fails five times rests: each has two endings, whole and as a stream.
MODELS = {ending: f"sandbox-{place // 2}" for place, ending in enumerate(ENDINGS)}
VECTORS = ("", "no_usage", "status=500", "garbage", "cut_after=0", "silent")


async def give(stack: LocalStack, admin: AsyncClient, name: str) -> int:
    """A provider of this type with models that talk and one that makes vectors; the revision."""
    kind = TYPES[name]
    key, provider = f"tenants/{TENANT}/keys/{name}", f"tenants/{TENANT}/providers/{name}"
    type_ = kind.type or name
    await admin.keys.create(key, provider_type=type_, origin=stack.sandbox_url, api_key=f"sk-sandbox-{TENANT}-{name}")
    await admin.providers.create(
        provider,
        type=type_,
        base_url=f"{stack.sandbox_url}{kind.path}",
        key=key,
        options=kind.options,
        max_retries=0,
    )
    made = [await admin.models.create(f"{provider}/models/{model}") for model in sorted(set(MODELS.values()))]
    revision = made[-1].revision
    if kind.embeds:
        embeds = Capabilities(embeddings=True)
        revision = (await admin.models.create(f"{provider}/models/sandbox-embed", capabilities=embeds)).revision
    return revision


async def ask(client: AsyncClient, name: str, ending: str, way: str, revision: int) -> None:
    """One call, to whatever end it comes."""
    prompt = f"Tell me a story. [[sandbox tokens=15{f' {ending}' if ending else ''}]]"
    timeout = 1.0 if ending.startswith("silen") else 20.0
    labels = {"ending": ending.replace("=", "-") or "well", "way": way}
    with suppress(GatehouseError):
        if way == "vectors":
            prompt = prompt.replace("tokens=15", "")
            await client.embed(
                prompt, provider=name, model="sandbox-embed", labels=labels, timeout=timeout, revision=revision
            )
        elif way == "stream":
            async for _ in client.stream(
                prompt, provider=name, model=MODELS[ending], labels=labels, timeout=timeout, revision=revision
            ):
                pass
        else:
            await client.generate(
                prompt, provider=name, model=MODELS[ending], labels=labels, timeout=timeout, revision=revision
            )


async def gone_after_some(client: AsyncClient, name: str, revision: int) -> None:
    """A stream whose caller leaves it."""
    events = client.stream(
        "Tell me a story. [[sandbox tokens=150 pace_ms=10]]",
        provider=name,
        model=MODELS[""],
        labels={"ending": "gone", "way": "stream"},
        revision=revision,
    )
    pieces = 0
    async for event in events:
        pieces += bool(event.text)
        if pieces == 5:
            break
    await events.aclose()


async def settled(stack: LocalStack, calls: int) -> tuple[list[BillRecord], list[UsageRecord]]:
    """The bill of the tenant's calls and its ledger, when both know the end of all of them."""
    keys = {key_fingerprint(f"sk-sandbox-{TENANT}-{name}") for name in TYPES}
    async with asyncio.timeout(PATIENCE_S * stack.slowness):
        while True:
            bill = [each for each in stack.bill() if each.key_fingerprint in keys]
            ended = [each for each in bill if each.event == "finished"]
            records = await stack.records(TENANT)
            if len(ended) == len(records) == calls:
                return ended, records
            await asyncio.sleep(0.2)


async def test_what_each_type_charges_is_what_the_ledger_says(stack: LocalStack) -> None:
    calls = 0
    async with stack.client(tenant=TENANT) as client:
        for name, kind in TYPES.items():
            revision = await give(stack, client, name)
            asked = [ask(client, name, ending, way, revision) for ending in ENDINGS for way in ("whole", "stream")]
            if kind.embeds:
                asked += [ask(client, name, ending, "vectors", revision) for ending in VECTORS]
            asked.append(gone_after_some(client, name, revision))
            calls += len(asked)
            await asyncio.gather(*asked)
        bill, records = await settled(stack, calls)

    billed = {each.call: each for each in bill}
    assert len(billed) == calls, "each attempt is charged once"
    problems = [
        problem for record in records if (problem := wrong(record, billed[f"{record.operation_id}/{record.attempt}"]))
    ]
    assert not problems, "\n".join(problems)


def wrong(record: UsageRecord, charged: BillRecord) -> str:
    """What the ledger has wrong of a call; empty when nothing."""
    labels, tokens = dict(record.dimensions.labels), record.tokens
    ending = next((each for each in (*ENDINGS, *VECTORS) if (each.replace("=", "-") or "well") == labels["ending"]), "")
    about = f"{record.dimensions.provider.rpartition('/')[2]} {labels['way']} {ending or labels['ending']}"
    reported = record.token_source == TOKEN_SOURCE_REPORTED
    outcome, tells = ATTEMPT_OUTCOME_CANCELLED, False
    if labels["way"] == "vectors":
        cancelled = ATTEMPT_OUTCOME_CANCELLED if ending == "silent" else ATTEMPT_OUTCOME_FAILED
        outcome = ATTEMPT_OUTCOME_SUCCEEDED if ending in {"", "no_usage"} else cancelled
        tells = ending == ""
    elif labels["ending"] != "gone":
        whole, stream, tells = ENDINGS[ending]
        outcome = stream if labels["way"] == "stream" else whole
    if record.outcome != outcome:
        return f"{about}: outcome {record.outcome}, not {outcome}"
    if outcome == ATTEMPT_OUTCOME_SUCCEEDED and reported != tells:
        return f"{about}: reported {reported}, not {tells}"
    taken = tokens.input_tokens + tokens.cache_read_tokens + tokens.cache_write_tokens
    given = tokens.output_tokens + tokens.reasoning_tokens
    if tells:
        exact = (taken, given) == (charged.prompt_tokens, charged.completion_tokens)
        return "" if exact else f"{about}: {taken}, {given} recorded, {charged} charged"
    if reported and (taken or given):
        return f"{about}: {taken}, {given} are said to be reported"
    if charged.outcome in {"refused", "broken"}:
        # Nobody is charged; what may have been is estimated.
        return ""
    near = abs(given - charged.completion_tokens) <= NEAR_TOKENS and abs(taken - charged.prompt_tokens) <= NEAR_TOKENS
    return "" if near else f"{about}: {taken}, {given} estimated, {charged} charged"


@pytest.mark.parametrize("name", sorted(TYPES))
async def test_a_caller_that_leaves_ends_the_provider_s_work_at_once(stack: LocalStack, name: str) -> None:
    (line,) = [
        each
        for each in stack.bill(key_fingerprint=key_fingerprint(f"sk-sandbox-{TENANT}-{name}"))
        if each.event == "finished" and each.outcome == "client_gone" and 4 < each.chunks < 100
    ]
    # Ten milliseconds a chunk.
    assert line.chunks <= 5 + 25 * stack.slowness
