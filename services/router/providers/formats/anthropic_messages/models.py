"""A list of models: the answer to `GET …/v1/models`."""

from __future__ import annotations

from services.router.providers.reading.json_values import load_object, malformed

PATH = "/v1/models?limit=1000"
"""The most that a page may hold; there are some dozens."""


def decode_models(body: bytes) -> frozenset[str]:
    """The ids under `data`. Raises ProviderError."""
    entries = load_object(body).get("data")
    if not isinstance(entries, list):
        raise malformed()
    ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
    found = frozenset(model_id for model_id in ids if isinstance(model_id, str) and model_id)
    if entries and not found:
        # A list of something else.
        raise malformed()
    return found
