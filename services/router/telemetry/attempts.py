"""Spans and metrics of attempts, by OpenTelemetry's GenAI conventions; never a prompt, an answer or a key."""

from __future__ import annotations

import time

from opentelemetry.trace import SpanKind, Status, StatusCode

from libs.core.money import NanoUsd
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from libs.telemetry.telemetry import Telemetry
from services.router.domain.accounting import AttemptOutcome, Reservation, Settlement
from services.router.domain.routing.route_plan import Rejected
from services.router.telemetry.lately import Lately

_log = get_logger(__name__)
_NANO = 1_000_000_000


class TelemetryObserver:
    """A `ports.AttemptObserver`."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._lately = Lately()

    def finished(self, reservation: Reservation, settlement: Settlement, cost: NanoUsd | None) -> None:
        """An attempt ended."""
        if settlement.outcome in (AttemptOutcome.FAILED, AttemptOutcome.INTERRUPTED):
            _log.warning(
                names.EVENT_ATTEMPT_FAILED,
                tenant=reservation.tenant,
                provider=reservation.provider,
                model=reservation.model,
                attempt=reservation.attempt,
                operation_id=reservation.operation_id,
                reason=settlement.error_reason,
            )
        if self._telemetry.enabled:
            self._record(reservation, settlement, cost)

    def key_fallback(self, reservation: Reservation, *, refused_version: int, version: int) -> None:
        """The provider refused the key's version in use; the next attempt is made with one that overlaps with it."""
        _log.warning(
            names.EVENT_KEY_FALLBACK,
            tenant=reservation.tenant,
            provider=reservation.provider,
            resource=reservation.key,
            refused_version=refused_version,
            version=version,
            attempt=reservation.attempt,
            operation_id=reservation.operation_id,
        )

    def passed_over(self, tenant: str, operation_id: str, rejected: Rejected) -> None:
        """Another target takes the place of one that would have come first.

        It may do so for every call until somebody changes something: one warning a minute, the others at level debug.
        """
        choice = tenant, rejected.provider_name, rejected.model, rejected.rule, rejected.cause
        log = _log.warning if self._lately.is_news(choice, time.monotonic()) else _log.debug
        log(
            names.EVENT_TARGET_PASSED_OVER,
            tenant=tenant,
            provider=rejected.provider_name,
            model=rejected.model,
            rule=rejected.rule.value,
            reason=rejected.cause.value,
            operation_id=operation_id,
        )
        if self._telemetry.enabled:
            self._telemetry.instruments.targets_passed_over.add(
                1, {names.ATTR_RULE: rejected.rule.value, names.ATTR_CAUSE: rejected.cause.value}
            )

    def platform_fallback(self, reservation: Reservation) -> None:
        """An attempt is made with a provider of the platform. For its tenant every call may be: logged as above."""
        stand_in = reservation.tenant, reservation.provider, reservation.model, reservation.rule
        log = _log.info if self._lately.is_news(stand_in, time.monotonic()) else _log.debug
        log(
            names.EVENT_PLATFORM_FALLBACK,
            tenant=reservation.tenant,
            provider=reservation.provider,
            model=reservation.model,
            rule=reservation.rule,
            attempt=reservation.attempt,
            operation_id=reservation.operation_id,
        )
        if self._telemetry.enabled:
            self._telemetry.instruments.platform_fallbacks.add(1, {names.ATTR_RULE: reservation.rule})

    def _record(self, reservation: Reservation, settlement: Settlement, cost: NanoUsd | None) -> None:
        tokens = settlement.tokens
        input_tokens = tokens.input_tokens + tokens.cache_read_tokens + tokens.cache_write_tokens
        output_tokens = tokens.output_tokens + tokens.reasoning_tokens
        common: dict[str, str | int] = {
            names.ATTR_OPERATION_NAME: names.OPERATION_EMBEDDINGS if reservation.embedding else names.OPERATION_CHAT,
            names.ATTR_PROVIDER_NAME: reservation.provider_type,
            names.ATTR_REQUEST_MODEL: reservation.provider_model_id,
        }
        if settlement.error_reason:
            common[names.ATTR_ERROR_TYPE] = settlement.error_reason
        started = int(settlement.start_time * _NANO)
        span = self._telemetry.tracer.start_span(
            f"{names.SPAN_EMBEDDINGS if reservation.embedding else names.SPAN_CHAT} {reservation.provider_model_id}",
            kind=SpanKind.CLIENT,
            start_time=started,
            attributes={
                **common,
                names.ATTR_TENANT: reservation.tenant,
                names.ATTR_OPERATION_ID: reservation.operation_id,
                names.ATTR_ATTEMPT: reservation.attempt,
                names.ATTR_PROVIDER: reservation.provider,
                names.ATTR_INPUT_TOKENS: input_tokens,
                names.ATTR_OUTPUT_TOKENS: output_tokens,
                names.ATTR_FINISH_REASONS: (settlement.finish_reason,),
                **({names.ATTR_COST_NANO_USD: cost} if cost is not None else {}),
            },
        )
        if settlement.error_reason:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_time=started + int(settlement.duration_s * _NANO))
        instruments = self._telemetry.instruments
        instruments.operation_duration.record(settlement.duration_s, common)
        if settlement.first_content_s is not None:
            instruments.time_to_first_chunk.record(settlement.first_content_s, common)
        instruments.token_usage.record(input_tokens, {**common, names.ATTR_TOKEN_TYPE: names.TOKEN_TYPE_INPUT})
        instruments.token_usage.record(output_tokens, {**common, names.ATTR_TOKEN_TYPE: names.TOKEN_TYPE_OUTPUT})
        instruments.attempts.add(1, {**common, "outcome": settlement.outcome.value})
        if cost is not None:
            instruments.cost.add(cost, common)
