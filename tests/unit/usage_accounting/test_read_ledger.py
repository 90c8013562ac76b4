from __future__ import annotations

from collections.abc import Callable

import pytest
from gatehouse.usage.v1 import ledger_service_pb2 as pb
from gatehouse.usage.v1 import usage_record_pb2 as records

from libs.core.errors import InvalidArgument
from libs.core.validation import FieldChecks
from services.usage_accounting.api import read_ledger
from services.usage_accounting.domain.attempt import AttemptKey, Outcome, TokenSource

EXPERIMENT = "tenants/acme/routes/chat/experiments/models"
OPERATION = "0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d"


def reservation() -> pb.UsageReservation:
    item = pb.UsageReservation(
        key=pb.AttemptKey(tenant="acme", operation_id=OPERATION, attempt=1),
        dimensions=records.UsageDimensions(
            user="alice",
            provider="tenants/acme/providers/openai",
            provider_type="openai",
            model="gpt-4o-mini",
            provider_model_id="gpt-4o-mini",
        ),
        input_tokens_estimate=10,
        output_tokens_limit=20,
    )
    item.lapse_after.seconds = 60
    return item


def in_arm(item: pb.UsageReservation, experiment: str, arm: str) -> None:
    item.dimensions.experiment = experiment
    item.dimensions.arm = arm


def settlement() -> pb.Settlement:
    item = pb.Settlement(
        key=pb.AttemptKey(tenant="acme", operation_id=OPERATION, attempt=1),
        outcome=records.ATTEMPT_OUTCOME_SUCCEEDED,
        token_source=records.TOKEN_SOURCE_REPORTED,
    )
    item.start_time.seconds = 1_800_000_000
    return item


def wrong_fields(result: object) -> list[str]:
    assert isinstance(result, InvalidArgument), result
    return [violation.field for violation in result.field_violations]


def test_a_reservation_is_read_whole() -> None:
    item = reservation()
    item.price.input_pico_usd = 5
    item.dimensions.labels.update({"b": "2", "a": "1"})
    (read,) = read_ledger.each([item], read_ledger.reservation)
    assert not isinstance(read, InvalidArgument)
    assert read.key == AttemptKey("acme", OPERATION, 1)
    assert read.dimensions.labels == '{"a":"1","b":"2"}'
    assert (read.input_tokens_estimate, read.output_tokens_limit, read.lapse_after_us) == (10, 20, 60_000_000)
    assert read.price is not None
    assert (read.price.input, read.price.output) == (5, 0)


def test_the_rule_the_experiment_and_the_arm_of_a_reservation_are_read() -> None:
    item = reservation()
    (without,) = read_ledger.each([item], read_ledger.reservation)
    assert not isinstance(without, InvalidArgument)
    assert without.dimensions[-3:] == ("", "", "")
    item.dimensions.rule = "r" * 32
    item.dimensions.experiment = EXPERIMENT
    item.dimensions.arm = "a" * 63
    (read,) = read_ledger.each([item], read_ledger.reservation)
    assert not isinstance(read, InvalidArgument)
    dimensions = read.dimensions
    assert (dimensions.rule, dimensions.experiment, dimensions.arm) == ("r" * 32, EXPERIMENT, "a" * 63)


