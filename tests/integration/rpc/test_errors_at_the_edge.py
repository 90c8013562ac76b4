"""What leaves a service when something goes wrong in it: our own errors whole, everybody else's without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_service_pb2 as key_pb
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as snapshot_pb
from gatehouse.router.v1 import generation_service_pb2 as pb
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from libs.core.errors import FailedPrecondition, FieldViolation, GatehouseError, InvalidArgument, Unavailable
from libs.rpc.service import Service
from libs.rpc.status import from_rpc_error
from tests.identities import Identities

CANARY = "sk-canary-0123456789abcdefghijklmnop"
FIXED = "an internal error occurred; its request id leads to the log"
REQUEST = key_pb.GetKeyRequest(name="tenants/acme/users/ann/keys/k")
EVENT = pb.StreamGenerateResponse(text_delta="x")

Serve = Callable[..., Awaitable[Any]]


class Hidden(Exception):
    """An exception with a key in its text, its notes and its cause."""

    def __init__(self) -> None:
        super().__init__(f"cannot send {CANARY}")
        self.add_note(CANARY)
        self.__cause__ = ValueError(CANARY)


async def raised(request: object) -> object:
    raise Hidden


async def raised_at_once(request: object) -> AsyncIterator[object]:
    if request is not None:
        raise Hidden
    yield EVENT


async def raised_later(request: object) -> AsyncIterator[object]:
    yield EVENT
    raise Hidden


async def wrong_type(request: object) -> object:
    # gRPC's serialiser fails on it, with the value in the text.
    return f"no message but {CANARY}"


async def wrong_event(request: object) -> AsyncIterator[object]:
    yield EVENT
    yield f"no message but {CANARY}"


async def get_key(served: Any, identities: Identities, **options: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.keys.GetKey(REQUEST, metadata=identities.bearer("member"), **options)
    return caught.value


async def generate(served: Any, identities: Identities) -> tuple[int, grpc.aio.AioRpcError]:
    events = 0
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in served.generation.StreamGenerate(
            pb.StreamGenerateRequest(), metadata=identities.bearer("member")
        ):
            events += 1
    return events, caught.value


def is_fixed_internal(error: grpc.aio.AioRpcError) -> bool:
    status = rpc_status.from_call(error)
    assert status is not None
    assert CANARY not in f"{error!r} {status} {error.trailing_metadata()}"
    return error.code() is grpc.StatusCode.INTERNAL and error.details() == FIXED


@pytest.mark.parametrize("handler", [raised, wrong_type])
async def test_a_crash_in_a_unary_handler_tells_the_caller_nothing(
    served: Any, identities: Identities, handler: Callable[[object], Awaitable[object]]
) -> None:
    served.told.unary = handler
    assert is_fixed_internal(await get_key(served, identities))
    assert "rpc_crashed" in served.log_text
    assert CANARY not in served.log_text


@pytest.mark.parametrize(("handler", "before"), [(raised_at_once, 0), (raised_later, 1), (wrong_event, 1)])
async def test_a_crash_in_a_stream_tells_the_caller_nothing(
    served: Any, identities: Identities, handler: Callable[[object], AsyncIterator[object]], before: int
) -> None:
    served.told.stream = handler
    events, error = await generate(served, identities)
    assert events == before
    assert is_fixed_internal(error)
    assert "rpc_crashed" in served.log_text
    assert CANARY not in served.log_text


async def test_a_crash_in_a_deserialiser_tells_the_caller_nothing(serve: Serve, identities: Identities) -> None:
    def explode(data: bytes) -> object:
        raise Hidden

    async def never(request: object, context: object) -> object:
        raise AssertionError("ran although its request cannot be read")

    def extra(service: Service) -> None:
        handler: Any = grpc.unary_unary_rpc_method_handler(never, explode, lambda message: b"")
        service.add(
            lambda _, server: server.add_registered_method_handlers(
                "gatehouse.usage.v1.QuotaService", {"GetQuota": handler}
            ),
            None,
        )

    served = await serve(extra=extra)
    call = served.public.unary_unary("/gatehouse.usage.v1.QuotaService/GetQuota")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(CANARY.encode(), metadata=identities.bearer("member"))
    assert is_fixed_internal(caught.value)
    assert CANARY not in served.log_text


async def test_the_logged_crash_is_found_by_the_callers_request_id(served: Any, identities: Identities) -> None:
    served.told.unary = raised
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.keys.GetKey(REQUEST, metadata=(*identities.bearer("member"), ("x-request-id", "req-7")))
    status = rpc_status.from_call(caught.value)
    info = error_details_pb2.RequestInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert info.request_id == "req-7"
    assert '"request_id":"req-7"' in served.log_text


@pytest.mark.parametrize(
    "data",
    [
        b"\xff",  # a tag that never ends
        b"\x0a\xff\xff\xff\xff\x0f",  # a length beyond the end
        b"\x0a\x02\xc3\x28",  # not UTF-8
        b"\x0c",  # the end of a group that never began
        b"\x0b" * 10_000,  # groups within groups
    ],
)
async def test_bytes_that_are_no_message_are_an_invalid_argument(
    served: Any, identities: Identities, data: bytes
) -> None:
    for path in ("/gatehouse.keyvault.v1.KeyService/GetKey", "/gatehouse.router.v1.GenerationService/StreamGenerate"):
        make = served.public.unary_unary if path.endswith("GetKey") else served.public.unary_stream
        call = make(path)(data, metadata=identities.bearer("member"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            if path.endswith("GetKey"):
                await call
            else:
                await call.read()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert served.told.calls == 0
    assert "rpc_crashed" not in served.log_text


async def test_a_bad_message_inside_a_request_stream_is_an_invalid_argument(served: Any) -> None:
    async def each(request: object) -> AsyncIterator[object]:
        yield snapshot_pb.WatchSnapshotsResponse()

    served.told.stream = each
    call = served.internal.stream_stream("/gatehouse.providerconfig.v1.SnapshotService/WatchSnapshots")()
    await call.write(b"")
    assert await call.read() == b""
    await call.write(b"\xff")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_our_own_errors_reach_the_caller_whole(served: Any, identities: Identities) -> None:
    async def refuse(request: object) -> object:
        raise Unavailable("VAULT_SEALED", "Vault is sealed; unseal it", metadata={"a": "b"}, retry_delay_s=1.5)

    served.told.unary = refuse
    error = from_rpc_error(await get_key(served, identities), service="key-vault")
    assert (type(error), error.reason, error.message) == (Unavailable, "VAULT_SEALED", "Vault is sealed; unseal it")
    assert (error.metadata, error.retry_delay_s, error.domain) == ({"a": "b"}, 1.5, "test.gatehouse")


def many_violations() -> GatehouseError:
    return InvalidArgument(
        "INVALID_FIELD",
        "x" * 5_000,
        field_violations=tuple(FieldViolation(field=f"f[{n}]", description="y" * 200) for n in range(500)),
    )


def long_metadata() -> GatehouseError:
    return FailedPrecondition("KEY_UNREADABLE", "é" * 3_000, metadata={"text": "z" * 20_000})


@pytest.mark.parametrize(("make", "reason"), [(many_violations, "INVALID_FIELD"), (long_metadata, "KEY_UNREADABLE")])
async def test_an_error_too_large_for_the_trailers_is_cut_not_lost(
    served: Any, identities: Identities, make: Callable[[], GatehouseError], reason: str
) -> None:
    async def refuse(request: object) -> object:
        raise make()

    served.told.unary = refuse
    error = await get_key(served, identities)
    assert error.code().name == make().kind.name
    assert from_rpc_error(error, service="key-vault").reason == reason
    # The library's own check that status and message agree.
    assert rpc_status.from_call(error) is not None


@pytest.mark.parametrize(
    "broken",
    [
        Unavailable("VAULT_SEALED", CANARY, metadata={"key": 7}),  # type: ignore[dict-item]
        Unavailable("VAULT_SEALED", CANARY, retry_delay_s=float("inf")),
        Unavailable("VAULT_SEALED", f"\ud800{CANARY}"),
    ],
)
async def test_an_error_that_cannot_be_encoded_is_an_internal_one(
    served: Any, identities: Identities, broken: GatehouseError
) -> None:
    async def refuse(request: object) -> object:
        raise broken

    served.told.unary = refuse
    assert is_fixed_internal(await get_key(served, identities))
    assert CANARY not in served.log_text


async def test_a_failure_while_collecting_details_is_an_internal_error(served: Any, identities: Identities) -> None:
    def details(error: GatehouseError) -> tuple[()]:
        raise Hidden

    async def refuse(request: object) -> object:
        raise Unavailable("VAULT_SEALED", "Vault is sealed; unseal it")

    served.service.error_details = details
    served.told.unary = refuse
    assert is_fixed_internal(await get_key(served, identities))
    assert CANARY not in served.log_text


async def test_an_abort_of_grpc_itself_passes_unchanged(serve: Serve, identities: Identities) -> None:
    async def abort(request: object, context: Any) -> None:
        await context.abort(grpc.StatusCode.DATA_LOSS, "as it was", (("extra", "kept"),))

    def extra(service: Service) -> None:
        handler = grpc.unary_unary_rpc_method_handler(abort, key_pb.GetKeyRequest.FromString, bytes)
        service.add(
            lambda _, server: server.add_registered_method_handlers(
                "gatehouse.usage.v1.QuotaService", {"GetQuota": handler}
            ),
            None,
        )

    served = await serve(extra=extra)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.public.unary_unary("/gatehouse.usage.v1.QuotaService/GetQuota")(
            REQUEST.SerializeToString(), metadata=identities.bearer("member")
        )
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.DATA_LOSS, "as it was")
    assert ("extra", "kept") in tuple(caught.value.trailing_metadata() or ())
    assert "rpc_crashed" not in served.log_text


async def test_a_cancellation_inside_a_handler_is_no_crash(served: Any, identities: Identities) -> None:
    async def cancelled(request: object) -> object:
        raise asyncio.CancelledError

    served.told.unary = cancelled
    with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
        await served.keys.GetKey(REQUEST, timeout=1, metadata=identities.bearer("member"))
    assert "rpc_crashed" not in served.log_text
