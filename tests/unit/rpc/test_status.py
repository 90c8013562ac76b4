"""Errors cross the wire whole, in both directions, and foreign ones lose their text."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from libs.core.errors import (
    ERROR_CLASSES,
    Cancelled,
    ErrorKind,
    FieldViolation,
    GatehouseError,
    Internal,
    PreconditionViolation,
    QuotaViolation,
    Unavailable,
)
from libs.rpc.status import (
    DETAILS_KEY,
    GRPC_CODES,
    MAX_MESSAGE_BYTES,
    MAX_TRAILER_BYTES,
    from_item_status,
    from_rpc_error,
    to_item_status,
    to_status,
    to_trailer,
)

DOMAIN = "test.gatehouse"
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
DELAYS = st.one_of(st.none(), st.integers(0, 10**15).map(lambda nanoseconds: nanoseconds / 1e9))


def errors(kinds: st.SearchStrategy[ErrorKind]) -> st.SearchStrategy[GatehouseError]:
    return st.builds(
        lambda kind, *args, **more: ERROR_CLASSES[kind](*args, **more),
        kinds,
        TEXT,
        TEXT,
        metadata=st.dictionaries(TEXT, TEXT, max_size=3),
        domain=st.one_of(st.none(), st.just("other.gatehouse")),
        retry_delay_s=DELAYS,
        field_violations=st.lists(st.builds(FieldViolation, field=TEXT, description=TEXT), max_size=3).map(tuple),
        quota_violations=st.lists(st.builds(QuotaViolation, subject=TEXT, description=TEXT), max_size=3).map(tuple),
        precondition_violations=st.lists(
            st.builds(PreconditionViolation, type=TEXT, subject=TEXT, description=TEXT), max_size=3
        ).map(tuple),
    )


def fields(error: GatehouseError) -> dict[str, Any]:
    return {
        **vars(error),
        "type": type(error),
        "domain": error.domain or DOMAIN,
        "metadata": dict(error.metadata),
        "retry_delay_s": None if error.retry_delay_s is None else round(error.retry_delay_s, 9),
    }


def rpc_error(
    status: status_pb2.Status | bytes | None, code: grpc.StatusCode = grpc.StatusCode.UNKNOWN
) -> grpc.aio.AioRpcError:
    trailers = grpc.aio.Metadata()
    if status is not None:
        trailers.add(DETAILS_KEY, status if isinstance(status, bytes) else status.SerializeToString())
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, "text of the transport")


def test_every_kind_has_its_grpc_code() -> None:
    assert {kind.name: code.name for kind, code in GRPC_CODES.items()} == {kind.name: kind.name for kind in ErrorKind}


@given(errors(st.sampled_from(ErrorKind)))
def test_an_item_status_reads_back_as_the_same_error(error: GatehouseError) -> None:
    status = status_pb2.Status.FromString(to_item_status(error, domain=DOMAIN).SerializeToString())
    assert status.code == code_pb2.Code.Value(error.kind.name)
    assert fields(from_item_status(status)) == fields(error)


@given(
    errors(st.sampled_from(sorted(set(ErrorKind) - {ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED}, key=str)))
)
def test_another_services_error_reads_back_as_the_same_error(error: GatehouseError) -> None:
    read = from_rpc_error(rpc_error(to_status(error, domain=DOMAIN, request_id="r")), service="key-vault")
    assert fields(read) == fields(error)


@pytest.mark.parametrize("kind", [ErrorKind.UNAUTHENTICATED, ErrorKind.PERMISSION_DENIED])
def test_another_services_refusal_of_ourselves_says_nothing_about_the_caller(kind: ErrorKind) -> None:
    refusal = ERROR_CLASSES[kind](kind.name, "you may not do this")
    error = from_rpc_error(rpc_error(to_status(refusal, domain=DOMAIN), GRPC_CODES[kind]), service="key-vault")
    assert (type(error), error.reason) == (Unavailable, "SERVICE_UNREACHABLE")
    assert error.metadata == {"service": "key-vault"}


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.CANCELLED])
@pytest.mark.parametrize("trailer", [None, b"\xff", b"", status_pb2.Status(code=99)])
def test_a_failure_without_our_details_is_the_transports(
    code: grpc.StatusCode, trailer: status_pb2.Status | bytes | None
) -> None:
    error = from_rpc_error(rpc_error(trailer, code), service="key-vault")
    assert isinstance(error, Unavailable | Internal)
    assert "text of the transport" not in error.message
    if trailer is None or trailer == b"\xff":
        assert error.reason == "SERVICE_UNREACHABLE"


def test_a_cancelled_call_is_cancelled() -> None:
    error = from_rpc_error(rpc_error(None, grpc.StatusCode.CANCELLED), service="key-vault")
    assert (type(error), error.reason) == (Cancelled, "CANCELLED")


@pytest.mark.parametrize("code", [0, 2, 11, 12, 15, 99, -1])
def test_a_status_of_a_kind_we_do_not_know_is_internal_without_text(code: int) -> None:
    status = status_pb2.Status(code=code, message="foreign text")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="R"))
    error = from_item_status(status)
    assert type(error) is Internal
    assert "foreign" not in error.message


def test_a_status_without_a_reason_is_internal_without_text() -> None:
    error = from_item_status(status_pb2.Status(code=code_pb2.UNAVAILABLE, message="foreign text"))
    assert type(error) is Internal
    assert "foreign" not in error.message


def test_a_detail_that_cannot_be_read_is_left_out() -> None:
    status = to_status(Unavailable("R", "text", retry_delay_s=1.0), domain=DOMAIN)
    status.details[1].value = b"\xff"
    error = from_item_status(status)
    assert (error.reason, error.retry_delay_s) == ("R", None)


def test_the_services_own_domain_stands_in_for_none() -> None:
    assert from_item_status(to_status(Unavailable("R", "m"), domain=DOMAIN)).domain == DOMAIN
    assert from_item_status(to_status(Unavailable("R", "m", domain="x"), domain=DOMAIN)).domain == "x"


@given(errors(st.sampled_from(ErrorKind)), st.integers(1, 300), st.integers(1, 400))
def test_a_trailer_fits_whatever_the_error_and_keeps_kind_and_reason(
    error: GatehouseError, times: int, length: int
) -> None:
    error.field_violations *= times
    error.quota_violations *= times
    error.message *= length
    error.metadata = {name: value * length for name, value in error.metadata.items()}
    status = to_trailer(error, domain=DOMAIN, request_id="r")
    assert status.ByteSize() <= MAX_TRAILER_BYTES
    assert len(status.message.encode()) <= MAX_MESSAGE_BYTES
    read = from_item_status(status)
    assert (type(read), read.reason) == (type(error), error.reason)


def test_a_trailer_that_fits_is_the_whole_status() -> None:
    error = Unavailable("R", "text", metadata={"a": "b"}, retry_delay_s=1.0)
    extra = (error_details_pb2.Help(),)
    assert to_trailer(error, domain=DOMAIN, extra=extra) == to_status(error, domain=DOMAIN, extra=extra)


def test_a_trailer_drops_violations_from_the_end_first() -> None:
    error = Unavailable(
        "R",
        "text",
        metadata={"a": "b"},
        field_violations=tuple(FieldViolation(field=f"f{n}", description="d" * 100) for n in range(100)),
    )
    read = from_item_status(to_trailer(error, domain=DOMAIN))
    assert read.metadata == {"a": "b"}
    assert 0 < len(read.field_violations) < 100
    assert read.field_violations == error.field_violations[: len(read.field_violations)]
