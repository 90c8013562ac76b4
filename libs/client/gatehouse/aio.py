"""The async client: as `gatehouse.client`, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from gatehouse.aio_resources import (
    AsyncAudit,
    AsyncConfigAudit,
    AsyncKeys,
    AsyncModels,
    AsyncPolicy,
    AsyncPreferences,
    AsyncProfiles,
    AsyncProviders,
    AsyncQuotas,
    AsyncRoutes,
    AsyncUsage,
)
from gatehouse.aio_sending import AsyncSender, AsyncTokenSource
from gatehouse.answers import Answer, Embeddings, Event
from gatehouse.connection import DEFAULT_TIMEOUT_S, Connection
from gatehouse.operations import embedding, generation, health
from gatehouse.operations.embedding import EmbeddingOptions
from gatehouse.operations.generation import GenerationOptions
from gatehouse.profile import load_profile
from gatehouse.router.v1.generation_service_pb2 import EstimateCostResponse, ExplainRouteResponse
from gatehouse.router.v1.provider_health_service_pb2 import ListProviderHealthResponse
from gatehouse.tokens import DEFAULT_ROLES, DEFAULT_TENANT, DEFAULT_USER, default_token


class AsyncClient:
    """As `gatehouse.Client`, for one asyncio event loop; `token` may also be an async callable."""

    def __init__(
        self,
        *,
        endpoints: str | Mapping[str, str],
        ca: str | Path | bytes | None = None,
        token: AsyncTokenSource = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._sender = AsyncSender(Connection.to(endpoints, ca, timeout), token)
        self.keys = AsyncKeys(self._sender)
        self.audit = AsyncAudit(self._sender)
        self.config_audit = AsyncConfigAudit(self._sender)
        self.providers = AsyncProviders(self._sender)
        self.models = AsyncModels(self._sender)
        self.routes = AsyncRoutes(self._sender)
        self.policy = AsyncPolicy(self._sender)
        self.preferences = AsyncPreferences(self._sender)
        self.profiles = AsyncProfiles(self._sender)
        self.usage = AsyncUsage(self._sender)
        self.quotas = AsyncQuotas(self._sender)

    @classmethod
    def from_profile(
        cls,
        path: str | Path | None = None,
        *,
        token: AsyncTokenSource = None,
        tenant: str = DEFAULT_TENANT,
        user: str = DEFAULT_USER,
        roles: Sequence[str] = DEFAULT_ROLES,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> Self:
        """As `Client.from_profile`."""
        profile = load_profile(path)
        token = token or default_token(profile, tenant=tenant, user=user, roles=roles)
        return cls(endpoints=profile.endpoints, ca=profile.ca, token=token, timeout=timeout)

    async def generate(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> Answer:
        """Call a model and wait for its whole answer."""
        return await self._sender.send(generation.generate(prompt, **options))

    def stream(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> AsyncGenerator[Event, None]:
        """Call a model and take its answer as it comes. The call begins with the first event asked for.

        async for event in client.stream("Why is the sky blue?"):
            print(event.text, end="")

        Closing the generator cancels the call (`contextlib.aclosing` does it when leaving the block); what was used
        until then is charged.
        """
        return self._sender.stream(generation.stream(prompt, **options))

    async def embed(self, texts: str | Sequence[str], /, **options: Unpack[EmbeddingOptions]) -> Embeddings:
        """Turn texts into vectors, one for each in their order."""
        return await self._sender.send(embedding.embed(texts, **options))

    async def explain(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> ExplainRouteResponse:
        """Which targets such a call would try, in order, and why the others are left out. Nothing is called."""
        return await self._sender.send(generation.explain(prompt, **options))

    async def estimate(
        self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]
    ) -> EstimateCostResponse:
        """What such a call would cost at each target, and what that rests on. Nothing is called."""
        return await self._sender.send(generation.estimate(prompt, **options))

    async def health(self) -> ListProviderHealthResponse:
        """How providers do, as the router that answers saw it, and how current its configuration is."""
        return await self._sender.send(health.health())

    async def close(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        await self._sender.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
