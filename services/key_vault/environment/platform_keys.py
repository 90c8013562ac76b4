"""The platform's keys in the environment, under the names the providers' own tools use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from libs.core.secret import Secret
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.key_vault.domain.import_environment import EnvironmentKey
from services.key_vault.domain.material import problem_with
from services.key_vault.domain.origins import normalised_origin

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Provider:
    """`keys` and `endpoint` name variables; of `keys` the first one set counts. Without a default origin the endpoint
    must be set.
    """

    key_id: str
    provider_type: str
    keys: tuple[str, ...]
    endpoint: str = ""
    default_origin: str = ""


_PROVIDERS = (
    _Provider("openai", "openai", ("OPENAI_API_KEY",), "OPENAI_BASE_URL", "https://api.openai.com"),
    _Provider("anthropic", "anthropic", ("ANTHROPIC_API_KEY",), "ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
    _Provider(
        "gemini",
        "gemini",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        "GOOGLE_GEMINI_BASE_URL",
        "https://generativelanguage.googleapis.com",
    ),
    _Provider("azure-openai", "azure_openai", ("AZURE_OPENAI_API_KEY",), "AZURE_OPENAI_ENDPOINT"),
    _Provider("ollama", "ollama", ("OLLAMA_API_KEY",), "OLLAMA_API_URL", "https://ollama.com"),
    _Provider("groq", "openai_compatible", ("GROQ_API_KEY",), "", "https://api.groq.com"),
    _Provider("mistral", "openai_compatible", ("MISTRAL_API_KEY",), "", "https://api.mistral.ai"),
    _Provider("deepseek", "openai_compatible", ("DEEPSEEK_API_KEY",), "", "https://api.deepseek.com"),
    _Provider("xai", "openai_compatible", ("XAI_API_KEY",), "", "https://api.x.ai"),
    _Provider("together", "openai_compatible", ("TOGETHER_API_KEY",), "", "https://api.together.xyz"),
    _Provider("openrouter", "openai_compatible", ("OPENROUTER_API_KEY",), "", "https://openrouter.ai"),
)

VARIABLES = frozenset(variable for each in _PROVIDERS for variable in (*each.keys, each.endpoint) if variable)
"""Every variable that is looked at."""


def platform_keys(environment: Mapping[str, str]) -> list[EnvironmentKey]:
    """The keys in `environment`. One that cannot be used is left out, and the log says why, never what it is."""
    found = []
    for provider in _PROVIDERS:
        variable = next((name for name in provider.keys if environment.get(name, "").strip()), None)
        if variable is None:
            continue
        # What was no UTF-8 is here in surrogates; an exception about them would carry the value.
        material = Secret(environment[variable].strip().encode("utf-8", "surrogateescape"))
        endpoint = environment.get(provider.endpoint, "").strip() if provider.endpoint else ""
        origin = normalised_origin(endpoint or provider.default_origin)
        problem = problem_with(material)
        if problem is not None:
            _log.warning(names.EVENT_KEYS_IMPORTED, variable=variable, outcome="refused", problem=problem)
        elif origin is None:
            wrong = f"{provider.endpoint} must be the provider's URL, such as https://api.openai.com"
            _log.warning(names.EVENT_KEYS_IMPORTED, variable=variable, outcome="refused", problem=wrong)
        else:
            found.append(
                EnvironmentKey(
                    variable=variable,
                    key_id=provider.key_id,
                    provider_type=provider.provider_type,
                    origin=origin,
                    material=material,
                )
            )
    return found
