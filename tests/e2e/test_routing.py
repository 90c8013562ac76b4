"""Routes: every strategy, plans and experiments, and what a change means for the next call."""

import asyncio
import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gatehouse.providerconfig.v1.model_pb2 import ModelPrice
from gatehouse.providerconfig.v1.route_pb2 import ComplexityTier, Experiment, ExperimentArm

from tests.e2e.routed_tenants import caller, give, served, target
from tests.local_stack import LocalStack

SLOW_MS = 400


@contextmanager
def sandbox_rules(stack: LocalStack, *rules: object) -> Iterator[None]:
    """Standing orders of the sandbox, taken back afterwards."""

    def send(method: str, body: bytes | None) -> None:
        request = urllib.request.Request(f"{stack.sandbox_url}/_sandbox/rules", data=body, method=method)
        with urllib.request.urlopen(request, timeout=5) as response:
            assert response.status == 200

    send("POST", json.dumps({"rules": rules}).encode())
    try:
        yield
    finally:
        send("DELETE", None)


async def test_a_route_by_priority_is_followed_and_its_changes_take_effect_on_the_next_call(stack: LocalStack) -> None:
    tenant, route = "routed-priority", "tenants/routed-priority/routes/extraction"
    async with stack.client(tenant=tenant) as admin:
        revision = await give(stack, admin, f"tenants/{tenant}", "one", "two")
        assert served(await admin.generate("Who?", task="extraction", revision=revision)) == (
            "one",
            "sandbox-small",
            "priority",
        )
        orders = (("two", "one"), ("one", "two")) * 2
        for number, order in enumerate(orders):
            targets = [target(provider, "sandbox-large") for provider in order]
            changed = await (
                admin.routes.update(route, targets=targets)
                if number
                else admin.routes.create(route, strategy="priority", targets=targets)
            )
            assert changed.revision > revision
            revision = changed.revision
            answer = await admin.generate("Who now?", task="extraction", revision=revision)
            assert served(answer) == (order[0], "sandbox-large", "route")
            assert (answer.trace.route, answer.trace.revision >= revision) == (route, True)
            assert [each.provider.rpartition("/")[2] for each in answer.trace.targets[:2]] == list(order)
        # Other tasks have no route, until there is one for all the others.
        assert served(await admin.generate("And else?", task="other"))[2] == "priority"
        default = await admin.routes.create(
            f"tenants/{tenant}/routes/default", strategy="priority", targets=[target("two")]
        )
        answer = await admin.generate("And now?", task="other", revision=default.revision)
        assert served(answer) == ("two", "sandbox-small", "default_route")
        deleted = await admin.routes.delete(route)
        answer = await admin.generate("And this?", task="extraction", revision=deleted.revision)
        assert served(answer)[2] == "default_route"


async def test_weights_share_calls_out_and_sessions_stay_where_they_were(stack: LocalStack) -> None:
    tenant, route = "routed-weighted", "tenants/routed-weighted/routes/chat"
    async with stack.client(tenant=tenant) as admin:
        await give(stack, admin, f"tenants/{tenant}", "one", "two")
        halves = [target("one", weight=1), target("two", weight=1)]
        revision = (await admin.routes.create(route, strategy="weighted", targets=halves)).revision

        async def who(session: str = "") -> str:
            return served(await admin.generate("Who?", task="chat", session=session, revision=revision))[0]

        assert {await who() for _ in range(24)} == {"one", "two"}
        for session in ("first", "second", "third"):
            assert len({await who(session) for _ in range(4)}) == 1
        never = [target("one", weight=0), target("two", weight=1)]
        revision = (await admin.routes.update(route, targets=never)).revision
        assert {await who() for _ in range(12)} == {"two"}


