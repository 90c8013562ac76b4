"""Names of models: as providers list them, as people write them, and in paths."""

from __future__ import annotations

from urllib.parse import quote

_COLLECTIONS = ("models/", "tunedModels/")
_PUBLISHER = "publishers/google/models/"


def model_path(provider_model_id: str) -> str:
    """Where a model is, below the base URL: `/models/…`, unless its id says `tunedModels/…`. Percent-encoded."""
    name = provider_model_id.removeprefix(_PUBLISHER)
    for collection in _COLLECTIONS:
        if name.startswith(collection):
            return f"/{collection}{quote(name.removeprefix(collection), safe='')}"
    return f"/models/{quote(name, safe='')}"


def resource_name(provider_model_id: str) -> str:
    """A model's full name, as it stands in the requests of a batch."""
    name = provider_model_id.removeprefix(_PUBLISHER)
    return name if name.startswith(_COLLECTIONS) else f"models/{name}"


def model_id(name: str) -> str:
    """The id of a model without the collection it stands in."""
    return name.removeprefix(_PUBLISHER).removeprefix("models/")
