"""Vault does not answer: calls say so, and work again once it does."""

import asyncio
import signal

import pytest
from gatehouse import AsyncClient, GatehouseError, Unavailable

from libs.sandbox.bill import key_fingerprint
from tests.local_stack import LocalStack


async def test_a_vault_that_hangs_is_named_and_calls_work_again_when_it_is_back(stack: LocalStack) -> None:
    tenant, material = "vault-hangs", "sk-sandbox-vault-hangs"
    async with stack.client(tenant=tenant) as client:
        revision = await stack.give_provider(client, tenant, material)
        await client.generate("Warm-up", revision=revision)
        charged = len(stack.bill(key_fingerprint=key_fingerprint(material)))
        stack.signal("openbao", signal.SIGSTOP)
        try:
            with pytest.raises(Unavailable) as failure:
                await client.generate("Anybody?", timeout=20)
        finally:
            stack.signal("openbao", signal.SIGCONT)
        assert failure.value.reason == "VAULT_UNREACHABLE"
        assert len(stack.bill(key_fingerprint=key_fingerprint(material))) == charged, "nothing went out without its key"
        async with asyncio.timeout(5 * stack.slowness):
            reasons = await failures_until_an_answer(client)
    assert set(reasons) <= {"VAULT_UNREACHABLE"}


async def failures_until_an_answer(client: AsyncClient) -> list[str]:
    reasons: list[str] = []
    while True:
        try:
            await client.generate("And now?", timeout=5)
        except GatehouseError as error:
            reasons.append(error.reason)
            await asyncio.sleep(0.05)
        else:
            return reasons
