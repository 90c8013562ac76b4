"""Sizes and abilities of well-known models, from the table `known_models.toml` beside this file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

_TABLE = Path(__file__).with_suffix(".toml")
_SNAPSHOT = re.compile(r"(?:-\d{4}-\d{2}-\d{2}|[-@]\d{8}|-\d{4})$")
_TUNED = re.compile(r"ft:([^:]+):.*", re.DOTALL)
_TAG = re.compile(r":[^:]*$")
# Whose models a type serves under the same names.
_SAME_AS = {"azure_openai": "openai"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """An entry of the table. None: it does not say. `capabilities`: field names of the API's `Capabilities`."""

    context_tokens: int | None
    max_output_tokens: int | None
    capabilities: frozenset[str]


class KnownModels:
    """The table, read once."""

    def __init__(self) -> None:
        self._models = _read(_TABLE)

    def find(self, provider_type: str, provider_model_id: str) -> KnownModel | None:
        """What is known of a model by the id its provider knows it by; of a dated or tuned one, what holds for it."""
        of_type = self._models.get(_SAME_AS.get(provider_type, provider_type), {})
        model_id = provider_model_id.lower()
        if provider_type == "ollama":
            return of_type.get(_TAG.sub("", model_id))
        tuned = _TUNED.fullmatch(model_id)
        if tuned is not None:
            model_id = tuned[1]
        return of_type.get(model_id) or of_type.get(_SNAPSHOT.sub("", model_id))


def _read(table: Path) -> Mapping[str, Mapping[str, KnownModel]]:
    with table.open("rb") as file:
        types = tomllib.load(file)
    return MappingProxyType(
        {
            provider_type: {model_id: _known_model(entry) for entry in entries for model_id in entry["ids"]}
            for provider_type, entries in types.items()
        }
    )


def _known_model(entry: Mapping[str, Any]) -> KnownModel:
    return KnownModel(
        context_tokens=entry.get("context_tokens"),
        max_output_tokens=entry.get("max_output_tokens"),
        capabilities=frozenset(entry["capabilities"]),
    )
