"""Calls to the endpoint under test, and what is to be said of how they end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NoReturn, TypeVar

import pytest

from libs.core.resource_names import Owner
from libs.core.secret import Secret
from services.router.domain.adaptation import Adapter
from services.router.domain.configuration import Capabilities, Model, Provider
from services.router.domain.embedding import Embedding, Vectors, needed_by
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.features import words_for
from services.router.domain.generation import (
    Answer,
    FinishReason,
    Generation,
    Message,
    Part,
    Reasoning,
    Role,
    Signature,
    Text,
    ToolCall,
)
from services.router.domain.needs import needs_of
from services.router.domain.ports import Dispatch
from services.router.domain.routing.causes import Rule
from services.router.domain.routing.route_plan import Target
from services.router.domain.tokens import measure
from services.router.providers.http.session import HttpProviderSession
from services.router.providers.registry import DIALECTS, provider_types
from tests.contract.dialects.folding import folded
from tests.integration.router_providers.wire import streamed
from tests.live.target import EVERYWHERE, LiveTarget

WHOLE, STREAMED = "whole", "streamed"
ROOM = 2048
"""Tokens an answer may have: models that think need some before they say a word."""

# What it cannot do is what is to be found out.
_ALL = Capabilities(audio=True, documents=True, reasoning=True, embeddings=True)
_PASSING = frozenset({Reason.PROVIDER_RATE_LIMITED, Reason.PROVIDER_OVERLOADED})
_TRIES, _PAUSE_S, _LONGEST_PAUSE_S = 4, 5.0, 60.0
_SHOWN = 120
_Result = TypeVar("_Result", Answer, Vectors)


class Asker:
    """Asks for one feature, in one way. `refusals`: words by which a refusal names the feature."""

    def __init__(
        self, target: LiveTarget, session: HttpProviderSession, *, feature: str, refusals: Sequence[str], way: str
    ) -> None:
        self.target = target
        self.session = session
        self.way = way
        self._feature = feature
        self._refusals = refusals
        self._provider = Provider(
            name="tenants/live/providers/live",
            id="live",
            owner=Owner("live"),
            type=target.type,
            base_url=target.base_url,
            origin=target.origin,
            key="tenants/live/keys/live" if target.key else "",
            default_model=target.model,
            active=True,
            is_default=True,
            priority=0,
            models={},
            options=target.options,
        )

    def said(self, text: str, *parts: Part) -> Message:
        """A question, behind what it is about."""
        words = (self.target.words.get(name, "") for name in (self._feature, EVERYWHERE))
        return Message(Role.USER, (*parts, Text(" ".join((text, *filter(None, words))))))

    def kept(self, answer: Answer) -> Message:
        """An answer as a turn of the conversation, signed with where it comes from."""
        return Message(Role.ASSISTANT, tuple(map(self._signed, answer.parts)))

    async def ask(self, request: Generation, *, way: str = "") -> Answer:
        """The answer. Skips when the dialect cannot carry the request or the model refuses the feature."""
        call = self.dispatch(request, stream=(way or self.way) == STREAMED)
        answer = await self._patiently(lambda: self._answer(call, way or self.way))
        _check(answer)
        return answer

    async def embed(self, request: Embedding) -> Vectors:
        """The vectors. Skips as `ask`."""
        self._carries(needed_by(request), self.target.embedding_model)
        call = Dispatch(
            target=self._target(self.target.embedding_model),
            request=request,
            output_limit=0,
            key=self.target.key,
            reference="live/1",
        )
        return await self._patiently(lambda: self.session.embed(call))

    def dispatch(
        self, request: Generation, *, stream: bool, model: str = "", key: Secret | None = None
    ) -> Dispatch[Generation]:
        """A call as the router would send it."""
        size = measure(request)
        self._carries(needs_of(request, size, streaming=stream).needed, self.target.model)
        target = self._target(model or self.target.model)
        adapted, warnings = Adapter(request, size, provider_types(DIALECTS), streaming=stream).to(target)
        assert warnings == (), "everything is sent"
        return Dispatch(
            target=target,
            request=adapted,
            output_limit=request.max_output_tokens or ROOM,
            key=key or self.target.key,
            reference="live/1",
        )

    async def failure(self, call: Dispatch[Generation]) -> ProviderError | None:
        """How a call fails that should; None when it does not."""
        try:
            await self._answer(call, self.way)
        except ProviderError as error:
            return error
        return None

    async def _answer(self, call: Dispatch[Generation], way: str) -> Answer:
        if way == WHOLE:
            return await self.session.generate(call)
        return folded(await streamed(self.session, call))

    async def _patiently(self, act: Callable[[], Awaitable[_Result]]) -> _Result:
        tried = 0
        while True:
            try:
                return await act()
            except ProviderError as error:
                problem = error
            tried += 1
            if problem.reason not in _PASSING or tried == _TRIES:
                self._judge(problem)
            await asyncio.sleep(min(problem.retry_after_s or _PAUSE_S * tried, _LONGEST_PAUSE_S))

    def _judge(self, error: ProviderError) -> NoReturn:
        message = error.message.lower()
        if error.reason is Reason.PROVIDER_INVALID_REQUEST and any(word in message for word in self._refusals):
            pytest.skip(f"refused: {error.message}")
        pytest.fail(f"{error.reason}, status {error.status}: {error.message or '(no message)'}", pytrace=False)

    def _carries(self, needed: int, model: str) -> None:
        missing = needed & ~self.target.dialect.features(self.target.options, model)
        if missing:
            pytest.skip(f"the dialect does not carry it to this model: {', '.join(words_for(missing))}")

    def _target(self, model: str) -> Target:
        return Target(
            provider=self._provider,
            model=Model(id=model, provider_model_id=model, capabilities=_ALL),
            rule=Rule.DEFAULT,
            reason="the default provider",
            health_key=(self._provider.name, model, self._provider.key),
        )

    def _signed(self, part: Part) -> Part:
        if isinstance(part, Reasoning | ToolCall) and part.signature is not None:
            return replace(part, signature=Signature(part.signature.data, self._provider.name, self._provider.key))
        return part


def not_as_told(answer: Answer) -> NoReturn:
    """The answer came as it should, but the model did something else than it was asked."""
    text = " ".join(answer.text.split())
    calls = ", ".join(f"{call.name}({call.arguments_json})" for call in answer.tool_calls)
    said = " and ".join(filter(None, (f"“{text}”" if text else "", calls))) or "nothing"
    shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]} …"
    pytest.xfail(f"not as told ({answer.raw_finish_reason}): {shown}")


def _check(answer: Answer) -> None:
    """What holds for every answer, whatever it says."""
    assert answer.finish_reason is not FinishReason.UNKNOWN, f"the finish {answer.raw_finish_reason!r} is not known"
    assert answer.raw_finish_reason
    texts = [isinstance(part, Text) for part in answer.parts]
    assert not any(one and other for one, other in itertools.pairwise(texts)), "texts are merged"
    assert all(part.text for part in answer.parts if isinstance(part, Text))
    calls = answer.tool_calls
    assert all(call.name and call.id for call in calls)
    assert len({call.id for call in calls}) == len(calls), "each call has an id of its own"
    assert not calls or answer.finish_reason is not FinishReason.STOP, "a wish for tools is told as such"
