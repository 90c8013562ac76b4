"""gatehouse.router.v1.GenerationService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from gatehouse.router.v1 import generation_service_pb2 as pb
from gatehouse.router.v1.generation_service_pb2_grpc import GenerationServiceServicer
from google.protobuf.message import Message

from libs.core.errors import GatehouseError
from libs.rpc.context import current
from services.router.api import convert
from services.router.api.outcomes import answer_to_pb, event_to_pb, partial_to_pb, plan_to_pb
from services.router.domain.call import StreamInterrupted
from services.router.domain.generate import Generator


class GenerationService(GenerationServiceServicer):
    """Converts, calls, converts."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    async def Generate(self, request: pb.GenerateRequest, context: object) -> pb.GenerateResponse:
        """See the proto."""
        generation = convert.generation(request.generation)
        answer, outcome = await self._generator.generate(generation, convert.call_context(current()))
        return answer_to_pb(answer, outcome)

    async def StreamGenerate(
        self, request: pb.StreamGenerateRequest, context: object
    ) -> AsyncIterator[pb.StreamGenerateResponse]:
        """See the proto."""
        generation = convert.generation(request.generation)
        async with aclosing(self._generator.stream(generation, convert.call_context(current()))) as events:
            async for event in events:
                yield event_to_pb(event)

    async def ExplainRoute(self, request: pb.ExplainRouteRequest, context: object) -> pb.ExplainRouteResponse:
        """See the proto."""
        generation = convert.generation(request.generation, messages_required=False)
        return plan_to_pb(await self._generator.explain(generation, convert.call_context(current())))


def error_details(error: GatehouseError) -> Sequence[Message]:
    """The typed details that only this service's errors have."""
    return (partial_to_pb(error),) if isinstance(error, StreamInterrupted) else ()