async def test_the_cheapest_target_serves_until_prices_change(stack: LocalStack) -> None:
    tenant, route = "routed-cost", "tenants/routed-cost/routes/chat"
    async with stack.client(tenant=tenant) as admin:
        await give(stack, admin, f"tenants/{tenant}", "one", "two")
        both = [target("one"), target("two")]
        await admin.routes.create(route, strategy="lowest_cost", targets=both)
        for cheap, dear in (("two", "one"), ("one", "two")):
            revisions = [
                (
                    await admin.models.update(
                        f"tenants/{tenant}/providers/{provider}/models/sandbox-small",
                        price=ModelPrice(input_micro_usd_per_million=price, output_micro_usd_per_million=price),
                    )
                ).revision
                for provider, price in ((dear, 900_000), (cheap, 300_000))
            ]
            answer = await admin.generate("The cheapest?", task="chat", revision=revisions[-1])
            assert served(answer) == (cheap, "sandbox-small", "route")
            estimates = (await admin.estimate("The cheapest?", task="chat")).estimates
            costs = [each.likely_cost.units * 10**9 + each.likely_cost.nanos for each in estimates]
            assert costs == sorted(costs)
            assert costs[0] > 0


async def test_the_fastest_target_serves_once_all_were_tried(stack: LocalStack) -> None:
    tenant, route = "routed-latency", "tenants/routed-latency/routes/chat"
    slow = {"key_suffix": "routed-latency-one", "action": {"first_ms": SLOW_MS}}
    async with stack.client(tenant=tenant) as admin:
        await give(stack, admin, f"tenants/{tenant}", "one", "two")
        both = [target("one"), target("two")]
        revision = (await admin.routes.create(route, strategy="lowest_latency", targets=both)).revision
        with sandbox_rules(stack, slow):
            seen = [served(await admin.generate("Fast?", task="chat", revision=revision))[0] for _ in range(6)]
    assert set(seen[:2]) == {"one", "two"}
    assert set(seen[2:]) == {"two"}


async def test_calls_at_the_same_time_go_to_the_less_busy_target(stack: LocalStack) -> None:
    tenant, route = "routed-busy", "tenants/routed-busy/routes/chat"
    async with stack.client(tenant=tenant) as admin:
        await give(stack, admin, f"tenants/{tenant}", "one", "two")
        both = [target("one"), target("two")]
        revision = (await admin.routes.create(route, strategy="least_busy", targets=both)).revision
        prompt = f"[[sandbox first_ms={SLOW_MS}]] Busy?"
        answers = await asyncio.gather(
            *(admin.generate(prompt, task="chat", revision=revision) for _ in range(8)),
        )
    assert min(Counter(served(answer)[0] for answer in answers).values()) >= 2


async def test_demanding_calls_go_to_the_tier_that_takes_them(stack: LocalStack) -> None:
    tenant, route = "routed-complexity", "tenants/routed-complexity/routes/chat"
    async with stack.client(tenant=tenant) as admin:
        await give(stack, admin, f"tenants/{tenant}", "one")
        tiers = [
            ComplexityTier(tier_id="simple", most_score=14, targets=[target("one", "sandbox-small")]),
            ComplexityTier(tier_id="demanding", most_score=100, targets=[target("one", "sandbox-large")]),
        ]
        revision = (await admin.routes.create(route, strategy="complexity", tiers=tiers)).revision
        simple = await admin.generate("Good morning.", task="chat", revision=revision)
        demanding = await admin.generate("```\ndef f(): ...\n```\nWhat is this?", task="chat")
    assert (served(simple)[1], simple.trace.complexity.tier) == ("sandbox-small", "simple")
    assert (served(demanding)[1], demanding.trace.complexity.tier) == ("sandbox-large", "demanding")
    assert (demanding.trace.complexity.code, demanding.trace.complexity.score) == (15, 15)


