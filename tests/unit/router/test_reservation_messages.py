"""What the ledger is told before an attempt, as a message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.router.clients.usage import _reservation_to_pb
from services.router.domain.route import Arm, Experiment
from tests.unit.router.fakes import FakeConfig, World, ask, configuration, context, provider, route, to


async def test_a_reservation_says_by_which_rule_experiment_and_arm_its_target_was_chosen() -> None:
    name = "tenants/acme/routes/write/experiments/x"
    everyone = Experiment(name=name, arms=(Arm(id="a", share_percent=100, target=to("one")),))
    world = World(
        config=FakeConfig(configuration([provider("one")], routes=[route("write", "one", experiment=everyone)]))
    )
    await world.generator().generate(ask(task="write"), context())
    (reserved,) = world.ledger.reserved
    dimensions = _reservation_to_pb(reserved).dimensions
    assert (dimensions.rule, dimensions.experiment, dimensions.arm) == ("experiment", name, "a")


@pytest.mark.parametrize(
    ("type_id", "options", "server"),
    [("openai_compatible", {"server": "groq"}, "groq"), ("openai_compatible", {}, ""), ("openai", {"server": "x"}, "")],
)
async def test_a_reservation_says_whose_models_a_compatible_provider_serves(
    type_id: str, options: dict[str, object], server: str
) -> None:
    world = World(config=FakeConfig(configuration([replace(provider("one", options=options), type=type_id)])))
    await world.generator().generate(ask(), context())
    (reserved,) = world.ledger.reserved
    assert _reservation_to_pb(reserved).server == server
