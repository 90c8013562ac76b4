"""Who calls, and when."""

from __future__ import annotations

from dataclasses import dataclass

from libs.core.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """Who calls and when. `arrived` and `deadline` are monotonic seconds; `revision` the configuration to wait for."""

    tenant: str
    user: str
    plan: str
    token: Secret
    arrived: float
    deadline: float
    revision: int | None = None
