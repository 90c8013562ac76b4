"""One call over all its attempts: what was tried, what is left, how it ended."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from dataclasses import dataclass
from typing import Generic

from libs.core.errors import ErrorKind, GatehouseError
from libs.core.money import TokenCounts
from services.router.domain.accounting import Reservation
from services.router.domain.adaptation import Adapter
from services.router.domain.admission import Admission, Passage
from services.router.domain.affinity import SessionAffinity
from services.router.domain.attempt import Attempt, AttemptTrace
from services.router.domain.call_context import CallContext
from services.router.domain.call_request import RequestT, session_of
from services.router.domain.embedding import Embedding
from services.router.domain.errors import ProviderError, Reason, to_gatehouse_error
from services.router.domain.failover import (
    FailoverPolicy,
    GiveUp,
    KeyFallback,
    NextTarget,
    RetryAfter,
    Step,
    next_step,
)
from services.router.domain.generation import FinishReason
from services.router.domain.outcome import Outcome, StreamInterrupted
from services.router.domain.ports import AttemptObserver, Dispatch, KeyOpener, KeyOutcomes, Ledger
from services.router.domain.routing.causes import Cause, Rule
from services.router.domain.routing.route_plan import Obstacle, Rejected, RoutePlan, Target, input_limit, output_limit
from services.router.domain.tokens import DEFAULT_OUTPUT_LIMIT

# A reservation outlives its call's deadline by this, so that only a dead router lets one lapse.
_LAPSE_MARGIN_S = 60.0
_LONGEST_LAPSE_S = 86_400.0
# What opening a target can answer that speaks against this target only, not against the call.
_TARGET_UNUSABLE = frozenset({ErrorKind.FAILED_PRECONDITION, ErrorKind.NOT_FOUND, ErrorKind.PERMISSION_DENIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResources:
    """What a call works with; shared by all calls of a router."""

    keys: KeyOpener
    outcomes: KeyOutcomes
    ledger: Ledger
    observer: AttemptObserver
    policy: FailoverPolicy
    admission: Admission
    affinity: SessionAffinity
    jitter: random.Random


class Call(Generic[RequestT]):
    """A call under way. `provider_s` adds up the time spent waiting for providers."""

    def __init__(
        self,
        resources: CallResources,
        request: RequestT,
        context: CallContext,
        plan: RoutePlan,
        adapter: Adapter[RequestT],
        *,
        configuration_age_s: float,
        streaming: bool,
    ) -> None:
        self.operation_id = str(uuid.uuid4())
        self.provider_s = 0.0
        self._resources = resources
        self._request: RequestT = request
        self._context = context
        self._plan = plan
        self._adapter: Adapter[RequestT] = adapter
        # What the caller should know of the request as it was last sent.
        self._adaptations: tuple[str, ...] = ()
        self._configuration_age_s = configuration_age_s
        self._streaming = streaming
        self._left_out = len(plan.rejected)
        self._targets = list(reversed(plan.targets))
        # What comes before the next target: the same one again, with this version of its key (0: the one in use).
        self._again: tuple[Target, int] | None = None
        # With the version of its key that was asked for.
        self._last_failure: tuple[Target, int, ProviderError] | None = None
        self._number = 0
        self._retries = 0
        self._traces: list[AttemptTrace] = []
        self._first_content_s: float | None = None
        for each in plan.passed_over:
            resources.observer.passed_over(context.tenant, self.operation_id, each)

    async def open_next(self) -> tuple[Attempt, Dispatch[RequestT]]:
        """Reserve for the next target that can be opened. Raises GatehouseError when there is none."""
        while True:
            again = self._again is not None
            target, key_version = self._next_target()
            limit = output_limit(self._request, target.provider, target.model)
            input_tokens = input_limit(self._request, self._plan.size, target.model)
            entered = self._resources.admission.enter(
                target,
                input_tokens + limit,
                although_resting=self._plan.resting or not self._targets,
            )
            if not isinstance(entered, Passage):
                await self._pass_over(target, entered, tried=again)
                continue
            reservation = self._reservation(target, input_tokens, limit)
            attempt = Attempt(
                reservation=reservation,
                target=target,
                size=self._plan.size,
                streaming=self._streaming,
                passage=entered,
                ledger=self._resources.ledger,
                observer=self._resources.observer,
                outcomes=self._resources.outcomes,
                fallback=bool(self._traces),
                asked_version=key_version,
            )
            try:
                key = await attempt.open(self._resources.keys, self._context.token)
            except GatehouseError as error:
                if error.kind not in _TARGET_UNUSABLE:
                    raise
                obstacle = Obstacle(Cause.of(error.reason), "{}", (error.message,))
                await self._pass_over(target, obstacle, tried=again)
                continue
            if target.provider.owner.tenant is None:
                self._resources.observer.platform_fallback(reservation)
            dispatch = Dispatch(
                target=target,
                request=self._request_to(target),
                # Always sent: the reservation is an upper bound only if the provider holds to it.
                output_limit=limit,
                key=key,
                reference=attempt.reference,
                media_by_url=self._plan.size.by_url,
                tenant=self._context.tenant,
                departing=attempt.departs,
            )
            return attempt, dispatch

    async def after_failure(self, attempt: Attempt, error: ProviderError) -> None:
        """Record a failure before any content, and return when another attempt is to follow. Raises GatehouseError."""
        resources, target = self._resources, attempt.target
        self._traces.append(attempt.failed(error))
        # Its traceback would keep all it went through alive until the end of the call.
        self._last_failure = target, attempt.asked_version, error.with_traceback(None)
        if error.reason is Reason.CONTEXT_TOO_LONG:
            self._leave_out_smaller(target.model.context_tokens)
        match self._next_step(target, error, fallback_version=attempt.fallback_version):
            case KeyFallback(version):
                self._again = target, version
                resources.observer.key_fallback(
                    attempt.reservation, refused_version=attempt.key_version, version=version
                )
            case NextTarget():
                self._retries = 0
            case RetryAfter(delay_s):
                await self._retry(target, attempt.asked_version, delay_s)
            case GiveUp():
                raise self._failed(target, error)

    def first_content(self, attempt: Attempt) -> None:
        """The first content arrived now."""
        attempt.first_content()
        self._first_content_s = time.monotonic() - self._context.arrived

    def complete(
        self,
        attempt: Attempt,
        finish_reason: FinishReason,
        raw_finish_reason: str,
        usage: TokenCounts | None,
        *,
        left_out: tuple[str, ...] = (),
    ) -> Outcome:
        """The attempt served; `left_out` says what its dialect had to leave out."""
        target, context = attempt.target, self._context
        if session := session_of(self._request):
            self._resources.affinity.served(context.tenant, context.user, session, target.health_key)
        _, cost = attempt.succeeded(usage, raw_finish_reason)
        self._traces.append(attempt.trace())
        return Outcome(
            operation_id=self.operation_id,
            finish_reason=finish_reason,
            raw_finish_reason=raw_finish_reason,
            usage=usage,
            cost=cost if usage is not None else None,
            served_by=target,
            attempts=tuple(self._traces),
            warnings=self._warnings(target, usage, left_out),
            total_s=time.monotonic() - context.arrived,
            provider_s=self.provider_s,
            first_content_s=self._first_content_s,
            plan=self._plan,
            configuration_age_s=self._configuration_age_s,
        )

    def interrupted(self, attempt: Attempt, error: ProviderError) -> StreamInterrupted:
        """The stream broke after content; the error for the caller."""
        return StreamInterrupted(
            operation_id=self.operation_id, target=attempt.target, usage=attempt.interrupted(error), estimated=True
        )

    def cancelled(self, attempt: Attempt) -> None:
        """The caller went away, or its deadline passed."""
        attempt.cancelled(deadline_passed=time.monotonic() >= self._context.deadline)

    def _next_step(self, target: Target, error: ProviderError, *, fallback_version: int) -> Step:
        return next_step(
            error,
            self._resources.policy,
            attempts=len(self._traces),
            retries=self._retries,
            targets_left=len(self._targets),
            fallback_version=fallback_version,
            remaining_s=self._context.deadline - time.monotonic(),
            jitter=self._resources.jitter,
            max_retries=target.provider.max_retries,
        )

    async def _retry(self, target: Target, key_version: int, delay_s: float) -> None:
        self._retries += 1
        self._again = target, key_version
        await asyncio.sleep(delay_s)

    def _next_target(self) -> tuple[Target, int]:
        """The target to open now, and the version of its key."""
        if self._again is not None:
            again, self._again = self._again, None
            return again
        return self._targets.pop(), 0

    async def _pass_over(self, target: Target, obstacle: Obstacle, *, tried: bool) -> None:
        """Go on without a target: after the last one with the one that failed before it, if that may pass.

        Of one that was `tried` it is no news: that the older version of its key is gone by now, or that it rests since.
        Raises GatehouseError when nothing is left.
        """
        if not tried:
            self._plan = self._plan.without(target, obstacle)
            if self._targets:
                self._resources.observer.passed_over(self._context.tenant, self.operation_id, self._plan.rejected[-1])
        if self._targets:
            return
        if self._last_failure is None:
            raise self._plan.no_usable_target() from None
        # What a provider said weighs more: it tells whether trying again later helps.
        failed, key_version, error = self._last_failure
        step = GiveUp() if tried else self._next_step(failed, error, fallback_version=0)
        if not isinstance(step, RetryAfter):
            raise self._failed(failed, error) from None
        await self._retry(failed, key_version, step.delay_s)

    def _leave_out_smaller(self, context_tokens: int) -> None:
        """Leave out the targets known to take no more than the context the conversation did not fit into."""
        obstacle = Obstacle(Cause.CONTEXT_TOO_LONG, "the conversation did not fit {:,} tokens", (context_tokens,))
        smaller = [each for each in self._targets if 0 < each.model.context_tokens <= context_tokens]
        for each in reversed(smaller):
            self._plan = self._plan.without(each, obstacle)
        out = set(map(id, smaller))
        self._targets = [each for each in self._targets if id(each) not in out]

    def _request_to(self, target: Target) -> RequestT:
        """The request as the target can take it."""
        request: RequestT
        request, self._adaptations = self._adapter.to(target)
        return request

    def _passed_over(self) -> tuple[Rejected, ...]:
        """The targets that could not be opened in this call."""
        return self._plan.rejected[self._left_out :]

    def _failed(self, target: Target, error: ProviderError) -> GatehouseError:
        return to_gatehouse_error(
            error,
            provider=target.provider.name,
            model=target.model.id,
            passed_over=tuple(each.violation for each in self._passed_over()),
        )

    def _reservation(self, target: Target, input_tokens: int, limit: int) -> Reservation:
        self._number += 1
        request, context, provider, plan = self._request, self._context, target.provider, self._plan
        of_experiment = target.rule is Rule.EXPERIMENT
        remaining_s = max(0.0, context.deadline - time.monotonic())
        return Reservation(
            tenant=context.tenant,
            operation_id=self.operation_id,
            attempt=self._number,
            user=context.user,
            plan=context.plan,
            provider=provider.name,
            provider_type=provider.type,
            model=target.model.id,
            provider_model_id=target.model.provider_model_id,
            key=provider.key,
            task=request.task,
            request_id=request.request_id,
            labels=request.labels,
            rule=target.rule,
            experiment=plan.experiment if of_experiment else "",
            arm=plan.arm if of_experiment else "",
            input_tokens_estimate=input_tokens,
            output_tokens_limit=limit,
            price=target.model.price if not target.model.price_is_catalogue else None,
            lapse_after_s=min(remaining_s + _LAPSE_MARGIN_S, _LONGEST_LAPSE_S),
            embedding=isinstance(request, Embedding),
            # Of other types it may be anything.
            server=str(provider.options.get("server", "")) if provider.type == "openai_compatible" else "",
        )

    def _warnings(self, target: Target, usage: TokenCounts | None, left_out: tuple[str, ...]) -> tuple[str, ...]:
        passed_over: tuple[str, ...] = (
            *(each.warning for each in (*self._plan.passed_over, *self._passed_over())),
            *self._adaptations,
            *left_out,
        )
        if usage is None:
            return (*passed_over, "the provider did not say how many tokens it used; the ledger holds an estimate")
        if isinstance(self._request, Embedding):
            return passed_over
        unlimited = not target.model.max_output_tokens and not target.provider.default_max_output_tokens
        assumed = unlimited and self._request.max_output_tokens is None
        if assumed and usage.output_tokens + usage.reasoning_tokens >= DEFAULT_OUTPUT_LIMIT:
            limit = f"the answer was limited to {DEFAULT_OUTPUT_LIMIT} tokens, for the model's limit is not known"
            return (*passed_over, limit)
        return passed_over
