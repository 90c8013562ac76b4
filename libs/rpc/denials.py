"""Refusals by authorization, as a service can record them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from libs.core.errors import InvalidArgument
from libs.core.resource_names import Owner
from libs.identity.caller import Caller
from libs.rpc.context import RequestContext
from libs.telemetry import names
from libs.telemetry.logs import get_logger

_log = get_logger(__name__)
# What is left of the call's time must be enough to answer.
_SHARE = 0.5
_LONGEST_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """An established caller was refused."""

    caller: Caller
    method: str
    """Full name: `/gatehouse.keyvault.v1.KeyService/CreateKey`."""
    resource: str | None
    """The resource name the call was about. None when the method has none, and for text that is no resource name."""
    reason: str
    """`PERMISSION_DENIED` or `FRESH_AUTHENTICATION_REQUIRED`."""
    address: str
    """The caller's host, as in `RequestContext.address`."""
    request_id: str


DenialHook = Callable[[Denial], Awaitable[None]]
"""Records a denial before it is answered. Whatever it raises, the call is denied all the same."""


async def record(hook: DenialHook, info: RequestContext, *, resource: str | None, reason: str) -> None:
    """Have `hook` record that the call `info` was refused.

    It gets half of what is left of the call's time, at most 2 seconds. When it fails or takes longer, the denial goes
    to the log instead.
    """
    denial = Denial(
        caller=info.caller,
        method=info.method,
        resource=resource if _is_resource_name(resource) else None,
        reason=reason,
        address=info.address,
        request_id=info.request_id,
    )
    try:
        async with asyncio.timeout(min(info.remaining_s() * _SHARE, _LONGEST_S)):
            await hook(denial)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled this call: something the hook waited for was.
        _log_instead(denial, error)
    except Exception as error:  # noqa: BLE001 - nothing that goes wrong here may change the answer
        _log_instead(denial, error)


def _log_instead(denial: Denial, error: BaseException) -> None:
    _log.error(
        names.EVENT_DENIAL_UNRECORDED,
        exc_info=error,
        actor=denial.caller.actor,
        method=denial.method,
        resource=denial.resource,
        reason=denial.reason,
        address=denial.address,
        request_id=denial.request_id,
    )


def _is_resource_name(name: str | None) -> bool:
    if name is None:
        return False
    try:
        Owner.of(name)
    except InvalidArgument:
        return False
    return True
