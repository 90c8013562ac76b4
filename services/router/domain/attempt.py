"""One attempt at one target: reserved and its key opened first, recorded exactly once however it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass

from libs.core.errors import GatehouseError
from libs.core.money import NanoUsd, TokenCounts, TokenPrices
from libs.core.secret import Secret
from services.router.domain.accounting import AttemptOutcome, Reservation, Settlement
from services.router.domain.admission import Passage
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    ContentEvent,
    ReasoningDelta,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
)
from services.router.domain.ports import AttemptObserver, KeyOpener, KeyOutcomes, Ledger
from services.router.domain.routing.route_plan import Target
from services.router.domain.tokens import RequestSize, usual_output_tokens

# gatehouse.usage.v1.Settlement.finish_reason
_MAX_FINISH_REASON = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptTrace:
    """What the caller is told of an attempt.

    `key_version` is 0 for a target without a key, `error_reason` empty for the attempt that served.
    """

    number: int
    target: Target
    key_version: int
    error_reason: str
    duration_s: float


class OutputMeter:
    """Counts what an answer delivered, in case its provider never says."""

    __slots__ = ("bytes", "deltas")

    def __init__(self) -> None:
        self.deltas = 0
        self.bytes = 0

    def count(self, event: ContentEvent) -> None:
        """Count one content event."""
        self.deltas += 1
        if isinstance(event, TextDelta | ReasoningDelta):
            text = event.text
        elif isinstance(event, ToolArgumentsDelta):
            text = event.arguments_json
        else:
            text = event.name
        self.bytes += len(text) if text.isascii() else len(text.encode())

    def count_whole(self, answer: Answer) -> None:
        """Count an answer that came in one piece."""
        for part in answer.parts:
            self.count(TextDelta(part.arguments_json if isinstance(part, ToolCall) else part.text))

    def tokens(self) -> int:
        """A likely number of tokens."""
        return usual_output_tokens(text_bytes=self.bytes, deltas=self.deltas)


class Attempt:
    """An attempt from its reservation to its ledger event; `passage` is the way it took into its target.

    `open` reserves and opens the key at the same time, in the version `asked_version`, 0 being the one in use; then
    `key_version` is the one that was opened, 0 without a key. After it returned exactly one of `succeeded`, `failed`,
    `interrupted`, `cancelled` is called; none of them waits, so they work in a task that is being cancelled.
    """

    def __init__(
        self,
        *,
        reservation: Reservation,
        target: Target,
        size: RequestSize,
        streaming: bool,
        passage: Passage,
        ledger: Ledger,
        observer: AttemptObserver,
        outcomes: KeyOutcomes,
        fallback: bool,
        asked_version: int,
    ) -> None:
        self.target = target
        self.reservation = reservation
        self.asked_version = asked_version
        self.key_version = 0
        self.fallback_version = 0
        self.price: TokenPrices | None = None
        self.meter = OutputMeter()
        self._size = size
        self._streaming = streaming
        self._passage = passage
        self._ledger = ledger
        self._observer = observer
        self._outcomes = outcomes
        self._fallback = fallback
        self._start_time = time.time()
        self._started = time.monotonic()
        self._sent = self._started
        self._sent_time = 0.0
        self._first_content_s: float | None = None
        self._departed = False

    def departs(self) -> None:
        """The request is about to go out."""
        self._departed = True

    @property
    def reference(self) -> str:
        """The attempt's name towards the provider."""
        return f"{self.reservation.operation_id}/{self.reservation.attempt}"

    async def open(self, keys: KeyOpener, caller_token: Secret) -> Secret | None:
        """Reserve, and open the key if the target has one. Raises GatehouseError; nothing stays reserved then."""
        try:
            material = await self._open(keys, caller_token)
        except BaseException:
            self._passage.withdrawn()
            raise
        self._sent = time.monotonic()
        return material

    async def _open(self, keys: KeyOpener, caller_token: Secret) -> Secret | None:
        provider = self.target.provider
        reserving = self._ledger.reserve(self.reservation)
        opening = None
        if provider.key:
            try:
                opening = keys.open(
                    name=provider.key,
                    origin=provider.origin,
                    caller_token=caller_token,
                    version=self.asked_version,
                )
            except BaseException:
                # Too many wait for keys: what is being reserved is given back by the ledger's client.
                reserving.cancel()
                raise
        try:
            granted = await reserving
        except GatehouseError:
            # The answer was lost, the reservation may stand.
            self._ledger.release(self.reservation)
            if opening is not None:
                opening.cancel()
            raise
        except BaseException:
            if opening is not None:
                opening.cancel()
            raise
        if isinstance(granted, GatehouseError):
            if opening is not None:
                opening.cancel()
            raise granted
        self.price = granted.price
        if opening is None:
            return None
        try:
            opened = await opening
        except BaseException:
            self._ledger.release(self.reservation)
            raise
        if isinstance(opened, GatehouseError):
            self._ledger.release(self.reservation)
            raise opened
        self.key_version = opened.version
        # A fallback has none of its own: a call tries at most two versions of a key.
        self.fallback_version = 0 if self.asked_version else opened.fallback_version
        self._sent_time = time.time()
        return opened.material

    def first_content(self) -> None:
        """The first content of a stream arrived now."""
        now = time.monotonic()
        self._first_content_s = now - self._started
        self._passage.first_content(now - self._sent)

    def succeeded(self, usage: TokenCounts | None, raw_finish_reason: str) -> tuple[TokenCounts, NanoUsd | None]:
        """The provider answered to the end; tokens and cost as they go into the ledger."""
        tokens = usage or self._estimate()
        cost = self._settle(AttemptOutcome.SUCCEEDED, tokens, estimated=usage is None, finish_reason=raw_finish_reason)
        whole_s = None if self._streaming else time.monotonic() - self._sent
        self._passage.succeeded(tokens.total, whole_s=whole_s)
        if self.key_version:
            self._outcomes.succeeded(self.reservation.key, self.key_version, self._sent_time)
        return tokens, cost

    def failed(self, error: ProviderError) -> AttemptTrace:
        """The provider failed before any content."""
        tokens = TokenCounts(input_tokens=self._size.usual_input_tokens) if error.sent else TokenCounts()
        self._settle(AttemptOutcome.FAILED, tokens, estimated=error.sent, error_reason=error.reason)
        if error.reason is Reason.PROVIDER_KEY_REJECTED and self.fallback_version:
            # Not the key's last word: another version of it is tried next.
            self._passage.left(tokens.total)
        else:
            self._passage.failed(error, tokens.total)
        self._report_failure(error)
        return self.trace(error.reason)

    def interrupted(self, error: ProviderError) -> TokenCounts:
        """The provider failed after content was delivered; the estimated tokens."""
        tokens = self._estimate()
        self._settle(AttemptOutcome.INTERRUPTED, tokens, estimated=True, error_reason=error.reason)
        self._passage.failed(error, tokens.total)
        self._report_failure(error)
        return tokens

    def cancelled(self, *, deadline_passed: bool) -> None:
        """The caller went away or its deadline passed."""
        # Before anything went out, such as while media were fetched for it, nothing was used.
        tokens = self._estimate() if self._departed else TokenCounts()
        self._settle(
            AttemptOutcome.CANCELLED,
            tokens,
            estimated=self._departed,
            error_reason="DEADLINE_EXCEEDED" if deadline_passed else "CANCELLED",
        )
        self._passage.left(tokens.total)
        if self.key_version and self._departed:
            # As for the tokens: it may have been sent.
            self._outcomes.used(self.reservation.key, self.key_version, self._sent_time)

    def trace(self, error_reason: Reason | str = "") -> AttemptTrace:
        """What the caller is told of this attempt, as of now."""
        return AttemptTrace(
            number=self.reservation.attempt,
            target=self.target,
            key_version=self.key_version,
            error_reason=str(error_reason),
            duration_s=time.monotonic() - self._started,
        )

    def _report_failure(self, error: ProviderError) -> None:
        """Tell what a failure says about the key.

        None says that the key was accepted: some providers look at the request, or at the rate, before the key.
        """
        if not self.key_version or not error.reached_provider:
            return
        key, version = self.reservation.key, self.key_version
        match error.reason:
            case Reason.PROVIDER_KEY_REJECTED:
                self._outcomes.rejected(key, version, self._sent_time, time.time())
            case Reason.PROVIDER_BILLING:
                self._outcomes.exhausted(key, version, self._sent_time, time.time())
            case _:
                self._outcomes.used(key, version, self._sent_time)

    def _estimate(self) -> TokenCounts:
        return TokenCounts(input_tokens=self._size.usual_input_tokens, output_tokens=self.meter.tokens())

    def _settle(
        self,
        outcome: AttemptOutcome,
        tokens: TokenCounts,
        *,
        estimated: bool,
        finish_reason: str = "",
        error_reason: str = "",
    ) -> NanoUsd | None:
        reservation = self.reservation
        settlement = Settlement(
            tenant=reservation.tenant,
            operation_id=reservation.operation_id,
            attempt=reservation.attempt,
            outcome=outcome,
            tokens=tokens,
            estimated=estimated,
            # The provider's own word: the ledger takes only what can be printed.
            finish_reason="".join(filter(str.isprintable, finish_reason))[:_MAX_FINISH_REASON],
            error_reason=error_reason,
            start_time=self._start_time,
            duration_s=time.monotonic() - self._started,
            first_content_s=self._first_content_s,
            fallback=self._fallback,
        )
        self._ledger.settle(settlement)
        cost = self.price.cost(tokens) if self.price is not None else None
        self._observer.finished(reservation, settlement, cost)
        return cost
