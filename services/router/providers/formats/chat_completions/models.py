"""A list of models: the answer to `GET …/models`."""

from __future__ import annotations

import orjson

from services.router.providers.reading.json_values import malformed


def decode_models(body: bytes) -> frozenset[str]:
    """The ids in the list under `data`, or in a bare list, which some servers send. Raises ProviderError."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise malformed() from None
    entries = answer.get("data") if isinstance(answer, dict) else answer
    if not isinstance(entries, list):
        raise malformed()
    ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
    found = frozenset(model_id for model_id in ids if isinstance(model_id, str) and model_id)
    if entries and not found:
        # A list of something else.
        raise malformed()
    return found
