"""What a router holds of the configuration, and what it has to ask for.

Scopes are `platform`, which is always wanted, and `tenants/{tenant}` from the first call that needs it until it had no
call for a while. Nothing here waits or knows of a connection.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile

from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb

from services.router.clients.snapshots import changed, snapshot_in
from services.router.domain.configuration import Configuration, Snapshot

PLATFORM = "platform"
MOST_TENANTS = 50_000
"""Half of what provider_config lets one stream watch; asking for more would end it for all tenants."""

_TENANTS = "tenants/"
# The contract's bound on each list of a request.
_MAX_SCOPES = 1000
_UNASKED = 0


class Taken(enum.Enum):
    """What became of a message about a scope."""

    HELD = "held"
    IGNORED = "ignored"
    ASKED_ANEW = "asked anew"


@dataclass(slots=True, eq=False)
class _Scope:
    """A scope that is wanted.

    `used` is when a call last wanted it. `known` is the revision up to which it is known to be held. `request` is the
    one of the present stream that named it last, from 1. `watched`: the service sends it already, as far as is known
    here. `awaited`: the whole is to come, and changes of what came before it mean nothing. `lacks`: news came that are
    not held, so what the service vouches for is more than is here.
    """

    name: str
    used: float
    snapshot: Snapshot | None = None
    configuration: Configuration | None = None
    known: int = -1
    request: int = _UNASKED
    watched: bool = False
    awaited: bool = True
    lacks: bool = False


class HeldScopes:
    """The scopes by tenant. `now` is any clock in seconds, as of late: the caller moves it."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._platform = _Scope(PLATFORM, used=now)
        # Those used last are at the end.
        self._tenants: OrderedDict[str, _Scope] = OrderedDict()
        self._unasked: dict[str, _Scope] = {PLATFORM: self._platform}
        self._unwanted: dict[str, None] = {}
        self._requests = 0
        self._resuming = 0
        self._vouched = pb.Heartbeat(revision=0, requests=0)

    def __len__(self) -> int:
        return len(self._tenants)

    @property
    def has_platform(self) -> bool:
        """Whether the platform's snapshot has arrived; without it no tenant can be served."""
        return self._platform.snapshot is not None

    @property
    def is_current(self) -> bool:
        """Whether the last heartbeat vouched for all that was held when the stream began."""
        return 0 < self._resuming <= self._vouched.requests

    @property
    def revision(self) -> int:
        """The revision up to which the platform is known to be held; 0 before anything arrived."""
        return max(0, self._known(self._platform))

    def configuration(self, tenant: str) -> Configuration | None:
        """What is held of a tenant; it counts as used."""
        scope = self._tenants.get(tenant)
        if scope is None:
            return None
        self._use(tenant, scope)
        return scope.configuration

    def want(self, tenant: str) -> bool:
        """Hold the tenant from now on; whether that is new. Of too many, the one not used for longest is forgotten."""
        scope = self._tenants.get(tenant)
        if scope is not None:
            self._use(tenant, scope)
            return False
        if len(self._tenants) >= MOST_TENANTS:
            self._forget(next(iter(self._tenants)))
        self._tenants[tenant] = scope = _Scope(f"{_TENANTS}{tenant}", used=self.now)
        if scope.name in self._unwanted:
            # The service was not told yet that it is forgotten.
            del self._unwanted[scope.name]
            scope.watched = True
        self._unasked[scope.name] = scope
        return True

    def has_reached(self, tenant: str, revision: int) -> bool:
        """Whether the tenant is held with everything up to `revision` in it."""
        scope = self._tenants.get(tenant)
        if scope is None or scope.configuration is None:
            return False
        return self._known(scope) >= revision and self._known(self._platform) >= revision

    def forget_idle(self, idle_s: float, *, at_most: int) -> int:
        """Forget up to `at_most` tenants that no call wanted for `idle_s`; how many."""
        first = islice(self._tenants.items(), at_most)
        idle = [tenant for tenant, scope in takewhile(lambda item: self.now - item[1].used >= idle_s, first)]
        for tenant in idle:
            self._forget(tenant)
        return len(idle)

    def begin_stream(self) -> None:
        """Ask for everything on a new stream, from what is held where anything is."""
        for scope in self._wanted():
            scope.known = self._known(scope)
            scope.request = _UNASKED
            scope.watched = False
            scope.awaited = scope.snapshot is None
        self._unasked = {scope.name: scope for scope in self._wanted()}
        self._unwanted = {}
        self._requests = 0
        self._resuming = -(-len(self._unasked) // _MAX_SCOPES)
        self._vouched = pb.Heartbeat(revision=0, requests=0)

    def next_request(self) -> pb.WatchSnapshotsRequest | None:
        """What to ask for next; it counts as asked for. None when there is nothing."""
        if not self._unasked and not self._unwanted:
            return None
        self._requests += 1
        forget = list(islice(self._unwanted, _MAX_SCOPES))
        for name in forget:
            del self._unwanted[name]
        asked = list(islice(self._unasked.values(), max(0, _MAX_SCOPES - len(forget))))
        request = pb.WatchSnapshotsRequest(forget=forget)
        for scope in asked:
            del self._unasked[scope.name]
            if scope.watched:
                request.forget.append(scope.name)
            scope.request = self._requests
            scope.watched = True
            if scope.snapshot is None or scope.awaited:
                request.watch.append(scope.name)
            else:
                request.resume.add(scope=scope.name, revision=scope.snapshot.revision)
        return request

    def take(self, news: pb.Snapshot | pb.SnapshotDelta) -> Taken:
        """Hold the whole of a scope, or what changes of it. Raises InvalidArgument, and holds what it held then."""
        scope = self._scope(news.scope)
        if scope is None:
            return Taken.IGNORED
        scope.known, scope.lacks = self._known(scope), True
        if isinstance(news, pb.Snapshot):
            # Also when it cannot be read: the next change of it asks for the whole again.
            scope.awaited = False
            self._hold(scope, snapshot_in(news))
        elif scope.awaited:
            return Taken.IGNORED
        elif scope.snapshot is None or news.from_revision != scope.snapshot.revision:
            scope.awaited = True
            self._unasked[scope.name] = scope
            return Taken.ASKED_ANEW
        else:
            self._hold(scope, changed(scope.snapshot, news))
        return Taken.HELD

    def take_heartbeat(self, message: pb.Heartbeat) -> None:
        """Know what is held to be current, as far as the heartbeat goes."""
        self._vouched = message

    def _use(self, tenant: str, scope: _Scope) -> None:
        scope.used = self.now
        self._tenants.move_to_end(tenant)

    def _forget(self, tenant: str) -> None:
        scope = self._tenants.pop(tenant)
        self._unasked.pop(scope.name, None)
        if scope.watched:
            self._unwanted[scope.name] = None

    def _hold(self, scope: _Scope, snapshot: Snapshot) -> None:
        scope.snapshot, scope.lacks = snapshot, False
        scope.known = max(scope.known, snapshot.revision)
        for each in self._tenants.values() if scope is self._platform else (scope,):
            if each.snapshot is not None and self._platform.snapshot is not None:
                each.configuration = Configuration(tenant=each.snapshot, platform=self._platform.snapshot)

    def _known(self, scope: _Scope) -> int:
        if not scope.lacks and _UNASKED < scope.request <= self._vouched.requests:
            return max(scope.known, self._vouched.revision)
        return scope.known

    def _scope(self, name: str) -> _Scope | None:
        return self._platform if name == PLATFORM else self._tenants.get(name.removeprefix(_TENANTS))

    def _wanted(self) -> Iterator[_Scope]:
        yield self._platform
        yield from self._tenants.values()
