"""Streamed answers of a Responses server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from services.router.domain.errors import ProviderError, Reason
from services.router.domain.generation import (
    Answer,
    Finished,
    ProviderEvent,
    ReasoningDelta,
    Signature,
    TextDelta,
    ToolArgumentsDelta,
    ToolCallStarted,
)
from services.router.providers.base import StreamDecoder
from services.router.providers.formats.openai_responses.errors import ERRORS
from services.router.providers.formats.openai_responses.marks import (
    SEPARATOR,
    message_mark,
    reasoning_mark,
    reasoning_text,
)
from services.router.providers.formats.openai_responses.response import (
    call_id_of,
    decode_answer,
    finish_of,
    message_text,
    raise_error_of,
)
from services.router.providers.formats.openai_responses.usage import read_usage
from services.router.providers.reading.json_values import Json, load_object, malformed, text
from services.router.providers.reading.server_sent_events import SERVER_SENT_EVENTS

_Events = list[ProviderEvent]


class ResponsesAnswers:
    """A `base.AnswerFormat`."""

    stream_format = SERVER_SENT_EVENTS

    def decode(self, body: bytes) -> Answer:
        """A complete answer. Raises ProviderError."""
        return decode_answer(body)

    def stream_decoder(self) -> StreamDecoder:
        """A decoder for one stream."""
        return ResponsesStreamDecoder()


class _Item:
    """How much of an item was given on: `sent` characters of its text or arguments."""

    __slots__ = ("call", "channel", "done", "kind", "part", "sent")

    def __init__(self, kind: object) -> None:
        self.kind = kind
        self.sent = 0
        # For reasoning: where its text comes from, and which part of it was last.
        self.channel = ""
        self.part: object = None
        # For a tool call that has begun: its place among them.
        self.call: int | None = None
        self.done = False


class ResponsesStreamDecoder:
    """The events of one streamed answer.

    Texts, thoughts and arguments come in pieces, and again as a whole when their item is complete: what the pieces
    lacked is taken from there, for not every server sends every piece.
    """

    __slots__ = ("_calls", "_done", "_items", "_open_reasoning", "_refused")

    def __init__(self) -> None:
        self._items: dict[object, _Item] = {}
        self._calls = 0
        self._refused = False
        # Whether reasoning without a signature was the last thing given on.
        self._open_reasoning = False
        self._done = False

    def feed(self, data: bytes) -> list[ProviderEvent]:
        """What one event means."""
        if self._done:
            return []
        if data == b"[DONE]":
            return self.end()
        event = load_object(data)
        events: _Events = []
        try:
            handler = self._HANDLERS.get(event.get("type") or "error")
            if handler is not None:
                handler(self, event, events)
        except (KeyError, TypeError, AttributeError, ValueError):
            raise malformed() from None
        return events

    def end(self) -> list[ProviderEvent]:
        """The bytes have ended; without the event that ends it the answer has not."""
        if self._done:
            return []
        raise ProviderError(Reason.PROVIDER_UNREACHABLE, sent=True)

    def _item(self, event: Json, kind: object) -> _Item:
        place = _place(event)
        item = self._items.get(place)
        if item is None:
            item = self._items[place] = _Item(kind)
        return item

    def _added(self, event: Json, events: _Events) -> None:
        item = event["item"]
        begun = self._items[_place(event)] = _Item(item.get("type"))
        if begun.kind == "function_call":
            self._start(begun, item, events)

    def _start(self, begun: _Item, item: Json, events: _Events) -> None:
        if begun.call is None:
            begun.call = self._calls
            self._calls += 1
            self._open_reasoning = False
            events.append(ToolCallStarted(begun.call, call_id_of(item, begun.call), text(item["name"])))

    def _text(self, event: Json, events: _Events) -> None:
        self._give_text(self._item(event, "message"), text(event["delta"]), events)

    def _refusal(self, event: Json, events: _Events) -> None:
        self._refused = True
        self._text(event, events)

    def _give_text(self, item: _Item, delta: str, events: _Events) -> None:
        if delta:
            item.sent += len(delta)
            self._open_reasoning = False
            events.append(TextDelta(delta))

    def _summary(self, event: Json, events: _Events) -> None:
        self._think(event, "summary", event.get("summary_index"), events)

    def _thought(self, event: Json, events: _Events) -> None:
        self._think(event, "content", event.get("content_index"), events)

    def _think(self, event: Json, channel: str, part: object, events: _Events) -> None:
        item, delta = self._item(event, "reasoning"), text(event["delta"])
        item.channel = item.channel or channel
        if delta and item.channel == channel:
            if item.sent and part != item.part:
                delta = SEPARATOR + delta
            item.part = part
            self._give_thoughts(item, delta, None, events)

    def _give_thoughts(self, item: _Item, delta: str, signature: Signature | None, events: _Events) -> None:
        if delta or signature is not None:
            # Without a signature between them two items are one part with us.
            apart = SEPARATOR if delta and self._open_reasoning and not item.sent else ""
            item.sent += len(delta)
            self._open_reasoning = signature is None
            events.append(ReasoningDelta(apart + delta, signature))

    def _arguments(self, event: Json, events: _Events) -> None:
        # Pieces of a call that has not begun come again when it is complete.
        self._give_arguments(self._item(event, "function_call"), text(event["delta"]), events)

    def _all_arguments(self, event: Json, events: _Events) -> None:
        item = self._item(event, "function_call")
        self._give_arguments(item, text(event.get("arguments") or "")[item.sent :], events)

    def _give_arguments(self, item: _Item, delta: str, events: _Events) -> None:
        if delta and item.call is not None:
            item.sent += len(delta)
            events.append(ToolArgumentsDelta(item.call, delta))

    def _item_done(self, event: Json, events: _Events) -> None:
        item = event["item"]
        self._complete(self._item(event, item.get("type")), item, events)

    def _complete(self, begun: _Item, item: Json, events: _Events) -> None:
        """Gives on what is still missing of an item, and what comes at its end only."""
        if begun.done or begun.kind != item.get("type"):
            return
        begun.done = True
        match begun.kind:
            case "message":
                said, refused = message_text(item)
                self._refused = self._refused or refused
                self._give_text(begun, said[begun.sent :], events)
                self._give_thoughts(begun, "", message_mark(item), events)
            case "reasoning":
                channel, thoughts = reasoning_text(item)
                rest = thoughts[begun.sent :] if begun.channel in ("", channel) else ""
                self._give_thoughts(begun, rest, reasoning_mark(item), events)
            case "function_call":
                self._start(begun, item, events)
                self._give_arguments(begun, text(item.get("arguments") or "")[begun.sent :], events)

    def _ended(self, event: Json, events: _Events) -> None:
        response = event["response"]
        raise_error_of(response)
        nothing_came = not self._items
        for place, item in enumerate(response.get("output") or ()):
            if nothing_came:
                self._items[place] = _Item(item.get("type"))
            if place in self._items:
                self._complete(self._items[place], item, events)
        status = text(response.get("status") or event["type"].removeprefix("response."))
        finish, raw = finish_of(response, status, called=self._calls > 0, refused=self._refused)
        self._done = True
        events.append(Finished(finish_reason=finish, raw_finish_reason=raw, usage=read_usage(response.get("usage"))))

    def _error(self, event: Json, events: _Events) -> None:
        """An `error` event, its fields in it or under `error`; an event without a type is one, or none at all."""
        nested = event.get("error")
        if not nested and event.get("type") != "error":
            raise TypeError
        raise ERRORS.embedded(nested or event)

    _HANDLERS: ClassVar[Mapping[object, Callable[[ResponsesStreamDecoder, Json, _Events], None]]] = {
        "response.output_item.added": _added,
        "response.output_text.delta": _text,
        "response.refusal.delta": _refusal,
        "response.reasoning_summary_text.delta": _summary,
        "response.reasoning_text.delta": _thought,
        "response.function_call_arguments.delta": _arguments,
        "response.function_call_arguments.done": _all_arguments,
        "response.output_item.done": _item_done,
        "response.completed": _ended,
        "response.incomplete": _ended,
        "response.failed": _ended,
        "error": _error,
    }


def _place(event: Json) -> object:
    """Where an item stands in the answer. Ids change on the way with some servers, so they are second choice."""
    place = event.get("output_index")
    return place if place is not None else event.get("item_id") or event["item"]["id"]
