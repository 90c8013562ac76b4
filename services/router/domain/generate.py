"""The use cases generate and stream: one attempt after the other until one serves or none is left."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from services.router.domain.call import CallResources
from services.router.domain.call_context import CallContext
from services.router.domain.errors import ProviderError
from services.router.domain.generation import Answer, ContentEvent, Finished, Generation
from services.router.domain.new_call import new_call
from services.router.domain.outcome import Outcome
from services.router.domain.planner import Planner
from services.router.domain.ports import ProviderSession
from services.router.domain.routing.route_plan import Target


@dataclass(frozen=True, slots=True)
class Started:
    """A provider has begun to answer."""

    operation_id: str
    target: Target


@dataclass(frozen=True, slots=True)
class Completed:
    """The answer is complete."""

    outcome: Outcome


StreamEvent = Started | ContentEvent | Completed


class Generator:
    """Runs calls. One instance serves all calls of a router, from one event loop."""

    def __init__(self, *, planner: Planner, providers: ProviderSession, resources: CallResources) -> None:
        self._planner = planner
        self._providers = providers
        self._resources = resources

    async def generate(self, request: Generation, context: CallContext) -> tuple[Answer, Outcome]:
        """Call a model and wait for its whole answer. Raises GatehouseError."""
        call = await new_call(request, context, self._planner, self._resources)
        while True:
            attempt, dispatch = await call.open_next()
            sent = time.monotonic()
            try:
                answer = await self._providers.generate(dispatch)
            except ProviderError as error:
                call.provider_s += time.monotonic() - sent
                await call.after_failure(attempt, error)
                continue
            except BaseException:
                call.cancelled(attempt)
                raise
            call.provider_s += time.monotonic() - sent
            if answer.usage is None:
                attempt.meter.count_whole(answer)
            outcome = call.complete(
                attempt, answer.finish_reason, answer.raw_finish_reason, answer.usage, left_out=answer.warnings
            )
            return answer, outcome

    async def stream(self, request: Generation, context: CallContext) -> AsyncGenerator[StreamEvent, None]:
        """Call a model and pass its answer on as it comes. Raises GatehouseError.

        Close the iterator (`aclosing`) in the task that reads it: that is what cancels the provider's work.
        """
        call = await new_call(request, context, self._planner, self._resources, streaming=True)
        while True:
            attempt, dispatch = await call.open_next()
            meter = attempt.meter
            finished: Finished | None = None
            waiting = time.monotonic()
            try:
                source = await self._providers.stream(dispatch)
                try:
                    while events := await source.read():
                        call.provider_s += time.monotonic() - waiting
                        for event in events:
                            if isinstance(event, Finished):
                                finished = event
                                continue
                            if not meter.deltas:
                                call.first_content(attempt)
                                yield Started(call.operation_id, attempt.target)
                            meter.count(event)
                            yield event
                        # The caller's own slowness is not the provider's time.
                        waiting = time.monotonic()
                finally:
                    source.close()
            except ProviderError as error:
                call.provider_s += time.monotonic() - waiting
                if meter.deltas:
                    raise call.interrupted(attempt, error) from None
                await call.after_failure(attempt, error)
                continue
            except BaseException:
                call.cancelled(attempt)
                raise
            if finished is None:
                raise AssertionError("a provider stream ended without Finished and without an error")
            outcome = call.complete(
                attempt, finished.finish_reason, finished.raw_finish_reason, finished.usage, left_out=source.warnings
            )
            if not meter.deltas:
                yield Started(call.operation_id, attempt.target)
            yield Completed(outcome)
            return
