"""Where a key may be sent."""

from __future__ import annotations

import pytest

from services.key_vault.domain.origins import normalised_origin, origin_alone


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://api.openai.com", "https://api.openai.com:443"),
        ("https://API.OpenAI.com/", "https://api.openai.com:443"),
        ("https://api.openai.com:8443", "https://api.openai.com:8443"),
        ("http://127.0.0.1:7120", "http://127.0.0.1:7120"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_origin_is_normalised(text: str, origin: str) -> None:
    assert origin_alone(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.openai.com",
        "ftp://api.openai.com",
        "https://",
        "https://api.openai.com/v1",
        "https://api.openai.com?x=1",
        "https://api.openai.com?",
        "https://api.openai.com/#",
        "https://user@api.openai.com",
        "https://user:pass@api.openai.com",
        "https://@api.openai.com",
        "https://api.openai.com:99999",
        "https://api.openai.com:x",
        "https://api.openai.com\\@evil.example",
        "https://api.openai.com\x00",
        "\x00https://api.openai.com",
        "https://api.openai.com\n",
        " https://api.openai.com",
        "https://\u0430pi.openai.com",
        "https://api%2eopenai.com",
        "https://" + "a" * 300 + ".example",
    ],
)
def test_what_is_no_origin_alone_is_refused(text: str) -> None:
    assert origin_alone(text) is None


def test_a_path_does_not_change_where_a_key_is_sent() -> None:
    assert normalised_origin("https://api.openai.com/v1/chat") == "https://api.openai.com:443"
