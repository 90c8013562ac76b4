from __future__ import annotations

import gatehouse
import grpc
import pytest
from gatehouse import Client, GatehouseError
from gatehouse.advice import advice_for
from gatehouse.errors import ERROR_CLASSES, FieldViolation, PreconditionViolation, QuotaViolation
from gatehouse.router.v1.error_reason_pb2 import ErrorReason
from gatehouse.router.v1.generation_pb2 import PartialOutcome, TokenUsage
from gatehouse.router.v1.generation_service_pb2 import StreamGenerateResponse
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from tests.unit.client.fake_gatehouse import Failure, FakeGatehouse, failure, make_certificates


def raised_by(client: Client) -> GatehouseError:
    with pytest.raises(GatehouseError) as caught:
        client.keys.get("tenants/acme/keys/x")
    return caught.value


def test_every_detail_of_a_status_is_decoded(fake: FakeGatehouse, client: Client) -> None:
    fake.fails(
        "GetKey",
        failure(
            grpc.StatusCode.INVALID_ARGUMENT,
            "name is wrong",
            "INVALID_FIELD",
            error_details_pb2.BadRequest(
                field_violations=[error_details_pb2.BadRequest.FieldViolation(field="name", description="is wrong")]
            ),
            error_details_pb2.QuotaFailure(
                violations=[error_details_pb2.QuotaFailure.Violation(subject="quotas/q", description="is used up")]
            ),
            error_details_pb2.PreconditionFailure(
                violations=[
                    error_details_pb2.PreconditionFailure.Violation(
                        type="NO_KEY", subject="providers/p", description="has no key"
                    )
                ]
            ),
            error_details_pb2.RetryInfo(retry_delay=Duration(seconds=12, nanos=500_000_000)),
            PartialOutcome(operation_id="op", usage=TokenUsage(output_tokens=7), estimated=True),
        ),
    )
    error = raised_by(client)
    assert type(error) is gatehouse.InvalidArgument
    assert (error.code, error.reason, error.domain) == ("INVALID_ARGUMENT", "INVALID_FIELD", "test.gatehouse")
    assert (error.message, error.metadata, error.request_id) == ("name is wrong", {"name": "x"}, "req-1")
    assert error.field_violations == (FieldViolation(field="name", description="is wrong"),)
    assert error.quota_violations == (QuotaViolation(subject="quotas/q", description="is used up"),)
    assert error.precondition_violations == (
        PreconditionViolation(type="NO_KEY", subject="providers/p", description="has no key"),
    )
    assert error.retry_after == 12.5
    assert error.partial is not None
    assert error.partial.usage.output_tokens == 7


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_code_has_its_exception(fake: FakeGatehouse, client: Client, code: grpc.StatusCode) -> None:
    fake.fails("GetKey", failure(code, "it failed", "SOME_REASON"))
    error = raised_by(client)
    assert error.code == code.name
    assert type(error) is ERROR_CLASSES[code.name]
    assert getattr(gatehouse, type(error).__name__) is type(error)


def test_the_text_says_what_happened_and_what_to_do(fake: FakeGatehouse, client: Client) -> None:
    fake.fails(
        "GetKey",
        failure(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "the daily quota is used up",
            "QUOTA_EXCEEDED",
            error_details_pb2.QuotaFailure(
                violations=[
                    error_details_pb2.QuotaFailure.Violation(subject="tenants/acme/quotas/d", description="200")
                ]
            ),
            error_details_pb2.RetryInfo(retry_delay=Duration(seconds=7_500)),
        ),
    )
    assert str(raised_by(client)).splitlines() == [
        "the daily quota is used up (QUOTA_EXCEEDED)",
        "  tenants/acme/quotas/d: 200",
        "`gatehouse quotas state` shows what is left; an administrator can raise the limit. Try again in 2 h 5 min.",
        "request id: req-1",
    ]


def test_a_violation_that_is_the_whole_message_is_told_once(fake: FakeGatehouse, client: Client) -> None:
    field = error_details_pb2.BadRequest.FieldViolation(field="name", description="is wrong")
    other = error_details_pb2.BadRequest.FieldViolation(field="key", description="is wrong too")
    for fields, told in (([field], ()), ([field, other], ("name: is wrong", "key: is wrong too"))):
        wrong = error_details_pb2.BadRequest(field_violations=fields)
        fake.fails("GetKey", failure(grpc.StatusCode.INVALID_ARGUMENT, "name is wrong", "INVALID_FIELD", wrong))
        assert raised_by(client).untold == told


def test_a_precondition_that_is_the_whole_message_is_told_once(fake: FakeGatehouse, client: Client) -> None:
    text = "version 1 of tenants/acme/keys/x is in use"
    violation = error_details_pb2.PreconditionFailure.Violation(
        type="KEY_VERSION_IN_USE", subject="tenants/acme/keys/x", description=text
    )
    wrong = error_details_pb2.PreconditionFailure(violations=[violation])
    for message, told in ((text, ()), ("no key can be used", (f"tenants/acme/keys/x: {text} (KEY_VERSION_IN_USE)",))):
        fake.fails("GetKey", failure(grpc.StatusCode.FAILED_PRECONDITION, message, "KEY_VERSION_IN_USE", wrong))
        assert raised_by(client).untold == told


