from __future__ import annotations

import pytest
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities

from services.router.clients.snapshots import snapshot_in
from services.router.domain import features
from tests.unit.router.snapshot_messages import ACME, provider, snapshot


@pytest.mark.parametrize("name", [each.name for each in Capabilities.DESCRIPTOR.fields])
def test_every_capability_of_a_model_arrives(name: str) -> None:
    message = provider("a", "m")
    message.models[0].capabilities.CopyFrom(Capabilities(**{name: True}))
    capabilities = snapshot_in(snapshot(ACME, 1, message)).providers[0].models["m"].capabilities
    assert [each.name for each in Capabilities.DESCRIPTOR.fields if getattr(capabilities, each.name)] == [name]


def test_a_model_of_fixed_sampling_cannot_be_told_how_to_sample() -> None:
    message = provider("a", "plain", "fixed")
    message.models[1].capabilities.fixed_sampling = True
    models = snapshot_in(snapshot(ACME, 1, message)).providers[0].models
    assert [bool(models[name].capabilities.mask & features.SAMPLING) for name in ("plain", "fixed")] == [True, False]
