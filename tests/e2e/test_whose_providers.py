"""Preferences, profiles, the platform, deleted providers and a configuration that is not current: who serves then."""

import asyncio
import signal

import pytest
from gatehouse import AsyncClient, FailedPrecondition, InvalidArgument
from gatehouse.providerconfig.v1.preference_pb2 import Choice

from tests.e2e.routed_tenants import caller, causes, give, served, target
from tests.local_stack import LocalStack

PLATFORM = "platform/providers/sandbox"


async def test_a_preference_whose_key_is_disabled_gives_way_to_the_next_rule_with_a_warning(stack: LocalStack) -> None:
    tenant, user = "routed-preference", "ann"
    preferences = f"tenants/{tenant}/users/{user}"
    async with stack.client(tenant=tenant) as admin, caller(stack, tenant, user) as ann:
        await give(stack, admin, f"tenants/{tenant}", "one", "two")
        saved = await ann.preferences.update(preferences, preferred=Choice(provider="two", model="sandbox-large"))
        answer = await ann.generate("My choice?", revision=saved.revision)
        assert served(answer) == ("two", "sandbox-large", "preference")
        assert not answer.outcome.warnings
        # Somebody else's calls are not mine.
        async with caller(stack, tenant, "bob") as bob:
            assert served(await bob.generate("My choice?"))[0] == "one"

        await admin.keys.disable(f"tenants/{tenant}/keys/two")
        answer = await ann.generate("Still my choice?")
        assert served(answer) == ("one", "sandbox-small", "priority")
        assert causes(answer)["two"] == "KEY_DISABLED"
        assert any("two" in warning for warning in answer.outcome.warnings), list(answer.outcome.warnings)

        with pytest.raises(InvalidArgument) as refused:
            await ann.preferences.update(preferences, preferred=Choice(provider="two", model="sandbox-small"))
        assert [each.field for each in refused.value.field_violations] == ["preferences.preferred.provider"]

        await admin.keys.enable(f"tenants/{tenant}/keys/two")
        assert served(await ann.generate("My choice again?"))[0] == "two"


async def test_switching_the_profile_acts_on_the_next_call(stack: LocalStack) -> None:
    tenant, user = "routed-profiles", "tenants/routed-profiles/users/ann"
    async with stack.client(tenant=tenant) as admin, caller(stack, tenant, "ann") as ann:
        await give(stack, admin, f"tenants/{tenant}", "one", "two")
        for profile, provider in (("personal", "one"), ("work", "two")):
            await ann.profiles.create(
                f"{user}/profiles/{profile}", providers=[provider], preferred=Choice(provider=provider)
            )
        for profile, provider in (("work", "two"), ("personal", "one"), ("work", "two")):
            switched = await ann.profiles.activate(f"{user}/profiles/{profile}")
            answer = await ann.generate("In which profile?", revision=switched.revision)
            assert served(answer)[0] == provider
            assert answer.trace.profile == f"{user}/profiles/{profile}"
        with pytest.raises(FailedPrecondition) as refused:
            await ann.generate("Outside of it?", provider="one")
        assert [each.type for each in refused.value.precondition_violations] == ["NOT_IN_PROFILE"]
        left = await ann.profiles.deactivate(user)
        answer = await ann.generate("In none?", revision=left.revision)
        assert (served(answer)[0], answer.trace.profile) == ("one", "")


