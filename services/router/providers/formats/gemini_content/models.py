"""A list of models: the answer to `GET …/models`."""

from __future__ import annotations

from services.router.providers.formats.gemini_content.model_names import model_id
from services.router.providers.reading.json_values import load_object, malformed


def decode_models(body: bytes) -> frozenset[str]:
    """The ids in the list, without `models/`. Raises ProviderError."""
    answer = load_object(body)
    # Vertex has another name for the same.
    entries = answer.get("models", answer.get("publisherModels"))
    if not isinstance(entries, list):
        raise malformed()
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    found = frozenset(model_id(name) for name in names if isinstance(name, str) and name)
    if entries and not found:
        # A list of something else.
        raise malformed()
    return found
