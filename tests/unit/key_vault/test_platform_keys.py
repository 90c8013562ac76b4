"""Which variables are taken for keys of the platform, and what is said of those that are not."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from libs.core.secret import Secret
from services.key_vault.environment.platform_keys import platform_keys

KEY = "sk-canary-0123456789"


def found(**environment: str) -> list[tuple[str, str, str, str]]:
    return [(key.key_id, key.provider_type, key.origin, key.variable) for key in platform_keys(environment)]


@pytest.mark.parametrize(
    ("variable", "key_id", "provider_type", "origin"),
    [
        ("OPENAI_API_KEY", "openai", "openai", "https://api.openai.com:443"),
        ("ANTHROPIC_API_KEY", "anthropic", "anthropic", "https://api.anthropic.com:443"),
        ("GEMINI_API_KEY", "gemini", "gemini", "https://generativelanguage.googleapis.com:443"),
        ("GOOGLE_API_KEY", "gemini", "gemini", "https://generativelanguage.googleapis.com:443"),
        ("OLLAMA_API_KEY", "ollama", "ollama", "https://ollama.com:443"),
        ("GROQ_API_KEY", "groq", "openai_compatible", "https://api.groq.com:443"),
        ("MISTRAL_API_KEY", "mistral", "openai_compatible", "https://api.mistral.ai:443"),
        ("DEEPSEEK_API_KEY", "deepseek", "openai_compatible", "https://api.deepseek.com:443"),
        ("XAI_API_KEY", "xai", "openai_compatible", "https://api.x.ai:443"),
        ("TOGETHER_API_KEY", "together", "openai_compatible", "https://api.together.xyz:443"),
        ("OPENROUTER_API_KEY", "openrouter", "openai_compatible", "https://openrouter.ai:443"),
    ],
)
def test_providers_own_variables_are_taken(variable: str, key_id: str, provider_type: str, origin: str) -> None:
    assert found(**{variable: KEY}) == [(key_id, provider_type, origin, variable)]


@pytest.mark.parametrize(
    ("key", "endpoint", "url", "origin"),
    [
        ("OPENAI_API_KEY", "OPENAI_BASE_URL", "https://proxy.example/v1", "https://proxy.example:443"),
        ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", " https://proxy.example ", "https://proxy.example:443"),
        ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "https://proxy.example:8443", "https://proxy.example:8443"),
        (
            "AZURE_OPENAI_API_KEY",
            "AZURE_OPENAI_ENDPOINT",
            "https://x.openai.azure.com/",
            "https://x.openai.azure.com:443",
        ),
        ("OLLAMA_API_KEY", "OLLAMA_API_URL", "http://127.0.0.1:11434/api", "http://127.0.0.1:11434"),
    ],
)
def test_a_key_is_bound_to_the_endpoint_beside_it(key: str, endpoint: str, url: str, origin: str) -> None:
    ((_, _, bound_to, _),) = found(**{key: KEY, endpoint: url})
    assert bound_to == origin


def test_an_empty_environment_has_no_keys_and_nothing_is_said() -> None:
    with capture_logs() as lines:
        assert found(OPENAI_API_KEY="", ANTHROPIC_API_KEY="  ", OPENAI_BASE_URL="https://proxy.example", PATH="/") == []
    assert lines == []


def test_of_two_variables_for_one_provider_the_first_that_is_set_counts() -> None:
    (key,) = platform_keys({"GEMINI_API_KEY": KEY, "GOOGLE_API_KEY": "sk-another-0123456789"})
    assert key.material == Secret(KEY.encode())
    (key,) = platform_keys({"GEMINI_API_KEY": " ", "GOOGLE_API_KEY": KEY})
    assert key.variable == "GOOGLE_API_KEY"


def test_white_space_around_a_key_is_not_part_of_it() -> None:
    (key,) = platform_keys({"OPENAI_API_KEY": f" {KEY}\n"})
    assert key.material == Secret(KEY.encode())


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("canary", "must have at least 8 bytes"),
        ("sk-canary…6789", "looks masked"),
        ("sk-canary-****", "looks masked"),
        ("sk-canary 0123456789", "printable ASCII without spaces"),
        ("sk-canary\n0123456789", "printable ASCII without spaces"),
        # What os.environ makes of bytes that are no UTF-8.
        ("sk-canary-\udcff0123456789", "printable ASCII without spaces"),
        ("sk-canary-" + "x" * 9000, "at most 8192 bytes"),
    ],
)
def test_what_is_no_key_is_refused_and_the_log_says_why_and_not_what(value: str, problem: str) -> None:
    with capture_logs() as lines:
        assert found(OPENAI_API_KEY=value) == []
    ((line),) = lines
    assert (line["event"], line["log_level"], line["variable"], line["outcome"]) == (
        "keys_imported",
        "warning",
        "OPENAI_API_KEY",
        "refused",
    )
    assert problem in line["problem"]
    assert "canary" not in repr(lines)


def test_one_that_is_refused_keeps_no_other_from_being_taken() -> None:
    assert found(OPENAI_API_KEY="x", MISTRAL_API_KEY=KEY) == [
        ("mistral", "openai_compatible", "https://api.mistral.ai:443", "MISTRAL_API_KEY")
    ]


@pytest.mark.parametrize("endpoint", [None, "", "x.openai.azure.com", "https://user:canary@x.openai.azure.com"])
def test_a_key_without_a_place_to_send_it_to_is_refused(endpoint: str | None) -> None:
    environment = {"AZURE_OPENAI_API_KEY": KEY} | ({} if endpoint is None else {"AZURE_OPENAI_ENDPOINT": endpoint})
    with capture_logs() as lines:
        assert found(**environment) == []
    (line,) = lines
    assert line["problem"] == "AZURE_OPENAI_ENDPOINT must be the provider's URL, such as https://api.openai.com"
    assert "canary" not in repr(lines)


def test_a_wrong_endpoint_does_not_send_a_key_to_the_usual_one() -> None:
    with capture_logs() as lines:
        assert found(OPENAI_API_KEY=KEY, OPENAI_BASE_URL="proxy.example") == []
    assert "OPENAI_BASE_URL" in lines[0]["problem"]
