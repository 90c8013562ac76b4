"""What the second net catches, and what it must let through."""

from __future__ import annotations

import enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.secret import Secret
from libs.telemetry.scrubbing import (
    MASK,
    MAX_TEXT,
    first_line,
    is_private_field,
    scrub_fields,
    scrub_foreign_text,
    scrub_text,
    scrub_value,
)

SECRETS = {
    "openai": "sk-proj-Abcdefgh12345678",
    "openai_old": "sk-canarycanarycanary",
    "anthropic": "sk-ant-api03-AAAA_bbbb-CCCC",
    "google": "AIzaSyA-1234567890abcdef",
    "jwt": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl",
    "vault": "hvs.CAESIJabcdefgh",
    "vault_batch": "hvb.AAAAAQJabcdefgh",
    "vault_old": "s.Abcdefghijklmnopqrstuvwx",
    "groq": "gsk_abcdefgh12345678",
    "hugging": "hf_abcdefgh12345678",
    "github": "ghp_abcdefgh12345678",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "pem": "-----BEGIN PRIVATE KEY-----\nMC4CAQ\nabc=\n-----END PRIVATE KEY-----",
    "pem_cut": "-----BEGIN EC PRIVATE KEY-----\nMC4CAQ",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("around", ["{}", "key {} refused", "'{}'", '{{"x":"{}"}}', "b'{}'", "({})", "=={}", "\n{}\n"])
def test_secrets_are_masked_wherever_they_stand(secret: str, around: str) -> None:
    scrubbed = scrub_text(around.format(secret))
    assert secret not in scrubbed
    assert secret[-8:] not in scrubbed
    assert MASK in scrubbed


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer canary123",
        "bearer canary123",
        "Basic canary123=",
        "api_key=canary123",
        "api-key: canary123",
        "{'x-api-key': 'canary123'}",
        '{"api_key": "canary123"}',
        '{\\"api_key\\": \\"canary123\\"}',
        "{'api_key': b'canary123'}",
        "https://host/v1?key=canary123&x=1",
        "x-goog-api-key=canary123",
        "secret_id: canary123",
        "client_secret=canary123",
        "password = canary123",
        "postgresql://user:canary123@db:5432/x",
        "access_token=canary123",
        "X-Vault-Token: canary123",
        "token: canary123",
    ],
)
def test_named_secrets_lose_their_value(text: str) -> None:
    assert "canary123" not in scrub_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "tenants/acme/users/ann/keys/openai-prod",
        "task-scheduler-restarted",
        "risk-assessment-model",
        "gpt-4o-mini-2024-07-18",
        "claude-sonnet-4-5",
        "0b5ad3f2-7a1e-4b2c-9d55-0f6c2f2e9a11",
        "/gatehouse.router.v1.GenerationService/StreamGenerate",
        "127.0.0.1:7100",
        "https://api.openai.com/v1/chat/completions",
        "input_tokens=120 output_tokens=15",
        "max_tokens: 4096",
        "TOKEN_EXPIRED",
        "libs.rpc.chain",
        "the basic plan",
    ],
)
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert scrub_text(text) == text


def test_foreign_text_loses_every_long_opaque_run() -> None:
    assert scrub_foreign_text("key canary-7f3e9a1b2c4d5e6f refused") == f"key {MASK} refused"
    assert "Zm9vYmFyYmF6MTIzNDU2" not in scrub_foreign_text("got Zm9vYmFyYmF6MTIzNDU2==")
    plain = "connection to openai_compatible_endpoint refused: [Errno 111]"
    assert scrub_foreign_text(plain) == plain


def test_long_text_is_cut_without_uncovering_a_secret_at_the_cut() -> None:
    text = "x " * (MAX_TEXT // 2 - 3) + SECRETS["openai"] + " y" * MAX_TEXT
    scrubbed = scrub_text(text)
    assert len(scrubbed) <= MAX_TEXT + 1
    assert "sk-" not in scrubbed


FRAGMENTS = st.sampled_from([*SECRETS.values(), "token: ", "api_key=", "Bearer ", "'", '"', "=", " ", "://", "@", "\n"])


def test_a_key_glued_to_another_is_masked_too() -> None:
    assert "canary" not in scrub_foreign_text("AKIAIOSFODNN7EXAMPLEsk-canarycanarycanary")


@given(st.lists(st.one_of(FRAGMENTS, st.text(max_size=20)), max_size=8).map("".join))
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    once = scrub_foreign_text(text)
    assert scrub_foreign_text(once) == once


@pytest.mark.parametrize(
    "name",
    ["authorization", "api_key", "apikey", "vault_token", "Password", "secret_id", "prompt", "gen_ai.prompt",
     "messages", "gen_ai.input.messages", "gen_ai.tool.call.arguments", "body", "cookie", "private_key",
     "caller_token"],
)  # fmt: skip
def test_fields_with_telling_names_are_masked_whole(name: str) -> None:
    assert scrub_fields({name: "harmless"}) == {name: MASK}


@pytest.mark.parametrize(
    "name", ["gen_ai.usage.input_tokens", "input_tokens", "message", "key", "gen_ai.token.type", "tokenizer", "event"]
)
def test_other_fields_are_not(name: str) -> None:
    assert not is_private_field(name)
    assert scrub_fields({name: "x"}) == {name: "x"}


def test_objects_show_only_their_type() -> None:
    class Generation:
        def __repr__(self) -> str:
            return "Generation(messages=['canary'])"

    class Plan(enum.StrEnum):
        PRO = "pro"

    given_fields: dict[object, object] = {
        "request": Generation(),
        "raw": b"canary",
        "secret_value": Secret(b"canary-canary"),
        "nested": {"deep": [Generation(), {"api_key": "canary", "n": 1}]},
        "error": ValueError("api_key=canary\nand canary"),
        SECRETS["openai"]: 1,
    }
    scrubbed = scrub_fields({"outer": given_fields})
    assert "canary" not in repr(scrubbed)
    assert SECRETS["openai"] not in repr(scrubbed)
    outer = scrubbed["outer"]
    assert isinstance(outer, dict)
    assert outer["request"] == "<Generation>"
    assert outer["raw"] == "<bytes>"
    assert outer["nested"] == {"deep": ["<Generation>", {"api_key": MASK, "n": 1}]}
    assert type(scrub_value(Plan.PRO)) is str


def test_endless_structures_are_cut_off() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "<list>" in repr(scrub_value(loop))
    assert len(scrub_fields(dict.fromkeys(range(1000)))) == 64


def test_an_exception_that_cannot_be_read_does_not_hide_itself() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("canary")

    assert "canary" not in first_line(Broken())
    assert "RuntimeError" in first_line(Broken())
