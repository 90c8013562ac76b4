"""A conversation with tools that began with one provider goes on with any other, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from libs.sandbox import Sandbox
from services.router.domain.adaptation import Adapter
from services.router.domain.configuration import Capabilities, Model
from services.router.domain.generation import (
    AnswerPart,
    Effort,
    FinishReason,
    Generation,
    Message,
    Reasoning,
    ReasoningRequest,
    Role,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from services.router.domain.ports import Dispatch
from services.router.domain.tokens import measure
from services.router.providers.http.session import HttpProviderSession
from services.router.providers.registry import DIALECTS, provider_types
from tests.contract.dialects.asking import OUTPUT_LIMIT, said
from tests.contract.dialects.calls import WEATHER
from tests.contract.dialects.folding import folded
from tests.contract.dialects.read_back.transcript import Transcript
from tests.contract.dialects.variants import VARIANTS, Variant
from tests.integration.router_providers.wire import dispatch, streamed

PAIRS = [
    pytest.param(first, second, id=f"{first}-{second}") for first in sorted(VARIANTS) for second in sorted(VARIANTS)
]
_ABLE = Capabilities(audio=True, documents=True, reasoning=True)
_QUESTION = said("Weather in Oslo and Rome? [[sandbox tools=2 reasoning=5 show_reasoning]]")


class Place:
    """A provider as a tenant has it, with a key of its own."""

    def __init__(self, number: int, variant: Variant, sandbox: Sandbox, session: HttpProviderSession) -> None:
        self.variant = variant
        self.key = f"tenants/acme/keys/key-{number}"
        self.name = f"tenants/acme/providers/provider-{number}"
        self._sandbox = sandbox
        self._session = session

    async def ask(self, request: Generation) -> tuple[tuple[AnswerPart, ...], FinishReason, Transcript, Sequence[str]]:
        """The answer as a caller gets it, what the body said, and the warnings."""
        sent, warnings = self._dispatch(request)
        whole = await self._session.generate(sent)
        seen = self.variant.reader(orjson.loads(self._sandbox.requests[-1].body))
        assert whole == folded(await streamed(self._session, sent))
        return tuple(map(self._stamped, whole.parts)), whole.finish_reason, seen, warnings

    def _dispatch(self, request: Generation) -> tuple[Dispatch[Generation], Sequence[str]]:
        variant = self.variant
        url = self._sandbox.url + variant.path
        plain = dispatch(url, request, dialect=variant.type, options=variant.options, model=variant.model)
        target = plain.target
        target.provider = replace(target.provider, name=self.name, key=self.key)
        target.model = Model(id=variant.model, provider_model_id=variant.model, capabilities=_ABLE)
        adapter = Adapter(request, measure(request), provider_types(DIALECTS), streaming=True)
        adapted, warnings = adapter.to(target)
        return replace(plain, request=adapted, output_limit=OUTPUT_LIMIT), warnings

    def _stamped(self, part: AnswerPart) -> AnswerPart:
        """With its origin, as the API gives it out."""
        if isinstance(part, Text) or part.signature is None:
            return part
        assert part.signature.provider == ""
        return replace(part, signature=Signature(part.signature.data, self.name, self.key))


def _results(parts: Sequence[AnswerPart]) -> Message:
    calls = [part for part in parts if isinstance(part, ToolCall)]
    return Message(
        Role.TOOL,
        tuple(
            ToolResult(
                tool_call_id=call.id,
                name=call.name,
                parts=(Text(f"result {number}"),),
                is_error=number == len(calls) - 1,
            )
            for number, call in enumerate(calls)
        ),
    )


def _request(variants: Sequence[Variant], *messages: Message) -> Generation:
    thinking = ReasoningRequest(effort=Effort.MEDIUM) if all(each.can("reasoning") for each in variants) else None
    return Generation(messages=messages, tools=(WEATHER,), reasoning=thinking)


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_a_conversation_goes_on_elsewhere_and_comes_back(
    session: HttpProviderSession, sandbox: Sandbox, first: str, second: str
) -> None:
    variants = VARIANTS[first], VARIANTS[second]
    one, other = Place(1, variants[0], sandbox, session), Place(2, variants[1], sandbox, session)
    called, finish, _, _ = await one.ask(_request(variants, _QUESTION))
    assert finish is FinishReason.TOOL_CALLS
    signed = any(isinstance(part, Reasoning | ToolCall) and part.signature is not None for part in called)
    turns = [_QUESTION, Message(Role.ASSISTANT, called), _results(called)]

    answered, finish, seen, warnings = await other.ask(_request(variants, *turns))
    assert finish is FinishReason.STOP
    assert "result 1" in "".join(part.text for part in answered if isinstance(part, Text))
    results = [item for item in seen.items if item[0] == "tool"]
    assert [(number, text, failed) for _, number, text, failed, _ in results] == [
        (0, "result 0", False),
        (1, "result 1", True),
    ]
    assert [item[3] for item in seen.items if item[1] == "call"] == ["get_weather"] * 2
    assert not any(item[1] == "reasoning" for item in seen.items), "thoughts go back to where they come from only"
    assert any("reasoning left out" in each for each in warnings) == signed

    again = said("And now? [[sandbox tools=1 reasoning=5 show_reasoning]]")
    turns += [Message(Role.ASSISTANT, answered), again]
    called, finish, seen, _ = await one.ask(_request(variants, *turns))
    assert finish is FinishReason.TOOL_CALLS
    assert "result 1" in "".join(str(item[2]) for item in seen.items if item[:2] == ("assistant", "text"))


async def test_thoughts_go_back_to_where_they_come_from(
    session: HttpProviderSession, sandbox: Sandbox, variant: Variant
) -> None:
    place = Place(1, variant, sandbox, session)
    called, _, _, _ = await place.ask(_request([variant], _QUESTION))
    turns = (_QUESTION, Message(Role.ASSISTANT, called), _results(called))
    _, finish, seen, warnings = await place.ask(_request([variant], *turns))
    assert finish is FinishReason.STOP
    signed = any(isinstance(part, Reasoning) and part.signature is not None for part in called)
    assert any(item[1] == "reasoning" for item in seen.items) == signed
    assert warnings == ()
