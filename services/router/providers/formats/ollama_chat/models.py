"""Ollama's list of the models on its machine."""

from __future__ import annotations

from services.router.providers.reading.json_values import load_object, malformed

_USUAL_TAG = ":latest"


def decode_models(body: bytes) -> frozenset[str]:
    """The names in the answer of `GET /api/tags`. Raises ProviderError.

    A name without a tag means the one tagged `latest`, so those are there both with and without.
    """
    models = load_object(body).get("models")
    # Go writes an empty list as null.
    if models is None:
        models = []
    if not isinstance(models, list):
        raise malformed()
    names: set[str] = set()
    for entry in models:
        name = (entry.get("model") or entry.get("name")) if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise malformed()
        names.add(name)
        names.add(name.removesuffix(_USUAL_TAG))
    return frozenset(names)
