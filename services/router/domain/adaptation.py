"""A request as one target can take it. Pure.

Left out, each with a warning:

 - what the target cannot do, for a request that allows it (`drop_unsupported`): media become a note to the model, calls
   and results of tools become text, everything else goes;
 - reasoning and signatures that come from another provider or key: the one they go to could not read them.

Left out unsaid: what the target does by itself without being told (see Needs), and reasoning without a signature, which
no provider wants back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Generic, cast

from services.router.domain import features
from services.router.domain.call_request import CallRequest, RequestT
from services.router.domain.configuration import Model, Provider
from services.router.domain.embedding import Embedding, without
from services.router.domain.features import words_for
from services.router.domain.generation import (
    Audio,
    Document,
    Effort,
    Generation,
    Image,
    Message,
    Part,
    Reasoning,
    ResultPart,
    Role,
    ServiceTier,
    Signature,
    Text,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from services.router.domain.needs import needs_of
from services.router.domain.routing.route_plan import Target
from services.router.domain.routing.usability import ProviderTypes
from services.router.domain.tokens import RequestSize

_MEDIA = features.IMAGES | features.AUDIO | features.DOCUMENTS
_KINDS: dict[type[Part], int] = {Image: features.IMAGES, Audio: features.AUDIO, Document: features.DOCUMENTS}
_CONVERSATION = _MEDIA | features.TOOLS
# The fields that speak of one feature and nothing else.
_FIELDS: tuple[tuple[int, dict[str, Any]], ...] = (
    (features.TOOL_CHOICE, {"tool_choice": None}),
    (features.PARALLEL_TOOL_CALLS, {"parallel_tool_calls": None}),
    (features.TOOLS, {"tools": (), "tool_choice": None, "parallel_tool_calls": None}),
    (features.JSON | features.JSON_SCHEMA, {"response_format": None}),
    (features.REASONING, {"reasoning": None}),
    (features.SERVICE_TIER, {"service_tier": None}),
    (features.SAMPLING, {"temperature": None, "top_p": None, "top_k": None}),
    (features.TOP_K, {"top_k": None}),
    (features.PENALTIES, {"frequency_penalty": None, "presence_penalty": None}),
    (features.STOP, {"stop": ()}),
    (features.SEED, {"seed": None}),
    (features.END_USER, {"end_user": ""}),
)
_PRICED_OTHERWISE = frozenset({ServiceTier.FLEX, ServiceTier.PRIORITY})
_NOTHING_LEFT = Text("[Nothing of this conversation can be shown to this model.]")


class Adapter(Generic[RequestT]):
    """Adapts one request to whichever target an attempt of it goes to. What that takes is worked out once."""

    __slots__ = ("_needs", "_plain", "_request", "_traced", "_types")

    def __init__(self, request: RequestT, size: RequestSize, types: ProviderTypes, *, streaming: bool) -> None:
        self._request: RequestT = request
        self._types = types
        self._needs = needs_of(request, size, streaming=streaming)
        self._traced = size.traced
        # Nothing but what a target lacks, or its provider adds, can change it.
        either: CallRequest = request
        self._plain = not size.traced and (isinstance(either, Embedding) or either.service_tier is None)

    def to(self, target: Target) -> tuple[RequestT, tuple[str, ...]]:
        """The request for one target, nearly always unchanged, and what its caller should know of it."""
        can = target.model.capabilities.mask & self._types.features_of(target.provider, target.model)
        missing = self._needs.used & ~can
        if not missing and self._plain and target.provider.default_temperature is None:
            return self._request, ()
        request: CallRequest = self._request
        warnings = _left_out(missing & self._needs.needed, target.provider, target.model)
        adapted: CallRequest
        if isinstance(request, Embedding):
            adapted = without(request, missing) if missing else request
        else:
            adapted, more = _adapted(request, target.provider, can, missing, traced=self._traced)
            warnings += more
        return cast(RequestT, adapted), warnings


def _adapted(
    request: Generation, provider: Provider, can: int, missing: int, *, traced: bool
) -> tuple[Generation, tuple[str, ...]]:
    temperature = request.temperature
    if temperature is None and request.top_p is None and can & features.SAMPLING and not _thinks(request):
        temperature = provider.default_temperature
    if not missing and not traced:
        if temperature != request.temperature:
            request = replace(request, temperature=temperature)
        return request, _of_tier(request)
    changes: dict[str, Any] = {"temperature": temperature}
    if missing & features.TOOL_CHOICE and request.tool_choice is ToolChoiceMode.NONE:
        # Without tools none is called.
        changes |= {"tools": (), "parallel_tool_calls": None}
    for mask, fields in _FIELDS:
        if missing & mask:
            changes |= fields
    warnings: tuple[str, ...] = ()
    if traced or missing & _CONVERSATION:
        conversation = _Conversation(missing, provider)
        changes["messages"] = conversation.of(request.messages)
        if conversation.foreign:
            warnings = (f"reasoning left out: that of earlier answers comes from elsewhere than {provider.name}",)
    adapted: Generation = replace(request, **changes)
    return adapted, warnings + _of_tier(adapted)


def _thinks(request: Generation) -> bool:
    """Whether thinking is asked for: Claude then refuses a temperature, and nobody asked for this one."""
    return request.reasoning is not None and request.reasoning.effort is not Effort.NONE


def _of_tier(request: Generation) -> tuple[str, ...]:
    """What is not known of the cost of a tier that is asked for."""
    if request.service_tier not in _PRICED_OTHERWISE:
        return ()
    return (f"the cost is that of the standard service tier: prices of {request.service_tier.value} are not known",)


def _left_out(missing: int, provider: Provider, model: Model) -> tuple[str, ...]:
    """One warning for each feature."""
    if not missing:
        return ()
    by_model = missing & ~model.capabilities.mask
    which = f"the model {model.id!r} of {provider.name}"
    return (
        *(f"{word} left out: {which} cannot do this" for word in words_for(by_model)),
        *(f"{word} left out: the API of {which} cannot do this" for word in words_for(missing & ~by_model)),
    )


class _Conversation:
    """Makes a conversation fit one target. `foreign`: reasoning or signatures of another origin were left out."""

    __slots__ = ("_key", "_missing", "_provider", "foreign")

    def __init__(self, missing: int, provider: Provider) -> None:
        self.foreign = False
        self._missing = missing
        self._provider = provider.name
        self._key = provider.key

    def of(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The messages; one that has nothing left is left out, but not the last of them all."""
        fitting = tuple(each for each in map(self._message, messages) if each.parts)
        return fitting or (Message(Role.USER, (_NOTHING_LEFT,)),) if messages else ()

    def _message(self, message: Message) -> Message:
        if all(type(part) is Text for part in message.parts):
            return message
        places: dict[int, int] = {}
        parts: list[Part] = []
        for place, part in enumerate(message.parts):
            parts.extend(self._part(part))
            if parts:
                places[place] = len(parts) - 1
        if len(parts) == len(message.parts) and all(map(_same, parts, message.parts)):
            return message
        # A breakpoint on what is left out moves to what comes before it.
        breakpoints = tuple(dict.fromkeys(places[place] for place in message.breakpoints if place in places))
        role = Role.USER if message.role is Role.TOOL and self._missing & features.TOOLS else message.role
        return Message(role, tuple(parts), breakpoints)

    def _part(self, part: Part) -> tuple[Part, ...]:
        """What becomes of a part: itself, another one, several, or nothing."""
        match part:
            case Text():
                return (part,)
            case Reasoning(_, signature):
                return (part,) if signature is not None and self._is_own(signature) else ()
            case ToolCall():
                return (self._call(part),)
            case ToolResult():
                return self._result(part)
            case _:
                return (self._media(part),)

    def _is_own(self, signature: Signature) -> bool:
        own = signature.provider == self._provider and signature.key == self._key
        self.foreign |= not own
        return own

    def _call(self, call: ToolCall) -> Part:
        foreign = call.signature is not None and not self._is_own(call.signature)
        if self._missing & features.TOOLS:
            return Text(f"[The tool {call.name} was called with {call.arguments_json}]")
        return replace(call, signature=None) if foreign else call

    def _result(self, result: ToolResult) -> tuple[Part, ...]:
        parts = result.parts
        if self._missing & _MEDIA:
            parts = tuple(map(self._media, parts))
        if self._missing & features.TOOLS:
            said = "failed" if result.is_error else "answered"
            return (Text(f"[The tool {result.name} {said}:]"), *(parts or (Text("[nothing]"),)))
        if all(map(_same, parts, result.parts)):
            return (result,)
        return (replace(result, parts=parts),)

    def _media(self, part: ResultPart) -> ResultPart:
        if isinstance(part, Text) or not self._missing & _KINDS[type(part)]:
            return part
        match part:
            case Image():
                what = "An image"
            case Audio():
                what = "A sound"
            case _:
                what = f"A document, {part.name!r}," if part.name else "A document"
        return Text(f"[{what} was left out here, which this model cannot take.]")


def _same(one: object, other: object) -> bool:
    return one is other
