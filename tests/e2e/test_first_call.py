"""`make run`: the first call with and without OPENAI_API_KEY, and what is printed of it."""

import asyncio
import io
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from deploy.local.first_call import QUESTION, show_first_call
from deploy.local.next_steps import next_steps
from deploy.local.settings import LauncherSettings
from libs.sandbox.bill import key_fingerprint
from libs.sandbox.server import Sandbox
from tests.e2e.test_canary import places
from tests.local_stack import REPOSITORY, LocalStack

CANARY = "sk-canary-of-the-environment-9d41e07b"


@pytest.fixture
async def openai() -> AsyncIterator[Sandbox]:
    """A second sandbox in OpenAI's place; it accepts keys that begin with `sk-`."""
    async with Sandbox(key_prefix="sk-", keep_requests=True) as sandbox:
        yield sandbox


async def tour(stack: LocalStack, openai: Sandbox | None = None, api_key: str | None = None) -> tuple[bool, str]:
    """The first call on the running stack as `make run` would make it with this key; whether it went well, and all it
    printed.
    """
    settings = LauncherSettings.model_construct(
        openai_api_key=None if api_key is None else SecretStr(api_key),
        openai_base_url=f"{openai.url}/v1" if openai else "",
        sandbox_port=stack.ports["SANDBOX"],
        router_port=stack.ports["ROUTER"],
    )
    output = io.StringIO()
    went_well = await show_first_call(settings, stack.layout, Console(file=output, width=120))
    return went_well, output.getvalue()


def charged_keys(openai: Sandbox) -> list[str | None]:
    return [line.key_fingerprint for line in openai.bill.records() if line.event == "accepted"]


async def test_the_first_call_is_shown_with_its_record_first_without_then_with_a_key(
    tmp_path: Path, openai: Sandbox
) -> None:
    stack = LocalStack(tmp_path / "gatehouse")
    first = await asyncio.to_thread(stack.run_once)
    assert first.returncode == 0, first.stdout
    assert "OPENAI_API_KEY is not set" in first.stdout
    assert "Hello from the sandbox" in first.stdout
    assert re.search(r"served by +platform/providers/sandbox · sandbox-small", first.stdout)
    assert re.search(r"with key +platform/keys/sandbox", first.stdout)
    assert re.search(r"time +.* in the gateway \+ .* at the provider", first.stdout)
    assert "All processes stopped." in first.stdout

    environment = {"OPENAI_API_KEY": CANARY, "OPENAI_BASE_URL": f"{openai.url}/v1"}
    second = await asyncio.to_thread(stack.run_once, environment)
    assert second.returncode == 0, second.stdout
    assert re.search(r"served by +platform/providers/openai · gpt-4o-mini \(openai\)", second.stdout)
    assert re.search(r"cost +\$0\.0000\d+ *\n", second.stdout), "its price is in the catalogue"
    assert charged_keys(openai) == [key_fingerprint(CANARY)]

    # The ledger goes on where it was, and what was used before counts.
    assert re.search(r"record 1 +settled, succeeded", first.stdout)
    assert re.search(r"record 2 +settled, succeeded", second.stdout)
    used = tokens_used(first.stdout), tokens_used(second.stdout)
    assert used[1] == used[0] + tokens_of_the_call(second.stdout)

    assert CANARY not in second.stdout
    assert places(CANARY, [stack.layout.root]) == []


def tokens_used(output: str) -> int:
    (used,) = re.findall(r"daily-tokens +(\d+) of 1,000,000 tokens used", output)
    return int(used)


def tokens_of_the_call(output: str) -> int:
    ((taken, made),) = re.findall(r"tokens +(\d+) in \(0 cached\), (\d+) out, 0 reasoning", output)
    return int(taken) + int(made)


async def test_the_provider_follows_the_environment_from_run_to_run(stack: LocalStack, openai: Sandbox) -> None:
    first, other = "sk-first-key-of-openai", "sk-other-key-of-openai"
    for api_key, words in ((first, "imported"), (first, "unchanged"), (other, "rotated"), (other, "unchanged")):
        went_well, output = await tour(stack, openai, api_key)
        assert went_well, output
        assert f"(platform/keys/openai, {words})" in output
        assert "served by     platform/providers/openai" in output
        assert charged_keys(openai)[-1] == key_fingerprint(api_key)
    assert len(charged_keys(openai)) == 4

    went_well, output = await tour(stack)
    assert went_well, output
    assert "served by     platform/providers/sandbox" in output
    assert "platform/providers/openai is switched off" in output
    went_well, output = await tour(stack, openai, other)
    assert "served by     platform/providers/openai" in output

    # Somewhere else, the key is another key: it goes where it was meant to go, never to where the old one went.
    async with Sandbox(key_prefix="sk-") as moved:
        went_well, output = await tour(stack, moved, other)
        assert went_well, output
        assert "(platform/keys/openai, imported)" in output
        assert charged_keys(moved) == [key_fingerprint(other)]
    assert len(charged_keys(openai)) == 5
    await tour(stack)


@pytest.mark.parametrize(
    ("api_key", "reason", "advice"),
    [
        ("no-key-of-openai", "PROVIDER_KEY_REJECTED", "Set OPENAI_API_KEY to a key that OpenAI accepts"),
        ("sk-…a1b2", "INVALID_FIELD", "OPENAI_API_KEY"),
    ],
)
async def test_a_refused_key_is_told_with_what_to_do_and_nobody_answers_instead(
    stack: LocalStack, openai: Sandbox, api_key: str, reason: str, advice: str
) -> None:
    try:
        went_well, output = await tour(stack, openai, api_key)
    finally:
        await tour(stack)
    assert not went_well
    assert reason in output
    assert advice in output
    assert api_key not in output
    assert "Hello from the sandbox" not in output


async def test_a_provider_out_of_reach_is_told_with_what_to_do(stack: LocalStack, openai: Sandbox) -> None:
    gone = Sandbox(port=openai.port, key_prefix="sk-")
    await openai.__aexit__(None, None, None)
    try:
        went_well, output = await tour(stack, gone, "sk-key-of-nobody-there")
    finally:
        await tour(stack)
    assert not went_well
    assert "PROVIDER_UNREACHABLE" in output
    assert "or unset OPENAI_API_KEY" in output


def test_every_command_that_is_printed_works_as_it_is(stack: LocalStack) -> None:
    settings = LauncherSettings.model_construct(router_port=stack.ports["ROUTER"])
    for step in next_steps(settings, stack.layout, folder=REPOSITORY):
        assert step.command in stack.output
        if "grpcurl" in step.command and shutil.which("grpcurl") is None:
            continue
        run = subprocess.run(
            ["sh", "-c", step.command], cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False
        )
        assert run.returncode == 0, run.stderr
        # grpcurl prints an event for each piece.
        assert QUESTION in run.stdout or re.search(r'"text_?[dD]elta": "Hello', run.stdout)
