"""The kinds of providers Gatehouse can talk to without any plugin, as data; one file of `built_in_types` for each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from libs.core.provider_types import ProviderType
from services.provider_config.domain.built_in_types.anthropic import ANTHROPIC
from services.provider_config.domain.built_in_types.azure_openai import AZURE_OPENAI
from services.provider_config.domain.built_in_types.gemini import GEMINI
from services.provider_config.domain.built_in_types.ollama import OLLAMA
from services.provider_config.domain.built_in_types.openai import OPENAI
from services.provider_config.domain.built_in_types.openai_compatible import OPENAI_COMPATIBLE

ProviderTypes = Mapping[str, ProviderType]
"""The kinds there are, by id, in the order ListProviderTypes answers."""

PROVIDER_TYPES: ProviderTypes = MappingProxyType(
    {
        provider_type.id: provider_type
        for provider_type in (OPENAI, ANTHROPIC, GEMINI, OLLAMA, AZURE_OPENAI, OPENAI_COMPATIBLE)
    }
)
