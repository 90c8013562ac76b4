"""The use case embed: one attempt after the other until one gives vectors or none is left."""

from __future__ import annotations

import time

from services.router.domain.call import CallResources
from services.router.domain.call_context import CallContext
from services.router.domain.embedding import Embedding, Vectors
from services.router.domain.errors import ProviderError
from services.router.domain.generation import FinishReason
from services.router.domain.new_call import new_call
from services.router.domain.outcome import Outcome
from services.router.domain.planner import Planner
from services.router.domain.ports import ProviderSession


class Embeddings:
    """Turns texts into vectors. One instance serves all calls of a router, from one event loop."""

    def __init__(self, *, planner: Planner, providers: ProviderSession, resources: CallResources) -> None:
        self._planner = planner
        self._providers = providers
        self._resources = resources

    async def embed(self, request: Embedding, context: CallContext) -> tuple[Vectors, Outcome]:
        """One vector for each input. Raises GatehouseError."""
        call = await new_call(request, context, self._planner, self._resources)
        while True:
            attempt, dispatch = await call.open_next()
            sent = time.monotonic()
            try:
                vectors = await self._providers.embed(dispatch)
            except ProviderError as error:
                call.provider_s += time.monotonic() - sent
                await call.after_failure(attempt, error)
                continue
            except BaseException:
                call.cancelled(attempt)
                raise
            call.provider_s += time.monotonic() - sent
            return vectors, call.complete(attempt, FinishReason.STOP, "", vectors.usage)
