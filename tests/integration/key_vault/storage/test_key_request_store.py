"""The port `Requests`: SQLite, PostgreSQL and the stand-in of the unit tests behave alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from libs.core.errors import InvalidArgument
from services.key_vault.domain.key import Condition, KeyState, KeyStatus, VaultSecretRef
from services.key_vault.domain.ports import KeyAnswer, KeyStore, Request
from tests.integration.key_vault.storage.stored_keys import BOBS, HOUR, NOW, OTHERS, PLATFORMS, key, rotated, version

REQUEST = Request(caller="acme/bob", method="CreateKey", request_id="r", digest=b"d" * 32)
NEW = KeyAnswer(key=key(), duplicates=(BOBS, PLATFORMS), hidden_duplicates=3)
OLD = KeyAnswer(
    key=replace(
        rotated(key(OTHERS, versions=(version(1, vault_secret=VaultSecretRef("team-a", 7)),))),
        state=KeyState.DISABLED,
        status=KeyStatus(
            condition=Condition.EXHAUSTED,
            condition_time=NOW,
            last_use_time=NOW + HOUR,
            last_success_time=NOW - HOUR,
            last_rejection_time=None,
            last_exhaustion_time=NOW,
        ),
    ).version_destroyed(1, now=NOW + 2 * HOUR)
)


async def recalled(store: KeyStore, request: Request, now: datetime) -> KeyAnswer | None:
    return await store.read(lambda transaction: transaction.requests.recall(request, now=now))


@pytest.mark.parametrize("answer", [NEW, OLD])
async def test_an_answer_is_remembered_as_it_was_for_a_day(store: KeyStore, answer: KeyAnswer) -> None:
    await store.write(lambda transaction: transaction.requests.remember(REQUEST, answer, now=NOW))
    assert await recalled(store, REQUEST, NOW + timedelta(hours=23, minutes=59)) == answer
    assert await recalled(store, REQUEST, NOW + timedelta(hours=24)) is None


async def test_a_request_is_remembered_for_its_caller_and_method(store: KeyStore) -> None:
    await store.write(lambda transaction: transaction.requests.remember(REQUEST, NEW, now=NOW))
    for other in (
        replace(REQUEST, caller="acme/eve"),
        replace(REQUEST, method="RotateKey"),
        replace(REQUEST, request_id="s"),
    ):
        assert await recalled(store, other, NOW) is None


async def test_another_request_with_the_same_id_is_refused(store: KeyStore) -> None:
    await store.write(lambda transaction: transaction.requests.remember(REQUEST, NEW, now=NOW))
    with pytest.raises(InvalidArgument) as caught:
        await recalled(store, replace(REQUEST, digest=b"e" * 32), NOW)
    assert caught.value.reason == "REQUEST_ID_REUSED"
