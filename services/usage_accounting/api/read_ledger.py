"""Requests of LedgerService as domain values.

Items of a batch are checked each by itself: a wrong one gets its own error and holds nobody up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import orjson
from gatehouse.usage.v1 import ledger_service_pb2 as pb
from gatehouse.usage.v1 import usage_record_pb2
from google.protobuf.duration_pb2 import Duration

from libs.core.errors import InvalidArgument
from libs.core.money import PicoUsdPerToken, TokenCounts, TokenPrices
from libs.core.resource_names import ExperimentName
from libs.core.validation import FieldChecks
from services.usage_accounting.api.read_names import collected
from services.usage_accounting.api.times import duration_us, timestamp_us
from services.usage_accounting.domain.attempt import MICROSECONDS, AttemptKey, Dimensions, Outcome, TokenSource
from services.usage_accounting.domain.reservation import ReservationRequest
from services.usage_accounting.domain.usage_event import Settlement

MOST_ITEMS = 256
MAX_TOKENS = 1_000_000_000
"""In one bucket of one attempt: far above what any model takes, and sums of costs stay far from 64 bits."""
MAX_PRICE = 1_000_000_000_000
"""Pico-USD per token: a dollar. The bound of the configuration's prices."""

_MAX_REASON = 64
_MAX_NAME = 512
_MAX_MODEL_ID = 256
_MAX_WORD = 128
_MAX_SERVER = 64
_MAX_RULE = 32
_MIN_LAPSE_US = 10 * MICROSECONDS
_MAX_LAPSE_US = 24 * 3600 * MICROSECONDS
_MAX_DURATION_US = 7 * _MAX_LAPSE_US
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_SOURCES = {source.value: source for source in TokenSource}
_NO_LABELS = "{}"

Item = TypeVar("Item")
Read = TypeVar("Read")


def each(items: Sequence[Item], read: Callable[[FieldChecks, Item], Read]) -> list[Read | InvalidArgument]:
    """`items` as domain values, or what is wrong with them. Raises InvalidArgument for an empty or a long batch."""
    _check_size(items, "items")
    results: list[Read | InvalidArgument] = []
    for item in items:
        check = FieldChecks()
        try:
            value = read(check, item)
            check.done()
        except InvalidArgument as error:
            results.append(error)
        else:
            results.append(value)
    return results


def release_keys(request: pb.ReleaseUsageRequest) -> list[AttemptKey]:
    """The attempts to release. Raises InvalidArgument: nobody reserved what has no proper key."""
    _check_size(request.keys, "keys")
    with FieldChecks() as check:
        return [_key(check, key, f"keys[{index}]") for index, key in enumerate(request.keys)]


def reservation(check: FieldChecks, item: pb.UsageReservation) -> ReservationRequest:
    """What to reserve."""
    _tokens_fit(check, "input_tokens_estimate", item.input_tokens_estimate)
    _tokens_fit(check, "output_tokens_limit", item.output_tokens_limit)
    lapse_after_us = duration_us(item.lapse_after)
    check.that(_MIN_LAPSE_US <= lapse_after_us <= _MAX_LAPSE_US, "lapse_after", "must be from 10 seconds to 24 hours")
    check.text("server", item.server, most=_MAX_SERVER)
    return ReservationRequest(
        _key(check, item.key, "key"),
        _dimensions(check, item.dimensions, tenant=item.key.tenant),
        item.input_tokens_estimate,
        item.output_tokens_limit,
        _price(check, item.price) if item.HasField("price") else None,
        lapse_after_us,
        item.server,
    )


def settlement(check: FieldChecks, item: pb.Settlement) -> Settlement:
    """How an attempt ended."""
    outcome = _OUTCOMES.get(item.outcome)
    source = _SOURCES.get(item.token_source)
    check.that(outcome is not None, "outcome", "is required and must be a known value")
    check.that(source is not None, "token_source", "is required and must be a known value")
    check.that(item.HasField("start_time"), "start_time", "is required")
    check.text("finish_reason", item.finish_reason, most=_MAX_REASON)
    check.text("error_reason", item.error_reason, most=_MAX_REASON)
    return Settlement(
        _key(check, item.key, "key"),
        outcome or Outcome.UNKNOWN,
        _tokens(check, item.tokens),
        source or TokenSource.ESTIMATED,
        item.finish_reason,
        item.error_reason,
        timestamp_us(check, "start_time", item.start_time),
        _span(check, "duration", item.duration),
        _span(check, "first_content", item.first_content) if item.HasField("first_content") else None,
        item.fallback,
    )


def _check_size(items: Sequence[object], field: str) -> None:
    with FieldChecks() as check:
        check.count(field, items, least=1, most=MOST_ITEMS)


