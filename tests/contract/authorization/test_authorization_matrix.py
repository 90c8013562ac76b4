"""Promises 8 and 9: nobody reaches another tenant, and only the router its own methods, whatever they send."""

from __future__ import annotations

import pytest

from libs.identity import permissions
from libs.identity.caller import Role
from tests.contract.authorization.callers import Person, Tokens, everybody
from tests.contract.authorization.cases import METHODS, OWNERS, cases
from tests.contract.authorization.differences import differences
from tests.contract.authorization.documented import RPCS, outcome
from tests.contract.authorization.driver import ADDRESS, House
from tests.contract.authorization.forgeries import request
from tests.identities import Identities

FEWEST = 10_000


def test_every_rpc_stands_in_the_table_of_this_test() -> None:
    missing = [f'    "{name}": Rpc(Kind.…, "…"),' for name in sorted(set(METHODS) - set(RPCS))]
    assert missing == [], "say in tests/contract/authorization/documented.py who may call:\n" + "\n".join(missing)
    assert set(RPCS) - set(METHODS) == set(), "these are no RPCs any more: take them out of documented.py"


def test_every_rpc_stands_in_the_permission_table() -> None:
    missing = sorted(set(METHODS) - set(permissions.PERMISSIONS))
    assert missing == [], "nobody may call these until they have a rule in libs/identity/permissions.py"


def test_the_matrix_is_large_enough() -> None:
    distinct = {
        (case.method, case.caller, case.data, case.more, case.demands_mfa) for method in RPCS for case in cases(method)
    }
    assert len(distinct) >= FEWEST


@pytest.mark.parametrize("method", sorted(RPCS))
async def test_every_call_ends_as_documented(method: str, identities: Identities, tokens: Tokens) -> None:
    assert [wrong async for wrong in differences(cases(method), identities, tokens)] == []


@pytest.mark.parametrize("method", sorted(RPCS))
async def test_without_a_rule_a_method_is_denied_to_everybody(
    method: str, identities: Identities, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = {name: rule for name, rule in permissions.PERMISSIONS.items() if name != method}
    monkeypatch.setattr(permissions, "PERMISSIONS", rules)
    house = House(identities, tokens, demands_mfa=False)
    field = RPCS[method].field
    for caller in everybody():
        for owner in OWNERS:
            data = request(METHODS[method].input_type, field, owner, others="acme")
            ended = await house.call(method, caller, data)
            assert (str(caller), ended.outcome) == (str(caller), outcome(None, caller, owner, demands_mfa=False))
            assert ended.received == ()


async def test_a_denial_is_recorded_with_what_an_auditor_asks_for(identities: Identities, tokens: Tokens) -> None:
    house = House(identities, tokens, demands_mfa=False)
    method = "/gatehouse.keyvault.v1.KeyService/DeleteKey"
    member = Person(roles=frozenset({"member"}))
    name = "tenants/rival/keys/x"
    data = request(METHODS[method].input_type, "name", name, others=None)
    (denial,) = (await house.call(method, member, data, (("x-request-id", "req-1"),))).denials
    assert (denial.caller.actor, denial.caller.roles) == ("tenants/acme/users/ann", frozenset({Role.MEMBER}))
    assert (denial.method, denial.resource, denial.reason) == (method, name, "PERMISSION_DENIED")
    assert (denial.address, denial.request_id) == (ADDRESS, "req-1")
