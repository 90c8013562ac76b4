"""The use case embed: planned, reserved, recorded and failed over as calls for answers are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from libs.core.errors import (
    FailedPrecondition,
    GatehouseError,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from services.router.domain import features
from services.router.domain.accounting import AttemptOutcome
from services.router.domain.configuration import Capabilities, Model
from services.router.domain.embedding import Embedding, EmbeddingPurpose, Vectors
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import FinishReason
from services.router.domain.outcome import Outcome
from services.router.domain.preference import Preferences
from services.router.domain.route import Arm, Experiment, Strategy, Tier
from services.router.domain.routing.usability import ProviderTypes
from services.router.domain.tokens import measure
from tests.unit.router import fakes
from tests.unit.router.fakes import (
    EMBED_USAGE,
    PRICE,
    FakeConfig,
    World,
    choice,
    configuration,
    context,
    model,
    provider,
    route,
    to,
    until,
    vectors,
    world_of,
)

EMBEDS = Capabilities(embeddings=True)
OVERLOADED = ProviderError(Reason.PROVIDER_OVERLOADED, status=503)


def embedder(model_id: str = "embed", **fields: Any) -> Model:
    return model(model_id, capabilities=EMBEDS, **fields)


def texts(*inputs: str, **fields: object) -> Embedding:
    return Embedding(inputs=inputs or ("Bread",), **fields)  # type: ignore[arg-type]


async def embed(world: World, request: Embedding | None = None) -> tuple[Vectors, Outcome]:
    return await world.embeddings().embed(request or texts(), context())


async def served_by(world: World, request: Embedding | None = None) -> tuple[str, str]:
    _, outcome = await embed(world, request)
    return outcome.served_by.provider.id, outcome.served_by.model.id


async def refused(world: World, request: Embedding | None = None) -> list[tuple[str, str]]:
    with pytest.raises(FailedPrecondition) as caught:
        await embed(world, request)
    return [(each.type, each.description) for each in caught.value.precondition_violations]


async def test_a_call_is_reserved_keyed_sent_and_settled_once() -> None:
    world = world_of(provider(models=[embedder()]))
    given, outcome = await embed(world, texts("Bread", "Salt", task="search", labels={"a": "b"}))
    assert [each.tolist() for each in given.vectors] == [[0, 0.5], [1, 0.5]]
    assert (outcome.usage, outcome.cost) == (EMBED_USAGE, PRICE.cost(EMBED_USAGE))
    assert (outcome.finish_reason, outcome.raw_finish_reason) == (FinishReason.STOP, "")
    assert [each.error_reason for each in outcome.attempts] == [""]
    assert outcome.first_content_s is None
    assert world.keys.opened == ["tenants/acme/keys/one"]
    (settled,) = world.ledger.settled
    assert (settled.outcome, settled.tokens, settled.estimated) == (AttemptOutcome.SUCCEEDED, EMBED_USAGE, False)
    (reserved,) = world.ledger.reserved
    assert (reserved.task, reserved.labels, reserved.model) == ("search", {"a": "b"}, "embed")
    assert world.ledger.open_attempts() == set()


async def test_what_is_reserved_bounds_the_input_and_is_no_output() -> None:
    world = world_of(provider(models=[embedder(max_output_tokens=77)], default_max_output_tokens=5))
    await embed(world, texts("é" * 50, "x" * 10))
    (reserved,) = world.ledger.reserved
    assert reserved.input_tokens_estimate >= 110
    assert reserved.output_tokens_limit == 0


async def test_unsaid_usage_is_estimated_and_told() -> None:
    world = world_of(provider(models=[embedder()]), one=[vectors(2, usage=None)])
    _, outcome = await embed(world, texts("x" * 40, "y" * 40))
    assert (outcome.usage, outcome.cost) == (None, None)
    assert outcome.warnings == ("the provider did not say how many tokens it used; the ledger holds an estimate",)
    (settled,) = world.ledger.settled
    assert settled.estimated
    assert settled.tokens.input_tokens >= 20
    assert settled.tokens.output_tokens == 0


async def test_only_models_that_can_do_embeddings_serve() -> None:
    chat = provider("chat", models=[model("a")], default_model="a", is_default=True)
    both = provider("both", models=[model("a"), embedder("z"), embedder("m")], default_model="a")
    assert await served_by(world_of(chat, both)) == ("both", "m")
    assert await refused(world_of(chat)) == [("NO_MODEL", "it has no enabled model that can do embeddings")]


async def test_the_default_model_serves_where_it_can_do_embeddings() -> None:
    one = provider(models=[embedder("a"), embedder("z")], default_model="z")
    assert await served_by(world_of(one)) == ("one", "z")


async def test_models_that_make_vectors_answer_only_where_there_is_no_other() -> None:
    assert provider(models=[embedder("a"), model("b")]).usual_model == model("b")
    assert provider(models=[embedder("a")]).usual_model == embedder("a")
    assert provider(models=[embedder("a"), model("b")], default_model="a").usual_model == embedder("a")


async def test_disabled_models_do_not_serve() -> None:
    one = provider(models=[embedder("a", enabled=False), embedder("z")])
    assert await served_by(world_of(one)) == ("one", "z")
    assert await refused(world_of(provider(models=[embedder("a", enabled=False)])))
    assert (await refused(world_of(one), texts(model="a")))[0][0] == "MODEL_DISABLED"


async def test_a_named_model_that_gives_no_vectors_is_refused_by_name() -> None:
    one = provider(models=[model("a"), embedder("z")])
    assert await refused(world_of(one), texts(model="a")) == [
        ("CAPABILITY_MISSING", "its model 'a' cannot do embeddings")
    ]


async def test_unknown_and_foreign_names_are_told_by_field() -> None:
    world = world_of(provider(models=[embedder()]))
    for request, field in (
        (texts(model="gone"), "embedding.model"),
        (texts(provider="gone"), "embedding.provider"),
        (texts(provider="one", model="gone"), "embedding.model"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            await embed(world, request)
        assert [each.field for each in caught.value.field_violations] == [field]
    with pytest.raises(PermissionDenied):
        await embed(world, texts(provider="tenants/other/providers/one"))


def routed() -> FakeConfig:
    one = provider("one", models=[model("a"), embedder("x")])
    two = provider("two", models=[embedder("y")])
    three = provider("three", models=[model("a")])
    search = route("search", to("three"), to("two"), to("one", model="a"), to("one"))
    tiered = route(
        "tiered", strategy=Strategy.COMPLEXITY, tiers=(Tier(id="all", most_score=100, targets=(to("two"),)),)
    )
    tried = route(
        "tried",
        to("one"),
        experiment=Experiment(
            name="tenants/acme/routes/tried/experiments/e",
            arms=(Arm(id="b", share_percent=100, target=to("two")),),
        ),
    )
    preferred = Preferences(user="ann", tasks={"liked": choice("two")})
    return FakeConfig(configuration([one, two, three], routes=[search, tiered, tried], preferences=preferred))


async def test_rules_by_task_hold_and_targets_without_a_model_mean_the_embedder() -> None:
    world = World(config=routed())
    _, outcome = await embed(world, texts(task="search"))
    assert (outcome.served_by.provider.id, outcome.served_by.model.id) == ("two", "y")
    assert [(each.provider_name.rpartition("/")[2], each.cause) for each in outcome.plan.rejected[:2]] == [
        ("three", "NO_MODEL"),
        ("one", "CAPABILITY_MISSING"),
    ]
    for task in ("liked", "tiered", "tried"):
        assert await served_by(World(config=routed()), texts(task=task)) == ("two", "y")
    _, outcome = await embed(world, texts("word " * 20_000, task="tiered"))
    assert outcome.plan.complexity is not None
    assert (outcome.plan.complexity.score, outcome.plan.complexity.length) == (30, 30)


async def test_vectors_of_another_model_are_no_substitute_unless_asked_for() -> None:
    def world() -> World:
        one = provider("one", models=[embedder()], priority=1)
        return world_of(one, provider("two", models=[embedder()]), one=[OVERLOADED, OVERLOADED])

    with pytest.raises(Unavailable):
        await embed(world())
    assert await served_by(world(), texts(fallback=True)) == ("two", "embed")
    failed_over = world()
    _, outcome = await embed(failed_over, texts(fallback=True))
    assert [each.error_reason for each in outcome.attempts] == ["PROVIDER_OVERLOADED", ""]
    assert [each.outcome for each in failed_over.ledger.settled] == [AttemptOutcome.FAILED, AttemptOutcome.SUCCEEDED]
    assert failed_over.ledger.open_attempts() == set()


async def test_a_failure_that_passes_is_tried_again() -> None:
    world = world_of(provider(models=[embedder()]), one=[OVERLOADED])
    _, outcome = await embed(world)
    assert [each.number for each in outcome.attempts] == [1, 2]


async def test_a_refused_reservation_ends_the_call() -> None:
    world = world_of(provider(models=[embedder()]))
    world.ledger.results = [ResourceExhausted("QUOTA_EXCEEDED", "used up")]
    with pytest.raises(ResourceExhausted):
        await embed(world)
    assert world.providers.dispatched == []
    assert world.ledger.settled == []


async def test_a_caller_that_goes_away_leaves_one_record() -> None:
    world = world_of(provider(models=[embedder()]), one=[None])
    task = asyncio.create_task(embed(world))
    await until(lambda: bool(world.providers.dispatched))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (settled,) = world.ledger.settled
    assert (settled.outcome, settled.error_reason) == (AttemptOutcome.CANCELLED, "CANCELLED")


async def test_nothing_is_taken_on_that_could_not_be_recorded() -> None:
    world = world_of(provider(models=[embedder()]))
    world.ledger.accepting = False
    with pytest.raises(GatehouseError) as caught:
        await embed(world)
    assert caught.value.reason == Reason.SPOOL_FULL


async def test_each_text_has_the_context_for_itself() -> None:
    world = world_of(provider(models=[embedder(context_tokens=100)]))
    assert len((await embed(world, texts(*["x" * 700] * 3)))[0].vectors) == 3
    assert [cause for cause, _ in await refused(world, texts("short", "x" * 900))] == ["CONTEXT_TOO_LONG"]


def test_a_request_weighs_all_its_texts() -> None:
    size = measure(texts("é" * 10, "abc"))
    assert (size.text_bytes, size.messages, size.images) == (23, 2, 0)
    assert measure(texts("")).least_input_tokens == 0


async def test_what_an_api_cannot_do_is_refused_or_left_out_with_a_warning() -> None:
    wishes = {"dimensions": 64, "purpose": EmbeddingPurpose.QUERY, "end_user": "u-7"}
    bare = ProviderTypes(
        known=fakes.TYPES.known,
        keyless=fakes.TYPES.keyless,
        features={"openai": lambda _options, _model: features.EMBEDDINGS},
    )
    world = world_of(provider(models=[embedder()]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fakes, "TYPES", bare)
        assert await refused(world, texts(**wishes)) == [
            ("CAPABILITY_MISSING", "its API does not carry an end user, dimensions, a purpose")
        ]
        _, outcome = await embed(world, texts(**wishes, drop_unsupported=True))
    sent = world.providers.dispatched[-1].request
    assert (sent.dimensions, sent.purpose, sent.end_user) == (None, None, "")
    assert sent.inputs == ("Bread",)
    told = " ".join(outcome.warnings)
    assert all(word in told for word in ("dimensions", "a purpose", "an end user"))


async def test_a_target_that_can_is_sent_everything() -> None:
    world = world_of(provider(models=[embedder()]))
    request = texts(dimensions=64, purpose=EmbeddingPurpose.QUERY, end_user="u-7")
    _, outcome = await embed(world, request)
    assert world.providers.dispatched[-1].request == request
    assert outcome.warnings == ()
