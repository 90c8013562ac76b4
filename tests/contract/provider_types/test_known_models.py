"""What the catalogue says of well-known models is what the dialects know of them, where both speak of it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from libs.catalogue import known_models
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from services.router.domain import features
from services.router.domain.features import CAPABILITY_NAMES, names_of
from services.router.providers.registry import DIALECTS

_TABLE = tomllib.loads(Path(known_models.__file__).with_suffix(".toml").read_text())
_MODELS = [
    pytest.param(type_id, model_id, frozenset(entry["capabilities"]), id=f"{type_id}-{model_id}")
    for type_id, entries in _TABLE.items()
    for entry in entries
    for model_id in entry["ids"]
]


@pytest.mark.parametrize(("type_id", "model_id", "capabilities"), _MODELS)
def test_a_known_model_is_of_a_type_that_can_carry_what_it_does(
    type_id: str, model_id: str, capabilities: frozenset[str]
) -> None:
    carried = {name for name in CAPABILITY_NAMES if getattr(PROVIDER_TYPES[type_id].capabilities, name)}
    assert capabilities - {"fixed_sampling"} <= carried
    # And to this very model.
    assert capabilities - {"fixed_sampling"} <= set(names_of(DIALECTS[type_id].features({}, model_id))), model_id


@pytest.mark.parametrize(("type_id", "model_id", "capabilities"), _MODELS)
def test_a_model_that_the_dialect_sends_no_sampling_to_is_known_for_it(
    type_id: str, model_id: str, capabilities: frozenset[str]
) -> None:
    if not DIALECTS[type_id].features({}, model_id) & features.SAMPLING:
        assert "fixed_sampling" in capabilities
