"""What Vault's answers are taken to mean."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.ports import OpenedBatch
from services.key_vault.vault.answers import (
    Answer,
    Login,
    check_done,
    check_health,
    ciphertext_of,
    failure_of,
    is_refusal,
    key_version_of,
    login_of,
    opened_of,
    renewal_of,
    rewrapped_of,
    secrets_of,
    signature_of,
    token_is_alive,
    validity_of,
)

HTML = b"<html><body>502 Bad Gateway</body></html>"
ERRORS = {"errors": ["something secret"]}


def answer(status: int, body: Any) -> Answer:
    return Answer(status, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("given_answer", "reason"),
    [
        (answer(503, {"errors": ["Vault is sealed"]}), "VAULT_SEALED"),
        (answer(503, {"sealed": True, "initialized": True}), "VAULT_SEALED"),
        (answer(501, {"sealed": True, "initialized": False}), "VAULT_SEALED"),
        (answer(403, ERRORS), "VAULT_DENIED"),
        (answer(400, ERRORS), "VAULT_DENIED"),
        (answer(404, ERRORS), "VAULT_DENIED"),
        *((answer(status, ERRORS), "VAULT_UNREACHABLE") for status in (307, 412, 429, 472, 473, 500, 502, 504)),
        *((answer(status, HTML), "VAULT_UNREACHABLE") for status in (200, 302, 400, 403, 404, 500, 503)),
        (answer(200, b""), "VAULT_UNREACHABLE"),
        (answer(200, [1]), "VAULT_UNREACHABLE"),
    ],
)
def test_failures_are_this_services_own_and_quote_nothing(given_answer: Answer, reason: str) -> None:
    failure = failure_of(given_answer)
    assert failure.reason == reason
    assert failure.retry_delay_s == 1.0
    assert "secret" not in failure.message
    assert "html" not in failure.message


def test_a_used_up_quota_is_told_from_a_standby() -> None:
    assert "quota" in failure_of(answer(429, {"errors": ["rate limit quota exceeded"]})).message
    assert "does not answer" in failure_of(answer(429, {"sealed": False, "standby": True})).message


def test_a_batch_is_read_item_by_item() -> None:
    results = [{"plaintext": base64.b64encode(b"sk-1").decode()}, {"error": "cipher: message authentication failed"}]
    for status in (200, 400):
        opened = opened_of(answer(status, {"request_id": "5e0a-1", "data": {"batch_results": results}}), 2)
        assert opened == OpenedBatch(materials=[Secret(b"sk-1"), None], request_id="5e0a-1")


@pytest.mark.parametrize("request_id", [None, 5, "", "a b", "a\n", "a" * 65, "<html>", ["a"]])
def test_a_request_id_that_is_none_is_not_kept(request_id: Any) -> None:
    assert opened_of(answer(200, {"request_id": request_id, "data": {"batch_results": []}}), 0).request_id == ""


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"batch_results": [{"plaintext": "c2s="}]}},
        {"data": {"batch_results": [{"plaintext": "c2s="}] * 3}},
        {"data": {"batch_results": [{"plaintext": "not base64!"}] * 2}},
        {"data": {"batch_results": [{}, {}]}},
        {"data": {"batch_results": [None, 1]}},
        {"data": {"batch_results": {}}},
        {"data": None},
        {"data": {"plaintext": "c2s="}},
    ],
)
def test_a_batch_of_another_shape_gives_no_material_at_all(body: Any) -> None:
    with pytest.raises(Unavailable) as caught:
        opened_of(answer(200, body), 2)
    assert caught.value.reason == "VAULT_UNREACHABLE"


def test_rewrapped_ciphertexts_are_read_item_by_item() -> None:
    results = [{"ciphertext": "vault:v2:abc"}, {"error": "invalid ciphertext"}]
    for status in (200, 400):
        assert rewrapped_of(answer(status, {"data": {"batch_results": results}}), 2) == ["vault:v2:abc", None]


@pytest.mark.parametrize("result", [{"ciphertext": "sk-in-clear"}, {"ciphertext": ""}, {"ciphertext": None}, {}, None])
def test_what_replaces_a_ciphertext_is_one(result: Any) -> None:
    with pytest.raises(Unavailable):
        rewrapped_of(answer(200, {"data": {"batch_results": [result]}}), 1)


def test_a_login_gives_token_and_lease() -> None:
    body = {"auth": {"client_token": "s.abc", "lease_duration": 3600, "renewable": True}}
    login = login_of(answer(200, body))
    assert login == Login(token="s.abc", lease_s=3600, renewable=True)
    assert "s.abc" not in repr(login)
    assert renewal_of(answer(200, body)) == login


@pytest.mark.parametrize("token", ["", "s\r\nX: y", "s t", "s\u00e9", None, 5])
def test_a_token_that_could_not_be_sent_is_none(token: Any) -> None:
    with pytest.raises(Unavailable):
        login_of(answer(200, {"auth": {"client_token": token, "lease_duration": 1, "renewable": True}}))


@pytest.mark.parametrize("body", [{}, {"auth": None}, {"auth": {"client_token": "s.abc", "lease_duration": -1}}, HTML])
def test_a_login_of_another_shape_is_none(body: Any) -> None:
    for read in (login_of, renewal_of):
        with pytest.raises(Unavailable):
            read(answer(200, body))


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_renewal_that_vault_refuses_is_told_from_one_that_failed(status: int) -> None:
    assert renewal_of(answer(status, ERRORS)) is None
    with pytest.raises(Unavailable):
        renewal_of(answer(status, HTML))


def test_only_vaults_own_refusal_is_one() -> None:
    given = [answer(403, ERRORS), answer(403, HTML), answer(400, ERRORS), answer(200, ERRORS)]
    assert [is_refusal(each) for each in given] == [True, False, False, False]
    assert token_is_alive(answer(200, {"data": {}}))
    assert not token_is_alive(answer(403, ERRORS))
    for unknown in (answer(403, HTML), answer(503, ERRORS), answer(400, ERRORS)):
        with pytest.raises(Unavailable):
            token_is_alive(unknown)


def test_a_key_version_is_a_number_from_one() -> None:
    assert key_version_of(answer(200, {"data": {"latest_version": 7}})) == 7
    for version in (0, -1, "7", None):
        with pytest.raises(Unavailable):
            key_version_of(answer(200, {"data": {"latest_version": version}}))


def test_a_signature_and_its_validity() -> None:
    assert signature_of(answer(200, {"data": {"signature": "vault:v1:abc"}})) == "vault:v1:abc"
    results: list[tuple[Any, bool]] = [
        ({"valid": True}, True),
        ({"valid": False}, False),
        ({"valid": True, "error": "invalid signature"}, False),
    ]
    for result, valid in results:
        assert validity_of(answer(200, {"data": {"batch_results": [result]}})) is valid
    for shape in ({"valid": "yes"}, {}, None):
        with pytest.raises(Unavailable):
            validity_of(answer(200, {"data": {"batch_results": [shape]}}))


def test_of_a_secret_only_what_is_wanted_is_taken() -> None:
    body = {"data": {"data": {"api_key": "sk-1", "other": "sk-2", "number": 5}, "metadata": {"version": 3}}}
    assert secrets_of(answer(200, body), {"api_key", "number", "none"}) == {"api_key": Secret(b"sk-1")}


@pytest.mark.parametrize("status", [200, 204])
def test_what_was_done_is_told_from_what_was_not(status: int) -> None:
    check_done(Answer(status, b""))
    with pytest.raises(Unavailable):
        check_done(answer(403, ERRORS))


def test_what_is_stored_as_ciphertext_is_one() -> None:
    assert ciphertext_of(answer(200, {"data": {"ciphertext": "vault:v1:abc"}})) == "vault:v1:abc"
    with pytest.raises(Unavailable):
        ciphertext_of(answer(200, {"data": {"ciphertext": "sk-in-clear"}}))


def test_only_an_active_node_is_healthy() -> None:
    check_health(answer(200, {"sealed": False, "standby": False}))
    for status, body in ((200, HTML), (429, {"sealed": False}), (473, {"sealed": False}), (503, {"sealed": True})):
        with pytest.raises(Unavailable):
            check_health(answer(status, body))


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_answer_ends_in_an_error_of_ours(status: int, body: bytes) -> None:
    readers: tuple[Callable[[Answer], object], ...] = (
        login_of,
        renewal_of,
        ciphertext_of,
        key_version_of,
        signature_of,
        validity_of,
        check_health,
        lambda each: opened_of(each, 1),
        lambda each: rewrapped_of(each, 1),
        lambda each: secrets_of(each, {"api_key"}),
    )
    for read in readers:
        with pytest.raises(Unavailable):
            read(Answer(status, body))
