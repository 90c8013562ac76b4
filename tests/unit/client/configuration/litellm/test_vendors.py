"""Each of LiteLLM's vendors becomes the type of provider that speaks its API best."""

from __future__ import annotations

from typing import Any

import pytest
from gatehouse.configuration.document import as_plain
from gatehouse.configuration.litellm.translation import Translation, translate

from services.provider_config.api.convert import provider_type_message
from services.provider_config.api.provider_options import option_problems
from services.provider_config.domain.provider_types import PROVIDER_TYPES

# As this Gatehouse describes them.
NOW = {each.id: provider_type_message(each) for each in PROVIDER_TYPES.values()}


def taken(model: str, params: str = "", info: str = "") -> Translation:
    text = f"model_list:\n- model_name: m\n  litellm_params: {{model: '{model}', {params}}}\n  model_info: {{{info}}}\n"
    return translate(text.encode(), "tenants/acme", types=NOW, environment={})


def plain(translation: Translation) -> Any:
    return as_plain(translation.configuration)


def provider_of(model: str, params: str = "", info: str = "") -> Any:
    """The one provider that a deployment becomes."""
    (provider,) = plain(taken(model, params, info))["providers"].values()
    return provider


@pytest.mark.parametrize(
    ("model", "params", "provider"),
    [
        ("anthropic/claude-sonnet-4-5", "", ("anthropic", "https://api.anthropic.com", None)),
        (
            "anthropic/claude-sonnet-4-5",
            "api_base: 'https://proxy.example/v1/messages'",
            ("anthropic", "https://proxy.example", None),
        ),
        ("gemini/gemini-2.5-pro", "", ("gemini", "https://generativelanguage.googleapis.com/v1beta", None)),
        (
            "vertex_ai/gemini-2.5-pro",
            "vertex_project: p1, vertex_location: europe-west4, vertex_credentials: os.environ/SERVICE_ACCOUNT",
            (
                "gemini",
                "https://europe-west4-aiplatform.googleapis.com/v1/projects/p1/locations/europe-west4/publishers/google",
                {"auth": "service_account"},
            ),
        ),
        (
            "vertex_ai/gemini-2.5-pro",
            "vertex_project: p1, vertex_location: global",
            (
                "gemini",
                "https://aiplatform.googleapis.com/v1/projects/p1/locations/global/publishers/google",
                {"auth": "service_account"},
            ),
        ),
        (
            "azure/gpt-4o-eu",
            "api_base: 'https://eu.openai.azure.com/openai/deployments/gpt-4o-eu', api_version: '2024-10-21'",
            ("azure_openai", "https://eu.openai.azure.com", {"api_version": "2024-10-21"}),
        ),
        ("ollama/llama3", "", ("ollama", "http://localhost:11434", None)),
        ("ollama_chat/llama3", "api_base: 'http://gpu:11434/'", ("ollama", "http://gpu:11434", None)),
        (
            "groq/llama-3.1-8b-instant",
            "",
            ("openai_compatible", "https://api.groq.com/openai/v1", {"server": "groq"}),
        ),
        ("together_ai/x", "", ("openai_compatible", "https://api.together.xyz/v1", {"server": "together"})),
        (
            "hosted_vllm/x",
            "api_base: 'http://gpu:8000/v1'",
            ("openai_compatible", "http://gpu:8000/v1", {"server": "vllm"}),
        ),
        ("cerebras/x", "", ("openai_compatible", "https://api.cerebras.ai/v1", None)),
    ],
)
def test_each_vendor_becomes_the_type_that_speaks_its_own_api(
    model: str, params: str, provider: tuple[str, str, Any]
) -> None:
    found = provider_of(model, params)
    assert (found["type"], found["base_url"], found.get("options")) == provider
    assert found["models"][0]["provider_model_id"] == model.partition("/")[2]


@pytest.mark.parametrize(
    ("model", "params", "variable"),
    [
        ("anthropic/x", "", "ANTHROPIC_API_KEY"),
        ("gemini/x", "", "GEMINI_API_KEY"),
        ("azure/x", "api_base: 'https://x.openai.azure.com'", "AZURE_API_KEY"),
        ("vertex_ai/gemini-x", "vertex_project: p", "VERTEXAI_CREDENTIALS"),
        ("vertex_ai/gemini-x", "vertex_project: p, vertex_credentials: os.environ/SA", "SA"),
    ],
)
def test_where_a_key_stands_is_known_of_each_vendor(model: str, params: str, variable: str) -> None:
    (key,) = taken(model, params).keys
    assert key.source.variable == variable


def test_every_option_that_is_taken_over_is_one_that_is_there() -> None:
    for model, params in (
        ("azure/x", "api_base: 'https://x', api_version: '2024-10-21'"),
        ("vertex_ai/gemini-x", "vertex_project: p"),
        *(
            (f"{vendor}/x", "api_base: 'https://x/v1'")
            for vendor in ("groq", "lm_studio", "llamafile", "openrouter", "xai")
        ),
    ):
        provider = provider_of(model, params)
        assert list(option_problems(PROVIDER_TYPES[provider["type"]], provider["options"])) == [], model


@pytest.mark.parametrize(
    ("model", "params", "why"),
    [
        ("azure/x", "", "azure lives in many places"),
        ("azure/x", "api_base: 'https://x', api_version: tomorrow", "its api_version tomorrow is none of Azure's"),
        ("azure/x", "api_base: 'https://x', tenant_id: t", "it signs in by Entra"),
        ("vertex_ai/claude-sonnet-4-5", "vertex_project: p", "Gatehouse calls Gemini's"),
        ("vertex_ai/gemini-x", "", "it needs a vertex_project"),
        ("bedrock/x", "", "does not speak to bedrock"),
    ],
)
def test_what_a_cloud_lacks_is_told(model: str, params: str, why: str) -> None:
    translation = taken(model, params)
    assert plain(translation)["providers"] == {}
    assert why in str(translation.remarks[0])


@pytest.mark.parametrize(("model", "info"), [("openai/text-embedding-3-small", ""), ("gemini/x", "mode: embedding")])
def test_models_that_give_vectors_come_along(model: str, info: str) -> None:
    assert provider_of(model, info=info)["models"][0]["capabilities"] == ["embeddings"]
