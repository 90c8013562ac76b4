"""How every call begins: planned, and refused where nothing could be recorded or nobody could serve."""

from __future__ import annotations

from libs.core.errors import Unavailable
from services.router.domain.adaptation import Adapter
from services.router.domain.call import Call, CallResources
from services.router.domain.call_context import CallContext
from services.router.domain.call_request import RequestT
from services.router.domain.errors import Reason
from services.router.domain.planner import Planner


async def new_call(
    request: RequestT, context: CallContext, planner: Planner, resources: CallResources, *, streaming: bool = False
) -> Call[RequestT]:
    """A call with at least one target. Raises GatehouseError."""
    if not resources.ledger.accepting:
        raise Unavailable(
            Reason.SPOOL_FULL, "usage cannot be recorded durably just now; try again later", retry_delay_s=5.0
        )
    plan = await planner.plan(request, context, streaming=streaming)
    plan.require_target()
    return Call(
        resources,
        request,
        context,
        plan,
        Adapter(request, plan.size, planner.types, streaming=streaming),
        configuration_age_s=planner.configuration_age_s(),
        streaming=streaming,
    )
