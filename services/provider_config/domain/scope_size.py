"""How large a scope's snapshot may get.

A router receives a snapshot as one message, and gRPC's default limit for a received message is 4 MiB. What a scope
holds is therefore bounded when it is changed, so that no tenant can break the stream that all tenants share. A
plain provider with three models counts for little more than a kilobyte: thousands fit.
"""

from __future__ import annotations

from services.provider_config.domain.model import Model
from services.provider_config.domain.provider import MAX_TEST_MESSAGE, Provider

# Half a megabyte below gRPC's 4 MiB, for the frame around the providers.
MAX_SCOPE_BYTES = 3_600_000
# A sixth of that: no user of a tenant can take the place that the tenant's admins and its other users need. Twenty
# providers with fifty models each fit.
MAX_USER_BYTES = 600_000

# Tags, lengths, numbers and times of a message, beyond the bytes of its texts: at most this, tested.
_PROVIDER_FRAME = 280
_MODEL_FRAME = 220
_TASK_FRAME = 3
_OPTION_FRAME = 24
_LABEL_FRAME = 12


def provider_bytes(provider: Provider) -> int:
    """An upper bound of what `provider` takes in a snapshot, without its models, and in a list of providers.

    Lists show more than snapshots, such as descriptions. What is in both is bounded in one, so that a list fits into a
    message too.
    """
    settings = provider.settings
    texts = (
        str(provider.name),
        provider.uid,
        provider.etag,
        provider.type,
        settings.display_name,
        settings.description,
        settings.base_url,
        str(settings.key or ""),
        settings.default_model,
        provider.created_by,
    )
    labels = sum(_LABEL_FRAME + _size(key) + _size(value) for key, value in settings.labels.items())
    tasks = sum(_TASK_FRAME + _size(task) for task in settings.default_for_tasks)
    options = sum(_OPTION_FRAME + _size(name) + _size(str(value)) for name, value in settings.options.items())
    return _PROVIDER_FRAME + MAX_TEST_MESSAGE + sum(map(_size, texts)) + labels + tasks + options


def model_bytes(model: Model) -> int:
    """An upper bound of what `model` takes in a snapshot."""
    texts = (str(model.name), model.uid, model.etag, model.settings.display_name, model.settings.provider_model_id)
    return _MODEL_FRAME + sum(map(_size, texts))


def _size(text: str) -> int:
    return len(text.encode())
