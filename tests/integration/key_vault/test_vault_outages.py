"""A Vault in trouble for a while, now and then, or in one part only: everybody is answered at once, and right."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from libs.core.errors import GatehouseError, Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.ports import Ciphertext, SecretReference
from services.key_vault.vault.client import VaultClient
from tests.integration.key_vault.conftest import Connect
from tests.integration.key_vault.fake_vault import FakeVault, Received, Reply, b64, behaves, on, vault_errors
from tests.unit.key_vault.memory import HandClock

SECRET = Secret(b"sk-canary-0123456789")
SEALED = Ciphertext(text="vault:v1:" + b64(SECRET.reveal()), context=b"tenants/acme|uid|1")
DECRYPT = "/v1/transit/decrypt/provider-keys"
REFERENCE = SecretReference(secret_id="acme", mount="secret", path="gatehouse/acme", field="api_key")


async def outcome(call: Awaitable[object]) -> str:
    try:
        await call
    except Unavailable as error:
        return error.reason
    return "OK"


async def opened(client: VaultClient) -> str:
    return await outcome(client.open([SEALED]))


def asked(fake: FakeVault, what: str) -> int:
    return fake.paths().count(what)


async def test_everybody_is_answered_at_once_until_a_probe_succeeds(
    fake_vault: FakeVault, connect: Connect, clock: HandClock
) -> None:
    client = connect(fake_vault.address, clock=clock)
    fake_vault.answer = on(DECRYPT, vault_errors(503))
    assert await opened(client) == "VAULT_SEALED"
    assert [await opened(client) for _ in range(20)] == ["VAULT_SEALED"] * 20
    assert asked(fake_vault, "decrypt") == 1
    clock.seconds += 1
    assert [await opened(client) for _ in range(20)] == ["VAULT_SEALED"] * 20
    assert asked(fake_vault, "decrypt") == 2
    fake_vault.answer = behaves
    clock.seconds += 1
    assert [await opened(client) for _ in range(2)] == ["OK", "OK"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (vault_errors(503), "VAULT_SEALED"),
        (vault_errors(429, "rate limit quota exceeded"), "VAULT_UNREACHABLE"),
        (Reply(307, headers={"Location": "http://127.0.0.1:1/"}), "VAULT_UNREACHABLE"),
        (vault_errors(403), "VAULT_DENIED"),
        (Reply(200, b"<html>"), "VAULT_UNREACHABLE"),
        (Reply(cut=True), "VAULT_UNREACHABLE"),
        (Reply(delay_s=2), "VAULT_UNREACHABLE"),
    ],
)
async def test_without_any_calls_readiness_finds_out_that_vault_is_back(
    fake_vault: FakeVault, connect: Connect, clock: HandClock, reply: Reply, reason: str
) -> None:
    client = connect(fake_vault.address, clock=clock, read_timeout_s=0.2)
    fake_vault.answer = on("/v1/", reply)
    assert await opened(client) == reason
    assert await outcome(client.ping()) == reason
    fake_vault.answer = behaves
    clock.seconds += 1
    assert await outcome(client.ping()) == "OK"
    # All of them at once: none is sacrificed to find out.
    assert await asyncio.gather(*(opened(client) for _ in range(10))) == ["OK"] * 10


async def test_a_vault_that_says_it_is_well_but_opens_nothing_is_not_ready(
    fake_vault: FakeVault, connect: Connect, clock: HandClock
) -> None:
    # As with an audit log whose disk is full: health is answered, nothing else.
    client = connect(fake_vault.address, clock=clock)
    fake_vault.answer = on(DECRYPT, vault_errors(500))
    assert await opened(client) == "VAULT_UNREACHABLE"
    for _ in range(3):
        clock.seconds += 1
        assert await outcome(client.ping()) == "VAULT_UNREACHABLE"
        assert await opened(client) == "VAULT_UNREACHABLE"
    assert asked(fake_vault, "decrypt") == 4, "the first call and one probe a second"


async def test_a_part_that_fails_leaves_the_others_alone(
    fake_vault: FakeVault, connect: Connect, clock: HandClock
) -> None:
    client = connect(fake_vault.address, clock=clock)
    parts: dict[str, Callable[[], Awaitable[object]]] = {
        "/v1/transit/encrypt": lambda: client.seal(SECRET, b"context"),
        "/v1/transit/decrypt": lambda: client.open([SEALED]),
        "/v1/transit/rewrap": lambda: client.rewrap([SEALED]),
        "/v1/transit/sign": lambda: client.sign(b"message"),
    }
    for path, part in parts.items():
        fake_vault.answer = on(path, vault_errors(403))
        outcomes = {other: await outcome(call()) for other, call in parts.items()}
        assert outcomes == {other: "VAULT_DENIED" if other == path else "OK" for other in parts}
        clock.seconds += 1
        fake_vault.answer = behaves
        assert await outcome(part()) == "OK"


async def test_sealing_that_failed_is_tried_by_readiness_and_does_not_make_the_service_unready(
    fake_vault: FakeVault, connect: Connect, clock: HandClock
) -> None:
    client = connect(fake_vault.address, clock=clock)
    fake_vault.answer = on("/v1/transit/encrypt", vault_errors(403))
    assert await outcome(client.seal(SECRET, b"context")) == "VAULT_DENIED"
    clock.seconds += 1
    assert await outcome(client.ping()) == "OK"
    fake_vault.answer = behaves
    clock.seconds += 1
    assert await outcome(client.ping()) == "OK"
    assert await asyncio.gather(*(outcome(client.seal(SECRET, b"c")) for _ in range(5))) == ["OK"] * 5


async def test_a_call_that_gives_up_late_says_nothing_against_a_vault_that_is_back(
    fake_vault: FakeVault, connect: Connect
) -> None:
    client = connect(fake_vault.address, read_timeout_s=0.5)
    await opened(client)
    slow = iter([Reply(delay_s=1)])
    fake_vault.answer = lambda request: next(slow, None) or behaves(request)
    waiting = asyncio.create_task(opened(client))
    await asyncio.sleep(0.1)
    assert await opened(client) == "OK"
    assert await waiting == "VAULT_UNREACHABLE"
    assert await opened(client) == "OK"


async def test_our_own_full_queue_says_nothing_about_vault(fake_vault: FakeVault, connect: Connect) -> None:
    fake_vault.answer = lambda request: Reply(**(vars(behaves(request)) | {"delay_s": 0.005}))
    client = connect(fake_vault.address, timeout_s=30.0)
    outcomes = Counter(await asyncio.gather(*(opened(client) for _ in range(600))))
    assert set(outcomes) == {"OK", "OVERLOADED"}
    assert await opened(client) == "OK"


async def test_a_vault_that_flaps_gives_the_key_or_the_right_reason_at_once(
    fake_vault: FakeVault, connect: Connect
) -> None:
    """Real time: 3 seconds of ups and downs, calls all along, then healthy within two seconds."""
    faults = [
        (vault_errors(503), "VAULT_SEALED"),
        (Reply(cut=True), "VAULT_UNREACHABLE"),
        (vault_errors(500), "VAULT_UNREACHABLE"),
        (Reply(200, b"<html>"), "VAULT_UNREACHABLE"),
    ]
    reasons = {reason for _, reason in faults} | {"OK"}
    client = connect(fake_vault.address, read_timeout_s=0.5)
    began = time.monotonic()

    def answer(request: Received) -> Reply:
        phase = int((time.monotonic() - began) / 0.15)
        return behaves(request) if phase % 2 else faults[phase // 2 % len(faults)][0]

    fake_vault.answer = answer
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    while time.monotonic() - began < 3:
        started = time.monotonic()
        outcomes.update(await asyncio.gather(*(opened(client) for _ in range(8)), outcome(client.ping())))
        slowest = max(slowest, time.monotonic() - started)
        await asyncio.sleep(0.02)
    fake_vault.answer = behaves
    back = time.monotonic()
    while await outcome(client.ping()) != "OK" or await opened(client) != "OK":
        assert time.monotonic() - back < 2, "healthy within two seconds"
        await asyncio.sleep(0.05)
    assert set(outcomes) <= reasons
    assert len(outcomes) > 1
    assert slowest < 2
    assert asked(fake_vault, "decrypt") < sum(outcomes.values()) / 2, "most failures cost Vault nothing"


async def test_secrets_that_are_not_answered_are_not_waited_for_by_everybody(
    fake_vault: FakeVault, connect: Connect, clock: HandClock
) -> None:
    client = connect(fake_vault.address, clock=clock, read_timeout_s=0.2)
    fake_vault.answer = on("/v1/secret", Reply(delay_s=1))
    failures = await client.read_secrets([REFERENCE])
    assert [reason_of(failure) for failure in failures] == ["VAULT_UNREACHABLE"]
    began = time.monotonic()
    for _ in range(20):
        assert [reason_of(each) for each in await client.read_secrets([REFERENCE] * 2)] == ["VAULT_UNREACHABLE"] * 2
    assert time.monotonic() - began < 0.2
    assert await opened(client) == "OK", "sealed keys are opened as ever"
    clock.seconds += 1
    assert await outcome(client.ping()) == "OK", "and the service stays ready"
    fake_vault.answer = behaves
    clock.seconds += 1
    assert await outcome(client.ping()) == "OK"
    rounds = await asyncio.gather(*(client.read_secrets([REFERENCE]) for _ in range(5)))
    assert rounds == [[Secret(b"sk-gatehouse-acme")]] * 5


def reason_of(value: Secret | GatehouseError) -> str:
    return value.reason if isinstance(value, GatehouseError) else "OK"
