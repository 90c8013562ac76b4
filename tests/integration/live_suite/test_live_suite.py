"""The suite for real endpoints (`make test-live`) against the sandbox in all dialects, so that it cannot rot."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import orjson
import pytest

from libs.sandbox import Sandbox
from tests.contract.dialects.variants import VARIANTS, Variant

KEY = "sk-sandbox-canary-live-7d20"
ROOT = Path(__file__).parents[3]
# The sandbox does what it is told by its own words only.
WORDS = {
    "tools": "[[sandbox tools=1]]",
    "tool-result": "[[sandbox tools=1]]",
    "parallel-tools": "[[sandbox tools=2]]",
    "one-tool-at-a-time": "[[sandbox tools=2]]",
    "cancel": "[[sandbox tokens=300 pace_ms=5]]",
    **dict.fromkeys(("thoughts", "signed-thoughts"), "[[sandbox reasoning=6 show_reasoning]]"),
    "signed-tool-calls": "[[sandbox tools=1 reasoning=6 show_reasoning]]",
}
# What every model can do, and what it can when the dialect carries the features.
ALWAYS = (
    "unicode",
    "output-limit",
    "usage",
    "usage-grows",
    "unknown-model",
    "model-list",
    "cancel",
)
BY_FEATURE: Mapping[str, str] = {
    "tools": "tools",
    "tool-result": "tools",
    "parallel-tools": "tools",
    "tools-from-elsewhere": "tools",
    "failed-result": "tools",
    "tool-required": "tool_choice",
    "tool-by-name": "tool_choice",
    "tool-none": "tool_choice",
    "one-tool-at-a-time": "parallel_tool_calls",
    "json": "json",
    "json-schema": "json_schema",
    "sampling": "sampling",
    "top-p": "sampling",
    "top-k": "top_k",
    "penalties": "penalties",
    "seed": "seed",
    "reasoning-effort": "reasoning",
    "reasoning-budget": "reasoning",
    "thoughts": "reasoning",
    "embeddings-order": "embeddings",
    "embeddings-usage": "embeddings",
    "dimensions": "dimensions",
}
VERDICTS = frozenset({"yes", "no", "not as told", "FAILED"})
SIGNING = ("anthropic", "gemini", "openai-responses")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


async def live(environment: Mapping[str, str], *more: str) -> tuple[int, str]:
    """What becomes of a run with this environment, and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-q", "--tb=short", "-r", "fE", "-m", "live", "-p", "no:cacheprovider", "tests/live", *more),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 100)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, output.decode()


def verdicts(output: str) -> dict[str, tuple[str, str]]:
    """The table: for each feature what it is whole, and streamed."""
    rows = {}
    for line in output[output.index("\nfeature") :].splitlines()[2:]:
        cells = (line[:22].strip(), line[22:36].strip(), line[36:50].strip())
        if cells[1] in VERDICTS and not line.startswith(" "):
            rows[cells[0]] = cells[1:]
    return rows


def environment(sandbox: Sandbox, variant: Variant) -> dict[str, str]:
    return {
        "GATEHOUSE_LIVE_TYPE": variant.type,
        "GATEHOUSE_LIVE_URL": sandbox.url + variant.path,
        "GATEHOUSE_LIVE_KEY": KEY,
        "GATEHOUSE_LIVE_MODEL": "sandbox-reasoner",
        "GATEHOUSE_LIVE_EMBEDDING_MODEL": "sandbox-embed",
        "GATEHOUSE_LIVE_OPTIONS": orjson.dumps(dict(variant.options)).decode(),
        "GATEHOUSE_LIVE_WORDS": orjson.dumps(WORDS).decode(),
    }


@pytest.mark.parametrize("name", sorted(VARIANTS))
async def test_the_sandbox_passes_in_every_dialect(sandbox: Sandbox, name: str) -> None:
    variant = VARIANTS[name]
    status, output = await live(environment(sandbox, variant))
    assert status == 0, output
    found = verdicts(output)
    wanted = {*ALWAYS, *(each for each, feature in BY_FEATURE.items() if variant.can(feature))}
    if name in SIGNING:
        wanted |= {"signed-thoughts", "signed-tool-calls"}
    assert {each: found.get(each) for each in wanted} == dict.fromkeys(wanted, ("yes", "yes"))
    assert KEY not in output


async def test_a_stream_given_up_is_given_up_at_the_provider(sandbox: Sandbox) -> None:
    chosen = environment(sandbox, VARIANTS["openai"])
    assert (await live(chosen, "-k", "given_up"))[0] == 0
    assert "client_gone" in [record.outcome for record in sandbox.bill.records()]


async def test_what_fails_says_why_without_the_key(sandbox: Sandbox) -> None:
    chosen = environment(sandbox, VARIANTS["openai"]) | {"GATEHOUSE_LIVE_URL": f"{sandbox.url}/v1/nowhere"}
    status, output = await live(chosen, "-k", "test_a_question_is_answered")
    assert status == 1
    assert verdicts(output) == {"text": ("FAILED", "FAILED")}
    assert "PROVIDER_MODEL_NOT_FOUND, status 404" in output
    assert KEY not in output


async def test_what_is_left_out_is_not_asked(sandbox: Sandbox) -> None:
    chosen = environment(sandbox, VARIANTS["openai"]) | {"GATEHOUSE_LIVE_SKIP": "text, unicode"}
    status, output = await live(chosen, "-k", "test_a_question_is_answered or test_letters")
    assert status == 0
    assert verdicts(output) == {"text": ("no", "no"), "unicode": ("no", "no")}
    assert "left out by GATEHOUSE_LIVE_SKIP" in output
    assert sandbox.bill.records() == []


async def test_a_run_without_a_target_says_what_to_set() -> None:
    status, output = await live({})
    assert status == 4
    assert "set GATEHOUSE_LIVE_TYPE to a provider type: openai, anthropic" in output