async def test_the_platform_serves_only_who_has_nothing_of_their_own_unless_the_policy_says_so(
    stack: LocalStack,
) -> None:
    tenant = "routed-platform"
    async with stack.client(tenant=tenant) as admin:
        answer = await admin.generate("Who serves the poor?")
        assert (answer.outcome.served_by.provider, served(answer)[2]) == (PLATFORM, "platform")
        await stack.records_when(tenant, answer.outcome.operation_id)
        by_rule = await admin.usage.stats(f"tenants/{tenant}", group_by=("rule",))
        assert [(list(row.group), row.attempts) for row in by_rule.rows] == [(["platform"], 1)]

        await give(stack, admin, f"tenants/{tenant}", "own")
        off = await admin.providers.update(f"tenants/{tenant}/providers/own", active=False)
        with pytest.raises(FailedPrecondition) as refused:
            await admin.generate("And now?", revision=off.revision)
        assert refused.value.reason == "NO_USABLE_TARGET"
        assert "PROVIDER_INACTIVE" in [each.type for each in refused.value.precondition_violations]

        allowed = await admin.policy.update(f"tenants/{tenant}", platform_fallback="last")
        answer = await admin.generate("And now?", revision=allowed.revision)
        assert (answer.outcome.served_by.provider, served(answer)[2]) == (PLATFORM, "platform")
        on = await admin.providers.update(f"tenants/{tenant}/providers/own", active=True)
        assert served(await admin.generate("My own?", revision=on.revision))[0] == "own"


async def test_what_a_route_names_is_deleted_only_when_forced_and_then_passed_over(stack: LocalStack) -> None:
    tenant, route = "routed-deletion", "tenants/routed-deletion/routes/chat"
    async with stack.client(tenant=tenant) as admin:
        await give(stack, admin, f"tenants/{tenant}", "one", "two")
        targets = [target("one"), target("two")]
        revision = (await admin.routes.create(route, strategy="priority", targets=targets)).revision
        assert served(await admin.generate("Who?", task="chat", revision=revision))[0] == "one"
        with pytest.raises(FailedPrecondition) as refused:
            await admin.providers.delete(f"tenants/{tenant}/providers/one")
        assert refused.value.reason == "PROVIDER_IN_USE"
        assert [each.subject for each in refused.value.precondition_violations] == [route]
        gone = await admin.providers.delete(f"tenants/{tenant}/providers/one", force=True)
        assert list(gone.still_named_by) == [route]
        answer = await admin.generate("Who now?", task="chat", revision=gone.revision)
        assert served(answer) == ("two", "sandbox-small", "route")
        assert causes(answer)["one"] == "UNKNOWN_PROVIDER"


async def test_calls_go_on_without_provider_config_and_health_says_how_old_the_configuration_is(
    stack: LocalStack,
) -> None:
    tenant = "routed-stale"
    async with stack.client(tenant=tenant) as admin:
        revision = await give(stack, admin, f"tenants/{tenant}", "one")
        await admin.generate("Warm-up", revision=revision)
        assert (await age_when(admin, fresh=True, patience_s=5 * stack.slowness)) < 3
        stack.signal("provider_config", signal.SIGSTOP)
        try:
            aged = await age_when(admin, fresh=False, patience_s=30 * stack.slowness)
            answer = await admin.generate("Still there?")
            assert served(answer)[0] == "one"
            assert answer.trace.configuration_age.ToTimedelta().total_seconds() >= aged
        finally:
            stack.signal("provider_config", signal.SIGCONT)
        await age_when(admin, fresh=True, patience_s=30 * stack.slowness)
        health = await admin.health()
        assert [(each.provider, each.model) for each in health.targets if tenant in each.provider] == [
            (f"tenants/{tenant}/providers/one", "sandbox-small")
        ]
        changed = await admin.providers.update(f"tenants/{tenant}/providers/one", default_model="sandbox-large")
        assert served(await admin.generate("And changes?", revision=changed.revision))[1] == "sandbox-large"


async def age_when(client: AsyncClient, *, fresh: bool, patience_s: float) -> float:
    """The age of the router's configuration in seconds, as soon as it is connected and fresh, or neither."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while True:
        state = (await client.health()).configuration
        age_s = state.age.ToTimedelta().total_seconds()
        if (state.connected and age_s < 3) if fresh else (not state.connected and age_s > 3):
            return age_s
        assert asyncio.get_running_loop().time() < deadline, f"connected: {state.connected}, {age_s} s old"
        await asyncio.sleep(0.1)
