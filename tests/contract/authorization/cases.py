"""The matrix: every RPC x every caller x every owner x forged fields, and every trick played on the name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from tests.contract.api.descriptors import methods
from tests.contract.authorization.callers import NOBODY, SUPER_ADMIN, Caller, Person, everybody, peer, people
from tests.contract.authorization.documented import NO_MESSAGE, RPCS, UNAUTHENTICATED, outcome
from tests.contract.authorization.forgeries import FORGED_METADATA, TRICKS, request
from tests.identities import Metadata

METHODS = methods()
OWNERS = (
    *("platform", "tenants/acme", "tenants/acme/users/ann", "tenants/acme/users/bob", "tenants/acme/users/root"),
    *("tenants/rival", "tenants/rival/users/ann", "tenants/platform"),
)
_FEW = ("platform", "tenants/acme", "tenants/acme/users/ann", "tenants/rival")
_MEMBER = Person(roles=frozenset({"member"}))
_TENANT_ADMIN = Person(roles=frozenset({"tenant_admin"}))
# Those who try tricks: what is said to one set of roles is said to those between as well.
_TRICKSTERS: tuple[Caller, ...] = (
    *(Person(roles=frozenset(roles)) for roles in ((), ("service",))),
    *(_MEMBER, _TENANT_ADMIN, SUPER_ADMIN, peer("key-vault"), NOBODY),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One call. `expected` is how it ends, in the words of `documented`."""

    method: str
    caller: Caller
    resource: str | None
    data: bytes
    more: Metadata
    demands_mfa: bool
    expected: str

    def __str__(self) -> str:
        demand = ", fresh MFA demanded" if self.demands_mfa else ""
        forged = ", forged" if self.more else ""
        return f"{self.method} by {self.caller} on {self.resource!r:.80}{forged}{demand}"


def cases(method: str) -> Iterator[Case]:
    """Every case of one RPC of `RPCS`."""
    yield from _ordinary(method)
    yield from _with_mfa(method)
    if RPCS[method].field is not None:
        yield from _tricks(method)
        yield from _said_twice(method)
    yield from _no_messages(method)


_request = cache(request)


def _case(method: str, caller: Caller, resource: str | None, *, others: str | None, demands_mfa: bool = False) -> Case:
    rpc = RPCS[method]
    return Case(
        method=method,
        caller=caller,
        resource=resource,
        data=_request(METHODS[method].input_type, rpc.field, resource, others=others),
        more=FORGED_METADATA if others == "rival" else (),
        demands_mfa=demands_mfa,
        expected=outcome(rpc, caller, resource, demands_mfa=demands_mfa),
    )


def _resources(method: str, owners: tuple[str, ...] = OWNERS) -> tuple[str | None, ...]:
    field = RPCS[method].field
    if field is None:
        return (None,)
    return owners if field == "parent" else tuple(f"{owner}/keys/x" for owner in owners)


def _ordinary(method: str) -> Iterator[Case]:
    for caller, resource, others in product(everybody(), _resources(method), (None, "rival", "acme")):
        yield _case(method, caller, resource, others=others)


def _with_mfa(method: str) -> Iterator[Case]:
    fresh = tuple(replace(person, mfa=True) for person in people())
    for caller, resource in product((*everybody(), *fresh), _resources(method, _FEW)):
        yield _case(method, caller, resource, others=None, demands_mfa=True)


def _tricks(method: str) -> Iterator[Case]:
    for caller, trick, others in product(_TRICKSTERS, TRICKS, (None, "acme")):
        yield _case(method, caller, trick, others=others)


def _said_twice(method: str) -> Iterator[Case]:
    """The name twice on the wire: whatever is checked must be what is served, the last one."""
    for caller, first, last in product(_TRICKSTERS, _resources(method, _FEW), _resources(method, _FEW)):
        twice = _case(method, caller, last, others=None)
        yield replace(twice, data=_case(method, caller, first, others=None).data + twice.data)


def _no_messages(method: str) -> Iterator[Case]:
    if METHODS[method].client_streaming:
        return
    broken = [b"\xff", b"\x0a\x7f", b"\x0b" * 10_000]
    if RPCS[method].field is not None:
        own = _case(method, _MEMBER, "tenants/acme", others=None).data
        # Not UTF-8: a lone continuation, an overlong "/", a surrogate.
        broken += [own.replace(b"acme", bad) for bad in (b"\xc3cme", b"ac\xc0\xaf", b"a\xed\xa0\x80")]
    for caller, data in product(_TRICKSTERS, broken):
        case = _case(method, caller, None, others=None)
        yield replace(case, data=data, expected=UNAUTHENTICATED if case.expected == UNAUTHENTICATED else NO_MESSAGE)
