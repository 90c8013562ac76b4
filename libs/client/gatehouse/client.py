"""The sync client."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from gatehouse.answers import Answer, Embeddings, Event
from gatehouse.connection import DEFAULT_TIMEOUT_S, Connection
from gatehouse.operations import embedding, generation, health
from gatehouse.operations.embedding import EmbeddingOptions
from gatehouse.operations.generation import GenerationOptions
from gatehouse.profile import load_profile
from gatehouse.resources import (
    Audit,
    ConfigAudit,
    Keys,
    Models,
    Policy,
    Preferences,
    Profiles,
    Providers,
    Quotas,
    Routes,
    Usage,
)
from gatehouse.router.v1.generation_service_pb2 import EstimateCostResponse, ExplainRouteResponse
from gatehouse.router.v1.provider_health_service_pb2 import ListProviderHealthResponse
from gatehouse.sending import Sender, TokenSource
from gatehouse.tokens import DEFAULT_ROLES, DEFAULT_TENANT, DEFAULT_USER, default_token


class Client:
    """Calls models through Gatehouse and manages what they need. Thread-safe; make one and keep it.

    `endpoints`: `host:port` by service (`router`, `key_vault`, `provider_config`, `usage_accounting`), or one for all.
    `ca`: a PEM file or its bytes; None trusts the system's authorities. `token`: a JWT, or a callable that is asked for
    one before each call. `timeout`: the seconds a management call gets; calls to models have their own.

    Every failed call raises a `GatehouseError`; a setup that cannot work raises ProfileError.
    """

    def __init__(
        self,
        *,
        endpoints: str | Mapping[str, str],
        ca: str | Path | bytes | None = None,
        token: TokenSource = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self._sender = Sender(Connection.to(endpoints, ca, timeout), token)
        self.keys = Keys(self._sender)
        self.audit = Audit(self._sender)
        self.config_audit = ConfigAudit(self._sender)
        self.providers = Providers(self._sender)
        self.models = Models(self._sender)
        self.routes = Routes(self._sender)
        self.policy = Policy(self._sender)
        self.preferences = Preferences(self._sender)
        self.profiles = Profiles(self._sender)
        self.usage = Usage(self._sender)
        self.quotas = Quotas(self._sender)

    @classmethod
    def from_profile(
        cls,
        path: str | Path | None = None,
        *,
        token: TokenSource = None,
        tenant: str = DEFAULT_TENANT,
        user: str = DEFAULT_USER,
        roles: Sequence[str] = DEFAULT_ROLES,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> Self:
        """A client for the Gatehouse of a `client.json`: `path`, else $GATEHOUSE_PROFILE, else ./.gatehouse.

        The token is `token`, else $GATEHOUSE_TOKEN. Without either, and where the profile names the key of a
        development issuer, short-lived tokens are made for `user` of `tenant` with `roles`.
        """
        profile = load_profile(path)
        token = token or default_token(profile, tenant=tenant, user=user, roles=roles)
        return cls(endpoints=profile.endpoints, ca=profile.ca, token=token, timeout=timeout)

    def generate(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> Answer:
        """Call a model and wait for its whole answer.

        client.generate("Why is the sky blue?", model="gpt-4o-mini", max_output_tokens=200).text
        """
        return self._sender.send(generation.generate(prompt, **options))

    def stream(
        self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]
    ) -> Generator[Event, None, None]:
        """Call a model and take its answer as it comes. The call begins with the first event asked for.

        for event in client.stream("Why is the sky blue?"):
            print(event.text, end="")

        Leaving the loop or closing the generator cancels the call; what was used until then is charged.
        """
        return self._sender.stream(generation.stream(prompt, **options))

    def embed(self, texts: str | Sequence[str], /, **options: Unpack[EmbeddingOptions]) -> Embeddings:
        """Turn texts into vectors, one for each in their order.

        client.embed(["bread", "butter"], model="text-embedding-3-small").vectors[0]
        """
        return self._sender.send(embedding.embed(texts, **options))

    def explain(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> ExplainRouteResponse:
        """Which targets such a call would try, in order, and why the others are left out. Nothing is called."""
        return self._sender.send(generation.explain(prompt, **options))

    def estimate(self, prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> EstimateCostResponse:
        """What such a call would cost at each target, and what that rests on. Nothing is called."""
        return self._sender.send(generation.estimate(prompt, **options))

    def health(self) -> ListProviderHealthResponse:
        """How providers do, as the router that answers saw it, and how current its configuration is."""
        return self._sender.send(health.health())

    def close(self) -> None:
        """Close the connections. The client cannot be used afterwards."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