def test_a_reservation_without_price_leaves_it_to_the_catalogue() -> None:
    (read,) = read_ledger.each([reservation()], read_ledger.reservation)
    assert not isinstance(read, InvalidArgument)
    assert read.price is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda item: item.ClearField("key"), "key.tenant"),
        (lambda item: setattr(item.key, "tenant", "Acme!"), "key.tenant"),
        (lambda item: setattr(item.key, "operation_id", "1"), "key.operation_id"),
        (lambda item: setattr(item.key, "operation_id", OPERATION.upper()), "key.operation_id"),
        (lambda item: setattr(item.key, "attempt", 0), "key.attempt"),
        (lambda item: setattr(item.key, "attempt", -1), "key.attempt"),
        (lambda item: item.ClearField("dimensions"), "dimensions.user"),
        (lambda item: setattr(item.dimensions, "provider", "x" * 513), "dimensions.provider"),
        (lambda item: setattr(item.dimensions, "task", "nul\0"), "dimensions.task"),
        (lambda item: item.dimensions.labels.update({"Bad Key": "1"}), "dimensions.labels['Bad Key']"),
        (lambda item: setattr(item.dimensions, "rule", "x" * 33), "dimensions.rule"),
        (lambda item: setattr(item.dimensions, "rule", "nul\0"), "dimensions.rule"),
        (lambda item: setattr(item.dimensions, "arm", "a"), "dimensions.arm"),
        (lambda item: setattr(item.dimensions, "experiment", EXPERIMENT), "dimensions.arm"),
        (lambda item: in_arm(item, EXPERIMENT, "x" * 64), "dimensions.arm"),
        (lambda item: in_arm(item, EXPERIMENT, "Not An Id"), "dimensions.arm"),
        (lambda item: in_arm(item, "tenants/acme/routes/chat", "a"), "dimensions.experiment"),
        (lambda item: in_arm(item, EXPERIMENT + "x" * 512, "a"), "dimensions.experiment"),
        (lambda item: in_arm(item, EXPERIMENT.replace("acme", "other"), "a"), "dimensions.experiment"),
        (lambda item: setattr(item, "input_tokens_estimate", -1), "input_tokens_estimate"),
        (lambda item: setattr(item, "output_tokens_limit", 2**62), "output_tokens_limit"),
        (lambda item: setattr(item.price, "output_pico_usd", -1), "price"),
        (lambda item: setattr(item.price, "input_pico_usd", 2**62), "price"),
        (lambda item: item.ClearField("lapse_after"), "lapse_after"),
        (lambda item: setattr(item.lapse_after, "seconds", 9), "lapse_after"),
        (lambda item: setattr(item.lapse_after, "seconds", 24 * 3600 + 1), "lapse_after"),
    ],
)
def test_a_wrong_field_of_a_reservation_is_named(change: Callable[[pb.UsageReservation], None], field: str) -> None:
    item = reservation()
    change(item)
    (read,) = read_ledger.each([item], read_ledger.reservation)
    assert field in wrong_fields(read)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda item: setattr(item, "outcome", 0), "outcome"),
        (lambda item: setattr(item, "outcome", 99), "outcome"),
        (lambda item: setattr(item, "token_source", 0), "token_source"),
        (lambda item: setattr(item.tokens, "input_tokens", -1), "tokens"),
        (lambda item: setattr(item.tokens, "reasoning_tokens", 2**62), "tokens"),
        (lambda item: setattr(item, "finish_reason", "x" * 65), "finish_reason"),
        (lambda item: setattr(item, "error_reason", "x" * 65), "error_reason"),
        (lambda item: item.ClearField("start_time"), "start_time"),
        (lambda item: setattr(item.start_time, "seconds", -1), "start_time"),
        (lambda item: setattr(item.duration, "seconds", -1), "duration"),
        (lambda item: setattr(item.first_content, "seconds", 10**9), "first_content"),
    ],
)
def test_a_wrong_field_of_a_settlement_is_named(change: Callable[[pb.Settlement], None], field: str) -> None:
    item = settlement()
    change(item)
    (read,) = read_ledger.each([item], read_ledger.settlement)
    assert wrong_fields(read) == [field]


def test_a_settlement_is_read_whole() -> None:
    item = settlement()
    item.tokens.output_tokens = 7
    item.duration.nanos = 1_500_000
    (read,) = read_ledger.each([item], read_ledger.settlement)
    assert not isinstance(read, InvalidArgument)
    assert (read.outcome, read.token_source) == (Outcome.SUCCEEDED, TokenSource.REPORTED)
    assert (read.tokens.total, read.duration_us, read.first_content_us) == (7, 1500, None)
    assert read.start_us == 1_800_000_000_000_000


def test_a_wrong_item_leaves_the_others_alone() -> None:
    wrong = reservation()
    wrong.key.attempt = 0
    read = read_ledger.each([reservation(), wrong, reservation()], read_ledger.reservation)
    assert [isinstance(each, InvalidArgument) for each in read] == [False, True, False]


@pytest.mark.parametrize("size", [0, 257])
def test_a_batch_has_1_to_256_items(size: int) -> None:
    with pytest.raises(InvalidArgument, match="items"):
        read_ledger.each([reservation()] * size, read_ledger.reservation)


def test_a_wrong_key_is_no_key_to_release() -> None:
    request = pb.ReleaseUsageRequest(keys=[reservation().key, pb.AttemptKey(tenant="acme", attempt=1)])
    with pytest.raises(InvalidArgument) as raised:
        read_ledger.release_keys(request)
    assert wrong_fields(raised.value) == ["keys[1].operation_id"]


def test_the_server_of_a_compatible_provider_is_read_and_bounded() -> None:
    item = reservation()
    item.server = "groq"
    with FieldChecks() as check:
        assert read_ledger.reservation(check, item).server == "groq"
    item.server = "x" * 65
    with pytest.raises(InvalidArgument), FieldChecks() as bounded:
        read_ledger.reservation(bounded, item)
