from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from openai import AsyncOpenAI

from libs.sandbox import Sandbox

KEY = "sk-sandbox-canary-7f3a"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with Sandbox(bill_path=tmp_path / "bill.jsonl", keep_requests=True) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{sandbox.url}/v1", api_key=KEY, max_retries=0) as running:
        yield running
