"""What is known about the call being served."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import unquote

from libs.identity.caller import Caller


@dataclass(slots=True, kw_only=True)
class RequestContext:
    """Filled in by the interceptor chain before the servicer runs."""

    method: str
    """Full name: `/gatehouse.router.v1.GenerationService/Generate`."""
    request_id: str
    """The caller's `x-request-id` when it is well-formed, else made here."""
    peer: str
    """The caller's network address as gRPC gives it."""
    metadata: dict[str, str]
    """Text metadata of the call, without the token."""
    arrived: float
    """Monotonic seconds."""
    deadline: float
    """Monotonic seconds at which the call is cut off."""
    established: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Who calls. Set for every method that is not on the short list of unauthenticated ones."""
        if self.established is None:
            raise LookupError("no caller is established")
        return self.established

    @property
    def address(self) -> str:
        """The caller's host, without the port: `127.0.0.1`, `::1`, `unix` for a socket of this machine, else empty.

        Behind a proxy it is the proxy's.
        """
        scheme, _, rest = self.peer.partition(":")
        match scheme:
            case "ipv4":
                return rest.rpartition(":")[0]
            case "ipv6":
                return unquote(rest).rpartition("]")[0].removeprefix("[")
            case "unix" | "unix-abstract":
                return "unix"
            case _:
                return ""

    def remaining_s(self) -> float:
        """Seconds left until the deadline, at least 0."""
        return max(0.0, self.deadline - time.monotonic())


_current: ContextVar[RequestContext] = ContextVar("request_context")


def current() -> RequestContext:
    """The call being served by this task. Raises LookupError outside of one."""
    return _current.get()


def enter(request: RequestContext) -> None:
    """Make `request` the current one for this task and those it starts; gRPC runs each call in a task of its own."""
    _current.set(request)
