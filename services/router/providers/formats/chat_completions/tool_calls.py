"""Tool calls put together from the deltas of a stream, however a server cuts them."""

from __future__ import annotations

from hashlib import blake2b

import orjson

from services.router.domain.generation import ProviderEvent, ToolArgumentsDelta, ToolCallStarted
from services.router.providers.reading.json_values import Json, text


class ToolCallAssembler:
    """Parallel calls are told apart by the provider's index, else by their ids; our index counts from 0 without gaps.

    A call is announced when its arguments begin, or the next call, or the answer ends: until then its name and id may
    still come, whole, in pieces or repeated. Raises TypeError for what is no tool call.
    """

    __slots__ = ("_by_id", "_ids", "_names", "_pending", "_places")

    def __init__(self) -> None:
        self._places: dict[int | None, int] = {}
        self._by_id: dict[str, int] = {}
        self._ids: list[str] = []
        self._names: list[str] = []
        self._pending = -1

    def feed(self, call: Json, answer_id: object, events: list[ProviderEvent]) -> None:
        """One entry of `tool_calls`."""
        function = call.get("function") or {}
        theirs, call_id, name = call.get("index"), call.get("id"), function.get("name")
        index = self._place(theirs, call_id, name)
        if index is None:
            self.flush(answer_id, events)
            index = self._pending = len(self._ids)
            self._places[theirs] = index
            self._ids.append(text(call_id or ""))
            self._names.append(text(name or ""))
            if call_id:
                self._by_id[call_id] = index
        elif index == self._pending:
            if call_id and not self._ids[index]:
                self._ids[index] = text(call_id)
                self._by_id[call_id] = index
            if name and name != self._names[index]:
                self._names[index] += text(name)
        arguments = arguments_text(function.get("arguments"))
        if arguments:
            if index == self._pending:
                self.flush(answer_id, events)
            events.append(ToolArgumentsDelta(index, arguments))

    def _place(self, theirs: int | None, call_id: str | None, name: str | None) -> int | None:
        """The call that a delta belongs to; None for one that begins."""
        if theirs is None and call_id:
            known = self._by_id.get(call_id)
            # An id may come after the name.
            if known is not None or name or self._pending < 0 or self._ids[self._pending]:
                return known
            return self._pending
        index = self._places.get(theirs)
        if index is None or not name:
            return index
        # Some servers give no index and no id: there a name begins a call. Others give all calls the same index.
        if theirs is None or (call_id and self._ids[index] and call_id != self._ids[index]):
            return None
        return index

    def flush(self, answer_id: object, events: list[ProviderEvent]) -> None:
        """Announce the call that waits, if one does."""
        index, self._pending = self._pending, -1
        if index < 0:
            return
        if not self._names[index]:
            raise TypeError("a tool call has a name")
        call_id = self._ids[index] or made_id(answer_id, index)
        events.append(ToolCallStarted(index, call_id, self._names[index]))


def calls_in(message: Json) -> list[Json]:
    """The calls in a message or a delta. Some servers still have the one of `function_call`, also beside the others."""
    if calls := message.get("tool_calls"):
        if not isinstance(calls, list):
            raise TypeError("tool calls are a list")
        return calls
    call = message.get("function_call")
    return [{"index": 0, "function": call}] if call else []


def arguments_text(arguments: object) -> str:
    """Arguments as text; some servers send the object itself. Raises TypeError."""
    if arguments is None:
        return ""
    if isinstance(arguments, dict):
        return orjson.dumps(arguments).decode()
    return text(arguments)


def made_id(answer_id: object, index: int) -> str:
    """An id for a call that came without one; the caller needs it to answer the call.

    Different in each answer that has an id itself, and short enough for every provider.
    """
    if not isinstance(answer_id, str) or not answer_id:
        return f"call_{index}"
    return f"call_{index}_{blake2b(answer_id.encode(), digest_size=6).hexdigest()}"