async def test_targets_for_some_plans_serve_these_plans_only(stack: LocalStack) -> None:
    tenant, route = "routed-plans", "tenants/routed-plans/routes/chat"
    async with stack.client(tenant=tenant) as admin:
        await give(stack, admin, f"tenants/{tenant}", "one")
        targets = [target("one", "sandbox-large", plans=["pro", "enterprise"]), target("one", "sandbox-small")]
        revision = (await admin.routes.create(route, strategy="priority", targets=targets)).revision
    for plan, model in (("pro", "sandbox-large"), ("enterprise", "sandbox-large"), ("free", "sandbox-small")):
        async with caller(stack, tenant, "ann", plan=plan) as ann:
            answer = await ann.generate("For my plan?", task="chat", revision=revision)
            assert served(answer)[1] == model
            explained = await ann.explain("For my plan?", task="chat")
            excluded = [each.target.model for each in explained.trace.rejected if each.cause == "PLAN_EXCLUDED"]
            assert excluded == ([] if model == "sandbox-large" else ["sandbox-large"])
            (record,) = await stack.records_when(tenant, answer.outcome.operation_id)
            assert (record.dimensions.plan, record.dimensions.rule) == (plan, "route")
    async with caller(stack, tenant, "ann") as ann:
        assert served(await ann.generate("Without a plan?", task="chat"))[1] == "sandbox-small"


async def test_users_stay_in_their_arm_and_the_arms_are_compared(stack: LocalStack) -> None:
    tenant, route = "routed-experiment", "tenants/routed-experiment/routes/chat"
    experiment = f"{route}/experiments/larger"
    users = [f"user-{number}" for number in range(16)]
    seen: dict[str, set[tuple[str, str]]] = {}
    calls: Counter[str] = Counter()
    async with stack.client(tenant=tenant) as admin:
        await give(stack, admin, f"tenants/{tenant}", "one", "two")
        arms = [
            ExperimentArm(arm_id="control", share_percent=50, target=target("one", "sandbox-small")),
            ExperimentArm(arm_id="larger", share_percent=50, target=target("two", "sandbox-large")),
        ]
        revision = (
            await admin.routes.create(
                route,
                strategy="priority",
                targets=[target("one")],
                experiment=Experiment(experiment_id="larger", arms=arms),
            )
        ).revision
        for user in users:
            async with caller(stack, tenant, user) as client:
                for _ in range(2):
                    answer = await client.generate("In which arm?", task="chat", revision=revision)
                    trace = answer.trace
                    assert (trace.experiment, served(answer)[2]) == (experiment, "experiment")
                    seen.setdefault(user, set()).add((trace.arm, served(answer)[1]))
                    calls[trace.arm] += 1
        deadline = asyncio.get_running_loop().time() + 5 * stack.slowness
        while True:
            stats = await admin.usage.experiment(experiment)
            if sum(arm.calls for arm in stats.arms) == sum(calls.values()):
                break
            assert asyncio.get_running_loop().time() < deadline, stats
            await asyncio.sleep(0.05)
        by_rule = await admin.usage.stats(f"tenants/{tenant}", group_by=("rule",))
    assert {len(where) for where in seen.values()} == {1}
    assert {where for each in seen.values() for where in each} == {
        ("control", "sandbox-small"),
        ("larger", "sandbox-large"),
    }
    assert {arm.arm: arm.calls for arm in stats.arms} == calls
    for arm in stats.arms:
        assert arm.succeeded == arm.calls
        assert 0 < arm.success_rate.low < arm.success_rate.value == arm.success_rate.high == 1
        assert arm.duration_s.low <= arm.duration_s.value <= arm.duration_s.high
        assert arm.unpriced_calls == arm.calls
        assert arm.tokens.output_tokens > 0
    assert [(list(row.group), row.attempts) for row in by_rule.rows] == [(["experiment"], 32)]
    recorded = [(each.dimensions.user, each.dimensions.arm) for each in await stack.records(tenant)]
    assert sorted(recorded) == sorted((user, arm) for user, where in seen.items() for arm, _ in where for _ in range(2))
    assert {each.dimensions.experiment for each in await stack.records(tenant)} == {experiment}
