"""What becomes of the cases, held against the documentation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from tests.contract.authorization.callers import Person, Tokens
from tests.contract.authorization.cases import Case
from tests.contract.authorization.documented import DENIED, FRESH, RAN, RPCS, Kind
from tests.contract.authorization.driver import House
from tests.identities import Identities


async def differences(cases: Iterable[Case], identities: Identities, tokens: Tokens) -> AsyncIterator[str]:
    """Runs the cases; gives a sentence for everything that is not as documented."""
    houses = {demands: House(identities, tokens, demands_mfa=demands) for demands in (False, True)}
    for case in cases:
        ended = await houses[case.demands_mfa].call(case.method, case.caller, case.data, case.more)
        if ended.outcome != case.expected:
            yield f"{case}: {ended.outcome}, documented is {case.expected}"
        if bool(ended.received) != (case.expected == RAN):
            yield f"{case}: the servicer {'ran' if ended.received else 'did not run'}"
        if ended.received and _reaches_too_far(case):
            yield f"{case}: reached another tenant"
        if len(ended.denials) != (case.expected in {DENIED, FRESH}):
            yield f"{case}: {len(ended.denials)} denials were recorded"


def _reaches_too_far(case: Case) -> bool:
    """Whether the call is about another tenant's resource, found without a grammar. Operators may reach anywhere."""
    if case.resource is None or not isinstance(case.caller, Person) or "super_admin" in case.caller.roles:
        return False
    resource = f"{case.resource}/"
    shared = RPCS[case.method].kind is Kind.READ_SHARED and resource.startswith("platform/")
    return not shared and not resource.startswith(f"tenants/{case.caller.tenant}/")