def test_a_status_without_details_still_is_an_error(fake: FakeGatehouse, client: Client) -> None:
    fake.fails("GetKey", Failure(grpc.StatusCode.NOT_FOUND, "no such thing"))
    error = raised_by(client)
    assert type(error) is gatehouse.NotFound
    assert (error.message, error.reason, error.request_id) == ("no such thing", "", "")


def test_details_of_an_unknown_type_are_skipped(fake: FakeGatehouse, client: Client) -> None:
    link = error_details_pb2.Help(links=[error_details_pb2.Help.Link(url="https://example.com")])
    fake.fails("GetKey", failure(grpc.StatusCode.ABORTED, "changed", "ETAG_MISMATCH", link))
    assert raised_by(client).reason == "ETAG_MISMATCH"


def test_nothing_listening_asks_whether_gatehouse_runs(fake: FakeGatehouse) -> None:
    with Client(endpoints="localhost:1", ca=fake.ca, token="t") as client:
        error = raised_by(client)
    assert (type(error), error.reason) == (gatehouse.Unavailable, "CONNECTION_FAILED")
    assert error.message == "no connection to key_vault at localhost:1"
    assert "make run" in str(error)


def test_a_server_of_another_ca_is_not_trusted(fake: FakeGatehouse) -> None:
    other_ca, _, _ = make_certificates()
    with Client(endpoints=fake.target, ca=other_ca, token="t") as client:
        error = raised_by(client)
    assert error.reason == "CERTIFICATE_REJECTED"
    assert fake.received == []


def test_a_broken_stream_raises_after_what_came_before(fake: FakeGatehouse, client: Client) -> None:
    def answer(_: object) -> object:
        yield StreamGenerateResponse(text_delta="half")
        raise failure(
            grpc.StatusCode.UNAVAILABLE, "the stream broke", "STREAM_INTERRUPTED", PartialOutcome(operation_id="op")
        )

    fake.answers["StreamGenerate"] = answer
    events = client.stream("hi")
    assert next(events).text == "half"
    with pytest.raises(gatehouse.Unavailable) as caught:
        next(events)
    assert caught.value.partial == PartialOutcome(operation_id="op")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250 ms"), (1.0, "1 s"), (59.0, "59 s"), (60.0, "1 min"), (90.0, "1 min 30 s"), (90_000.0, "1 d 1 h")],
)
def test_waits_are_told_in_readable_units(seconds: float, text: str) -> None:
    assert advice_for("UNAVAILABLE", "NO_ADVICE_OF_ITS_OWN", seconds).endswith(f"Try again in {text}.")


def test_a_cause_that_all_rejected_targets_share_has_advice_of_its_own() -> None:
    general = advice_for("FAILED_PRECONDITION", "NO_USABLE_TARGET", None)
    assert "--compatibility drop" in advice_for(
        "FAILED_PRECONDITION", "NO_USABLE_TARGET", None, ["CAPABILITY_MISSING", "CAPABILITY_MISSING"]
    )
    assert advice_for("FAILED_PRECONDITION", "NO_USABLE_TARGET", None, ["CAPABILITY_MISSING", "NO_KEY"]) == general
    assert advice_for("FAILED_PRECONDITION", "NO_USABLE_TARGET", None, ["COOLING_DOWN"]) == general
    rejected = PreconditionViolation(type="MODEL_DISABLED", subject="m", description="it is disabled")
    error = GatehouseError("none", reason="NO_USABLE_TARGET", precondition_violations=(rejected,))
    assert "--enabled" in error.advice


def test_advice_exists_only_for_causes_of_the_router() -> None:
    from gatehouse import advice

    from services.router.domain.routing.causes import Cause

    assert {each.value for each in Cause} >= set(advice._BY_CAUSE)


def test_advice_exists_only_for_reasons_of_the_protos() -> None:
    from gatehouse import advice
    from gatehouse.keyvault.v1.error_reason_pb2 import ErrorReason as KeyReason
    from gatehouse.providerconfig.v1.error_reason_pb2 import ErrorReason as ConfigReason
    from gatehouse.usage.v1.error_reason_pb2 import ErrorReason as UsageReason

    known = {
        name.removeprefix("ERROR_REASON_")
        for enum in (ErrorReason, KeyReason, ConfigReason, UsageReason)
        for name in enum.keys()  # noqa: SIM118 - not a dict
    }
    own = {advice.CONNECTION_FAILED, advice.CERTIFICATE_REJECTED}
    assert set(advice._BY_REASON) - known - own == set()


def test_every_reason_of_the_keys_own_has_advice() -> None:
    from gatehouse import advice
    from gatehouse.keyvault.v1.error_reason_pb2 import ErrorReason as KeyReason

    own = {name.removeprefix("ERROR_REASON_") for name, number in KeyReason.items() if number >= 100}
    # For these two the code says it all.
    assert own - {"KEY_NOT_FOUND", "KEY_EXISTS"} <= set(advice._BY_REASON)