def _key(check: FieldChecks, key: pb.AttemptKey, field: str) -> AttemptKey:
    check.identifier(f"{field}.tenant", key.tenant)
    check.that(
        _UUID.fullmatch(key.operation_id) is not None,
        f"{field}.operation_id",
        "must be a UUID such as 0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d",
    )
    check.that(key.attempt >= 1, f"{field}.attempt", "must be at least 1")
    return AttemptKey(key.tenant, key.operation_id, key.attempt)


def _dimensions(check: FieldChecks, given: usage_record_pb2.UsageDimensions, *, tenant: str) -> Dimensions:
    dimensions = Dimensions(
        given.user,
        given.provider,
        given.provider_type,
        given.model,
        given.provider_model_id,
        given.key,
        given.task,
        given.plan,
        given.request_id,
        _labels(check, given) if given.labels else _NO_LABELS,
        given.rule,
        given.experiment,
        given.arm,
    )
    check.identifier("dimensions.user", dimensions.user)
    check.text("dimensions.provider", dimensions.provider, least=1, most=_MAX_NAME)
    check.text("dimensions.provider_type", dimensions.provider_type, least=1, most=_MAX_WORD)
    check.text("dimensions.model", dimensions.model, least=1, most=_MAX_MODEL_ID)
    check.text("dimensions.provider_model_id", dimensions.provider_model_id, least=1, most=_MAX_MODEL_ID)
    check.text("dimensions.key", dimensions.key, most=_MAX_NAME)
    check.text("dimensions.task", dimensions.task, most=_MAX_WORD)
    check.text("dimensions.plan", dimensions.plan, most=_MAX_WORD)
    check.text("dimensions.request_id", dimensions.request_id, most=_MAX_WORD)
    check.text("dimensions.rule", dimensions.rule, most=_MAX_RULE)
    if dimensions.experiment:
        _check_arm(check, dimensions, tenant)
    else:
        check.that(not dimensions.arm, "dimensions.arm", "must be empty without an experiment")
    return dimensions


def _check_arm(check: FieldChecks, dimensions: Dimensions, tenant: str) -> None:
    check.identifier("dimensions.arm", dimensions.arm)
    name = collected(check, lambda: ExperimentName.parse(dimensions.experiment, field="dimensions.experiment"))
    if name is not None:
        check.that(name.route.tenant == tenant, "dimensions.experiment", "must be one of the tenant's own")


def _labels(check: FieldChecks, given: usage_record_pb2.UsageDimensions) -> str:
    labels = dict(given.labels)
    check.labels("dimensions.labels", labels)
    return orjson.dumps(labels, option=orjson.OPT_SORT_KEYS).decode()


def _price(check: FieldChecks, price: pb.TokenPrice) -> TokenPrices:
    values = (
        price.input_pico_usd,
        price.cache_read_pico_usd,
        price.cache_write_pico_usd,
        price.output_pico_usd,
        price.reasoning_pico_usd,
    )
    check.that(_fit(values, MAX_PRICE), "price", f"must be from 0 to {MAX_PRICE} for each bucket")
    uncached, cache_read, cache_write, output, reasoning = map(PicoUsdPerToken, values)
    return TokenPrices(
        input=uncached, cache_read=cache_read, cache_write=cache_write, output=output, reasoning=reasoning
    )


def _tokens(check: FieldChecks, tokens: usage_record_pb2.TokenCounts) -> TokenCounts:
    counts = TokenCounts(
        input_tokens=tokens.input_tokens,
        cache_read_tokens=tokens.cache_read_tokens,
        cache_write_tokens=tokens.cache_write_tokens,
        output_tokens=tokens.output_tokens,
        reasoning_tokens=tokens.reasoning_tokens,
    )
    values = (
        counts.input_tokens,
        counts.cache_read_tokens,
        counts.cache_write_tokens,
        counts.output_tokens,
        counts.reasoning_tokens,
    )
    check.that(_fit(values, MAX_TOKENS), "tokens", f"must be from 0 to {MAX_TOKENS} in each bucket")
    return counts


def _tokens_fit(check: FieldChecks, field: str, tokens: int) -> None:
    check.that(0 <= tokens <= MAX_TOKENS, field, f"must be from 0 to {MAX_TOKENS}")


def _fit(values: Iterable[int], most: int) -> bool:
    return all(0 <= value <= most for value in values)


def _span(check: FieldChecks, field: str, span: Duration) -> int:
    span_us = duration_us(span)
    check.that(0 <= span_us <= _MAX_DURATION_US, field, "must be from 0 to 7 days")
    return span_us
