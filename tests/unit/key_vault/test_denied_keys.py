"""Whoever reaches for another's key in a call is recorded."""

from __future__ import annotations

from functools import partial

from libs.core.audit_log import append_all
from libs.core.resource_names import KeyName
from libs.rpc.denial_recorder import DenialRecorder
from services.key_vault.api.denied_keys import key_denial
from services.key_vault.domain.permission import Bearer
from tests.unit.key_vault.world import World


async def test_reaching_for_a_key_in_a_call_is_recorded() -> None:
    world = World()
    recorder = DenialRecorder(
        lambda events: world.store.write(partial(append_all, events)), world.clock, new_uid=world.new_uid
    )
    bearer = Bearer(tenant="globex", user="eve", actor="tenants/globex/users/eve", roles=("member", "admin"))
    key_denial(recorder)(bearer, KeyName.parse("tenants/acme/keys/openai"), "req-4")
    await recorder.store()
    (event,) = world.audited("tenants/globex")
    assert (event.action, event.target, event.actor, event.roles, event.request_id, event.reason) == (
        "AccessKeys",
        "tenants/acme/keys/openai",
        "tenants/globex/users/eve",
        ("admin", "member"),
        "req-4",
        "PERMISSION_DENIED",
    )
