"""usage_accounting as the router calls it: reservations in batches; settlements as the spool's opaque entries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import grpc
from gatehouse.usage.v1 import ledger_service_pb2 as pb
from gatehouse.usage.v1 import usage_record_pb2 as record_pb
from gatehouse.usage.v1.ledger_service_pb2_grpc import LedgerServiceStub

from libs.core.errors import GatehouseError
from libs.core.money import PicoUsdPerToken, TokenPrices
from libs.rpc.batcher import Batcher
from libs.rpc.status import from_item_status, from_rpc_error
from services.router.domain.accounting import AttemptOutcome, Reservation, Settlement
from services.router.domain.ports import Granted, ReserveResult

_MAX_BATCH = 64
_LONGEST_LINGER_S = 0.025
_OUTCOMES = {
    AttemptOutcome.SUCCEEDED: record_pb.ATTEMPT_OUTCOME_SUCCEEDED,
    AttemptOutcome.FAILED: record_pb.ATTEMPT_OUTCOME_FAILED,
    AttemptOutcome.INTERRUPTED: record_pb.ATTEMPT_OUTCOME_INTERRUPTED,
    AttemptOutcome.CANCELLED: record_pb.ATTEMPT_OUTCOME_CANCELLED,
}


class UsageClient:
    """Reserves, settles and releases. `abandoned` gets reservations whose caller went away before the answer."""

    def __init__(
        self, channel: grpc.aio.Channel, *, timeout_s: float, abandoned: Callable[[Reservation], None]
    ) -> None:
        self._ledger = LedgerServiceStub(channel)
        self._timeout_s = timeout_s
        self._batcher: Batcher[Reservation, ReserveResult] = Batcher(
            self._reserve,
            max_batch=_MAX_BATCH,
            max_in_flight=1,
            longest_linger_s=_LONGEST_LINGER_S,
            # Also when the answer was lost: the reservation may stand, and releasing one that does not is nothing.
            abandoned=lambda reservation, _: abandoned(reservation),
        )

    def reserve(self, reservation: Reservation) -> asyncio.Future[ReserveResult]:
        """Reserve for one attempt."""
        return self._batcher.submit(reservation)

    async def settle(self, settlements: Sequence[pb.Settlement]) -> list[GatehouseError | None]:
        """Settle a batch of at most 256; for each item None or why not. Raises GatehouseError as a whole."""
        try:
            response = await self._ledger.SettleUsage(pb.SettleUsageRequest(items=settlements), timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, service="usage-accounting") from None
        return [from_item_status(each.error) if each.HasField("error") else None for each in response.results]

    async def release(self, keys: Sequence[pb.AttemptKey]) -> None:
        """Release a batch of at most 256. Raises GatehouseError."""
        try:
            await self._ledger.ReleaseUsage(pb.ReleaseUsageRequest(keys=keys), timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, service="usage-accounting") from None

    async def aclose(self) -> None:
        """Wait for what is under way."""
        await self._batcher.close()

    async def _reserve(self, reservations: list[Reservation]) -> Sequence[ReserveResult]:
        request = pb.ReserveUsageRequest(items=[_reservation_to_pb(each) for each in reservations])
        try:
            response = await self._ledger.ReserveUsage(request, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, service="usage-accounting") from None
        return [_granted(each) for each in response.results]


def attempt_key(reservation: Reservation) -> pb.AttemptKey:
    """The ledger's key of an attempt."""
    return pb.AttemptKey(tenant=reservation.tenant, operation_id=reservation.operation_id, attempt=reservation.attempt)


def settlement_to_pb(settlement: Settlement) -> pb.Settlement:
    """A settlement as the ledger takes it."""
    tokens = settlement.tokens
    message = pb.Settlement(
        key=pb.AttemptKey(tenant=settlement.tenant, operation_id=settlement.operation_id, attempt=settlement.attempt),
        outcome=_OUTCOMES[settlement.outcome],
        tokens=record_pb.TokenCounts(
            input_tokens=tokens.input_tokens,
            cache_read_tokens=tokens.cache_read_tokens,
            cache_write_tokens=tokens.cache_write_tokens,
            output_tokens=tokens.output_tokens,
            reasoning_tokens=tokens.reasoning_tokens,
        ),
        token_source=record_pb.TOKEN_SOURCE_ESTIMATED if settlement.estimated else record_pb.TOKEN_SOURCE_REPORTED,
        finish_reason=settlement.finish_reason,
        error_reason=settlement.error_reason,
        fallback=settlement.fallback,
    )
    started_s = int(settlement.start_time)
    message.start_time.seconds = started_s
    message.start_time.nanos = int((settlement.start_time - started_s) * 1e9)
    message.duration.FromNanoseconds(int(settlement.duration_s * 1e9))
    if settlement.first_content_s is not None:
        message.first_content.FromNanoseconds(int(settlement.first_content_s * 1e9))
    return message


def _reservation_to_pb(reservation: Reservation) -> pb.UsageReservation:
    message = pb.UsageReservation(
        key=attempt_key(reservation),
        dimensions=record_pb.UsageDimensions(
            user=reservation.user,
            provider=reservation.provider,
            provider_type=reservation.provider_type,
            model=reservation.model,
            provider_model_id=reservation.provider_model_id,
            key=reservation.key,
            task=reservation.task,
            plan=reservation.plan,
            request_id=reservation.request_id,
            labels=reservation.labels,
            rule=reservation.rule,
            experiment=reservation.experiment,
            arm=reservation.arm,
        ),
        input_tokens_estimate=reservation.input_tokens_estimate,
        output_tokens_limit=reservation.output_tokens_limit,
        price=_price_to_pb(reservation.price) if reservation.price is not None else None,
        server=reservation.server,
    )
    message.lapse_after.FromNanoseconds(int(reservation.lapse_after_s * 1e9))
    return message


def _price_to_pb(price: TokenPrices) -> pb.TokenPrice:
    return pb.TokenPrice(
        input_pico_usd=price.input,
        cache_read_pico_usd=price.cache_read,
        cache_write_pico_usd=price.cache_write,
        output_pico_usd=price.output,
        reasoning_pico_usd=price.reasoning,
    )


def _granted(result: pb.ReserveUsageResult) -> ReserveResult:
    if result.HasField("error"):
        return from_item_status(result.error)
    grant = result.grant
    if not grant.HasField("price"):
        return Granted(None)
    price = grant.price
    return Granted(
        TokenPrices(
            input=PicoUsdPerToken(price.input_pico_usd),
            cache_read=PicoUsdPerToken(price.cache_read_pico_usd),
            cache_write=PicoUsdPerToken(price.cache_write_pico_usd),
            output=PicoUsdPerToken(price.output_pico_usd),
            reasoning=PicoUsdPerToken(price.reasoning_pico_usd),
        )
    )
