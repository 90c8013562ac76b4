"""The dialects this router speaks, by provider type."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from services.router.domain.routing.usability import ProviderTypes
from services.router.providers.base import Dialect
from services.router.providers.dialects.anthropic import ANTHROPIC
from services.router.providers.dialects.azure_openai import AZURE_OPENAI
from services.router.providers.dialects.gemini import GEMINI
from services.router.providers.dialects.ollama import OLLAMA
from services.router.providers.dialects.openai import OPENAI
from services.router.providers.dialects.openai_compatible import OPENAI_COMPATIBLE

DIALECTS: Mapping[str, Dialect] = MappingProxyType(
    {dialect.id: dialect for dialect in (OPENAI, OPENAI_COMPATIBLE, OLLAMA, ANTHROPIC, AZURE_OPENAI, GEMINI)}
)


def provider_types(dialects: Mapping[str, Dialect]) -> ProviderTypes:
    """What planning needs to know of the dialects."""
    return ProviderTypes(
        known=frozenset(dialects),
        keyless=frozenset(each.id for each in dialects.values() if not each.requires_key),
        features={type_id: each.features for type_id, each in dialects.items()},
    )
