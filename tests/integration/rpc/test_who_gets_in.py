"""Who reaches a servicer: ports, certificates, tokens, and methods nobody gave a rule."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from gatehouse.keyvault.v1 import key_access_service_pb2 as access_pb
from gatehouse.keyvault.v1 import key_access_service_pb2_grpc, key_service_pb2_grpc
from gatehouse.keyvault.v1 import key_service_pb2 as key_pb
from gatehouse.router.v1 import generation_service_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from libs.rpc.context import RequestContext, current
from libs.rpc.service import Service
from tests.identities import Identities

REQUEST = key_pb.GetKeyRequest(name="tenants/acme/users/ann/keys/k")
GET_KEY = "/gatehouse.keyvault.v1.KeyService/GetKey"
MALFORMED = b"\xff"

Serve = Callable[..., Awaitable[Any]]


async def code_of(call: Awaitable[object]) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_a_bearer_of_a_good_token_gets_in_without_a_certificate(served: Any, identities: Identities) -> None:
    assert await code_of(served.keys.GetKey(REQUEST, metadata=identities.bearer("member"))) is grpc.StatusCode.OK
    assert served.told.calls == 1


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", ""),),
        (("authorization", "Bearer "),),
        (("authorization", "Basic YTpi"),),
        (("authorization", "Bearer not.a.token"),),
    ],
)
async def test_without_a_good_token_no_method_runs_and_nothing_is_decoded(served: Any, metadata: Any) -> None:
    for make, path in (
        (served.public.unary_unary, GET_KEY),
        (served.public.unary_stream, "/gatehouse.router.v1.GenerationService/StreamGenerate"),
    ):
        # The bytes are no message: were they decoded first, the answer would be INVALID_ARGUMENT.
        call = make(path)(MALFORMED, metadata=metadata)
        answer = call if make == served.public.unary_unary else call.read()
        assert await code_of(answer) is grpc.StatusCode.UNAUTHENTICATED
    assert served.told.calls == 0


async def test_a_stranger_to_the_issuer_is_not_believed(served: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    stranger = Identities(tmp_path_factory.mktemp("stranger") / "state", ())
    code = await code_of(served.keys.GetKey(REQUEST, metadata=stranger.bearer("super_admin")))
    assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_another_tenants_resource_is_denied_before_the_servicer_runs(served: Any, identities: Identities) -> None:
    code = await code_of(served.keys.GetKey(REQUEST, metadata=identities.bearer("tenant_admin", tenant="rival")))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert served.told.calls == 0


def unlisted(service: Service, ran: list[str]) -> None:
    async def unary(request: object, context: object) -> key_pb.GetKeyResponse:
        ran.append("unary")
        return key_pb.GetKeyResponse()

    async def stream(request: object, context: object) -> AsyncIterator[key_pb.GetKeyResponse]:
        ran.append("stream")
        yield key_pb.GetKeyResponse()

    codec = (key_pb.GetKeyRequest.FromString, key_pb.GetKeyResponse.SerializeToString)
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary, *codec),
        "Stream": grpc.unary_stream_rpc_method_handler(stream, *codec),
    }
    service.add(
        lambda _, server: server.add_registered_method_handlers("gatehouse.test.v1.Unlisted", handlers),
        None,
    )


async def test_a_method_without_a_rule_is_denied_to_everybody(serve: Serve, identities: Identities) -> None:
    ran: list[str] = []
    served = await serve(extra=lambda service: unlisted(service, ran))
    data = REQUEST.SerializeToString()
    for channel, metadata in (
        (served.public, identities.bearer("super_admin", tenant=None)),
        (served.public, identities.bearer("tenant_admin")),
        (served.internal, ()),
    ):
        unary = channel.unary_unary("/gatehouse.test.v1.Unlisted/Unary")(data, metadata=metadata)
        assert await code_of(unary) is grpc.StatusCode.PERMISSION_DENIED
        stream = channel.unary_stream("/gatehouse.test.v1.Unlisted/Stream")(data, metadata=metadata)
        assert await code_of(stream.read()) is grpc.StatusCode.PERMISSION_DENIED
    assert ran == []


async def test_a_method_nobody_registered_is_unimplemented(served: Any, identities: Identities) -> None:
    call = served.public.unary_unary("/gatehouse.keyvault.v1.KeyService/ReadKey")
    assert await code_of(call(b"", metadata=identities.bearer("super_admin"))) is grpc.StatusCode.UNIMPLEMENTED


async def test_only_the_router_by_its_certificate_reaches_the_keys(served: Any, identities: Identities) -> None:
    async def answer(request: object) -> object:
        return access_pb.AccessKeysResponse()

    served.told.unary = answer
    path = served.settings.internal_address
    async with grpc.aio.secure_channel(path, identities.peer("usage-accounting")) as other:
        for channel, metadata, expected in (
            (served.internal, (), grpc.StatusCode.OK),
            (other, (), grpc.StatusCode.PERMISSION_DENIED),
            (served.public, identities.bearer("super_admin"), grpc.StatusCode.PERMISSION_DENIED),
            (served.public, (), grpc.StatusCode.UNAUTHENTICATED),
            # A token beside the certificate is who the caller wants to be.
            (served.internal, identities.bearer("super_admin"), grpc.StatusCode.PERMISSION_DENIED),
        ):
            stub = key_access_service_pb2_grpc.KeyAccessServiceStub(channel)
            assert await code_of(stub.AccessKeys(access_pb.AccessKeysRequest(), metadata=metadata)) is expected


async def test_the_internal_port_refuses_clients_without_a_certificate(served: Any, identities: Identities) -> None:
    async with grpc.aio.secure_channel(served.settings.internal_address, identities.anonymous()) as channel:
        keys = key_service_pb2_grpc.KeyServiceStub(channel)
        code = await code_of(keys.GetKey(REQUEST, timeout=5, metadata=identities.bearer("super_admin")))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert served.told.calls == 0


async def test_the_internal_port_refuses_certificates_of_another_authority(
    served: Any, identities: Identities, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Identities(tmp_path_factory.mktemp("stranger") / "state", ("router",))
    credentials = grpc.ssl_channel_credentials(
        identities.layout.ca_certificate.read_bytes(),
        stranger.layout.certificate_key("router").read_bytes(),
        stranger.layout.certificate("router").read_bytes(),
    )
    async with grpc.aio.secure_channel(served.settings.internal_address, credentials) as channel:
        stub = key_access_service_pb2_grpc.KeyAccessServiceStub(channel)
        code = await code_of(stub.AccessKeys(access_pb.AccessKeysRequest(), timeout=5))
    assert code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("port", ["public_address", "internal_address"])
async def test_neither_port_speaks_without_tls(served: Any, identities: Identities, port: str) -> None:
    async with grpc.aio.insecure_channel(getattr(served.settings, port)) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert await code_of(health.Check(health_pb2.HealthCheckRequest(), timeout=5)) is grpc.StatusCode.UNAVAILABLE


async def test_a_client_that_trusts_another_authority_does_not_talk(
    served: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Identities(tmp_path_factory.mktemp("stranger") / "state", ())
    async with grpc.aio.secure_channel(served.settings.public_address, stranger.anonymous()) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert await code_of(health.Check(health_pb2.HealthCheckRequest(), timeout=5)) is grpc.StatusCode.UNAVAILABLE


async def test_the_servicer_sees_who_calls_and_never_the_token(served: Any, identities: Identities) -> None:
    seen: list[RequestContext] = []

    async def note(request: object) -> object:
        seen.append(current())
        return key_pb.GetKeyResponse()

    served.told.unary = note
    token = identities.token("member")
    metadata = (("authorization", f"Bearer {token}"), ("x-request-id", "req-1"), ("x-other", "stays"))
    await served.keys.GetKey(REQUEST, timeout=5, metadata=metadata)
    (context,) = seen
    assert context.method == GET_KEY
    assert context.request_id == "req-1"
    assert (context.caller.tenant, context.caller.user) == ("acme", "ann")
    assert context.metadata["x-other"] == "stays"
    assert "authorization" not in context.metadata
    assert token not in repr(context)
    assert 0 < context.remaining_s() <= 5
    assert token not in served.log_text


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, "req;drop"])
async def test_a_malformed_request_id_is_replaced(served: Any, identities: Identities, sent: str) -> None:
    seen: list[str] = []

    async def note(request: object) -> object:
        seen.append(current().request_id)
        return key_pb.GetKeyResponse()

    served.told.unary = note
    await served.keys.GetKey(REQUEST, metadata=(*identities.bearer("member"), ("x-request-id", sent)))
    assert len(seen[0]) == 32
    assert seen[0] != sent


async def test_a_stream_keeps_its_callers_context_to_the_end(served: Any, identities: Identities) -> None:
    seen: list[str | None] = []

    async def note(request: object) -> AsyncIterator[object]:
        for _ in range(2):
            seen.append(current().caller.user)
            yield pb.StreamGenerateResponse()
        seen.append(current().caller.user)

    served.told.stream = note
    async for _ in served.generation.StreamGenerate(
        pb.StreamGenerateRequest(), metadata=identities.bearer("member", user="bob")
    ):
        pass
    assert seen == ["bob"] * 3


async def test_reflection_and_health_answer_without_a_token(served: Any) -> None:
    health = health_pb2_grpc.HealthStub(served.public)
    assert await code_of(health.Check(health_pb2.HealthCheckRequest())) is grpc.StatusCode.OK
    reflect = reflection_pb2_grpc.ServerReflectionStub(served.public)
    call = reflect.ServerReflectionInfo(iter((reflection_pb2.ServerReflectionRequest(list_services=""),)))
    answer = await call.read()
    assert {each.name for each in answer.list_services_response.service} == {
        "gatehouse.keyvault.v1.KeyService",
        "gatehouse.keyvault.v1.KeyAccessService",
        "gatehouse.router.v1.GenerationService",
        "gatehouse.providerconfig.v1.SnapshotService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    call.cancel()


async def test_two_servers_cannot_share_a_port(serve: Serve) -> None:
    first = await serve()
    for port in ("public_address", "internal_address"):
        with pytest.raises(OSError, match="is another process using the port"):
            await serve(**{port: getattr(first.settings, port)})
