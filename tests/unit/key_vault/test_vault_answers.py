"""What Vault's answers are taken to mean."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.vault.answers import Answer, check_health, ciphertext_of, failure_of, login_of, materials_of

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


def test_a_batch_is_read_item_by_item() -> None:
    results = [{"plaintext": base64.b64encode(b"sk-1").decode()}, {"error": "cipher: message authentication failed"}]
    for status in (200, 400):
        assert materials_of(answer(status, {"data": {"batch_results": results}}), 2) == [Secret(b"sk-1"), None]


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
        materials_of(answer(200, body), 2)
    assert caught.value.reason == "VAULT_UNREACHABLE"


def test_a_login_gives_token_and_lease() -> None:
    login = login_of(answer(200, {"auth": {"client_token": "s.abc", "lease_duration": 3600}}))
    assert (login.token, login.lease_s) == ("s.abc", 3600)
    assert "s.abc" not in repr(login)


@pytest.mark.parametrize(
    "body", [{}, {"auth": None}, {"auth": {"client_token": "s\r\nX: y", "lease_duration": 1}}, HTML]
)
def test_a_login_without_a_usable_token_is_none(body: Any) -> None:
    with pytest.raises(Unavailable):
        login_of(answer(200, body))


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
    for read in (login_of, ciphertext_of, check_health, lambda each: materials_of(each, 1)):
        with pytest.raises(Unavailable):
            read(Answer(status, body))
