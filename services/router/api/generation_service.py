"""gatehouse.router.v1.GenerationService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from gatehouse.router.v1 import generation_pb2
from gatehouse.router.v1 import generation_service_pb2 as pb
from gatehouse.router.v1.generation_service_pb2_grpc import GenerationServiceServicer
from google.protobuf.message import Message

from libs.core.errors import GatehouseError
from libs.core.page_tokens import encode_page_token, page_size
from libs.rpc.context import current
from services.router.api import convert
from services.router.api.embeddings import embedding, vectors_to_pb
from services.router.api.explanations import (
    estimate_to_pb,
    explanation_to_pb,
    list_arguments,
    model_to_pb,
    place_cursor,
    place_in,
)
from services.router.api.outcomes import StreamWriter, answer_to_pb, partial_to_pb
from services.router.domain.embed import Embeddings
from services.router.domain.explain import Explainer
from services.router.domain.generate import Generator
from services.router.domain.generation import Generation
from services.router.domain.outcome import StreamInterrupted

# What is smaller takes a few milliseconds.
_LARGE = 256 * 1024


class GenerationService(GenerationServiceServicer):
    """Converts, calls, converts."""

    def __init__(self, generator: Generator, embeddings: Embeddings, explainer: Explainer) -> None:
        self._generator = generator
        self._embeddings = embeddings
        self._explainer = explainer

    async def Generate(self, request: pb.GenerateRequest, context: object) -> pb.GenerateResponse:
        """See the proto."""
        generation = await _converted(request.generation)
        answer, outcome = await self._generator.generate(generation, convert.call_context(current()))
        return answer_to_pb(answer, outcome, hide_reasoning=request.generation.reasoning.hide)

    async def StreamGenerate(
        self, request: pb.StreamGenerateRequest, context: object
    ) -> AsyncIterator[pb.StreamGenerateResponse]:
        """See the proto."""
        generation = await _converted(request.generation)
        writer = StreamWriter(hide_reasoning=request.generation.reasoning.hide)
        async with aclosing(self._generator.stream(generation, convert.call_context(current()))) as events:
            async for event in events:
                if (message := writer.event(event)) is not None:
                    yield message

    async def Embed(self, request: pb.EmbedRequest, context: object) -> pb.EmbedResponse:
        """See the proto."""
        vectors, outcome = await self._embeddings.embed(embedding(request.embedding), convert.call_context(current()))
        return vectors_to_pb(vectors, outcome)

    async def ExplainRoute(self, request: pb.ExplainRouteRequest, context: object) -> pb.ExplainRouteResponse:
        """See the proto."""
        generation = await _converted(request.generation, messages_required=False)
        return explanation_to_pb(await self._explainer.explain(generation, convert.call_context(current())))

    async def EstimateCost(self, request: pb.EstimateCostRequest, context: object) -> pb.EstimateCostResponse:
        """See the proto."""
        generation = await _converted(request.generation)
        estimates, revision = await self._explainer.estimate(generation, convert.call_context(current()))
        return pb.EstimateCostResponse(estimates=map(estimate_to_pb, estimates), revision=revision)

    async def ListModels(self, request: pb.ListModelsRequest, context: object) -> pb.ListModelsResponse:
        """See the proto."""
        caller = convert.call_context(current())
        arguments = list_arguments(request, caller)
        page = await self._explainer.models(
            caller,
            usable_only=request.usable_only,
            after=place_in(request.page_token, arguments),
            at_most=page_size(request.page_size),
        )
        more = encode_page_token(place_cursor(page.next_place), arguments) if page.next_place is not None else ""
        return pb.ListModelsResponse(models=map(model_to_pb, page.models), next_page_token=more, warnings=page.warnings)


async def _converted(message: generation_pb2.Generation, *, messages_required: bool = True) -> Generation:
    """As `convert.generation`. While a large one is read, the other calls go on."""
    if message.ByteSize() <= _LARGE:
        return convert.generation(message, messages_required=messages_required)
    return await asyncio.to_thread(convert.generation, message, messages_required=messages_required)


def error_details(error: GatehouseError) -> Sequence[Message]:
    """The typed details that only this service's errors have."""
    return (partial_to_pb(error),) if isinstance(error, StreamInterrupted) else ()
