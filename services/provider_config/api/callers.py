"""Who made a change, for people to read."""

from __future__ import annotations

from libs.identity.caller import Caller


def name_of(caller: Caller) -> str:
    """`tenants/{tenant}/users/{user}`, `users/{user}` for an operator outside every tenant, or `services/{service}`."""
    if caller.service is not None:
        return f"services/{caller.service}"
    if caller.tenant is None:
        return f"users/{caller.user}"
    return f"tenants/{caller.tenant}/users/{caller.user}"
