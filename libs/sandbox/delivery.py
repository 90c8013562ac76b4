"""Sends an answer, at the pace and with the faults that were asked for, and keeps the bill while it does.

A client that goes away cancels the handler (aiohttp's `handler_cancellation`), so every wait below ends at
once; `server.py` then writes the bill. Without a pace, chunks are sent in blocks of up to 64 KiB, because a
sandbox that is busy with system calls would be what a benchmark measures.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from typing import Never

from aiohttp import web

from libs.sandbox.bill import Entry
from libs.sandbox.dialect import Answer, Dialect, EmbeddingAnswer, EmbeddingQuestion, Part, Question, Refusal
from libs.sandbox.directives import Directives

_BLOCK_BYTES = 65_536
_AT_ONCE_TOKENS = 500
_JSON = "application/json"
HTML = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>\n"
"""What a web server says that is no API."""
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Delivery:
    """One response to one request."""

    def __init__(
        self,
        request: web.BaseRequest,
        entry: Entry,
        dialect: Dialect,
        directives: Directives,
        *,
        pace_ms: float,
    ) -> None:
        self._request = request
        self._dialect = dialect
        self._entry = entry
        self._wishes = directives
        self._pace_s = (pace_ms if directives.pace_ms is None else directives.pace_ms) / 1000
        name = dialect.request_id_header
        self._headers = {} if name is None else {name: entry.entry_id}

    async def before_answer(self) -> web.StreamResponse | None:
        """The wishes that need no answer; None when there should be one. Ends by cancellation if told to be silent."""
        wishes = self._wishes
        if wishes.first_ms:
            await asyncio.sleep(wishes.first_ms / 1000)
        if wishes.silent:
            await self._silence()
        if wishes.reset:
            self._entry.prompt_tokens = self._entry.cached_tokens = 0
            await self._hang_up(reset=True)
        if wishes.html:
            self._entry.finish("broken", 200)
            return web.Response(body=HTML, content_type="text/html", headers=self._headers)
        return None

    async def send_whole(self, question: Question, answer: Answer) -> web.StreamResponse:
        """The answer in one body."""
        if self._pace_s:
            await asyncio.sleep(self._pace_s * answer.completion_tokens)
        body = self._dialect.whole(question, answer)
        return await self._send_body(body, question.model, answer.completion_tokens, answer.reasoning_tokens)

    async def send_embeddings(self, question: EmbeddingQuestion, answer: EmbeddingAnswer) -> web.StreamResponse:
        """The vectors in one body."""
        return await self._send_body(self._dialect.embeddings(question, answer), question.model, 0, 0)

    async def _send_body(self, body: bytes, model: str, tokens: int, reasoning: int) -> web.StreamResponse:
        entry, wishes = self._entry, self._wishes
        if wishes.garbage:
            entry.finish("broken", 200)
            return await self._respond(body[: len(body) // 2])
        if wishes.error_after is not None:
            entry.finish("failed", 200)
            return await self._respond(self._dialect.refusal(self._failure(model)))
        entry.completion_tokens, entry.reasoning_tokens = tokens, reasoning
        if wishes.cut_after is not None or wishes.cut_at_end or wishes.silence_after is not None:
            await self._send_half(body)
        entry.chunks = 1
        entry.finish("completed", 200)
        return await self._respond(body)

    def _failure(self, model: str) -> Refusal:
        return self._dialect.standard_refusal(self._wishes.error_status, self._wishes.code, model)

    async def send_stream(self, question: Question, answer: Answer) -> web.StreamResponse:
        """The answer event by event."""
        dialect = self._dialect
        wire = await self._open(dialect.stream_content_type)
        if self._wishes.garbage:
            self._entry.finish("broken", 200)
            await wire.send(dialect.stream_garbage())
        elif self._is_plain(answer):
            # Before the bytes leave: whoever has the whole answer finds the whole bill.
            self._count(dialect.chunks(answer), answer.completion_tokens, answer)
            self._entry.finish("completed", 200)
            await wire.send(dialect.stream_at_once(question, answer))
        else:
            await self._send_frames(wire, question, answer)
        return await wire.end()

    def _is_plain(self, answer: Answer) -> bool:
        wishes = self._wishes
        faultless = wishes.cut_after is wishes.error_after is wishes.silence_after is None
        return (
            faultless
            and not (self._pace_s or wishes.cut_at_end or wishes.no_done)
            and answer.completion_tokens <= _AT_ONCE_TOKENS
        )

    async def _send_frames(self, wire: _Wire, question: Question, answer: Answer) -> None:
        entry, wishes = self._entry, self._wishes
        block = bytearray()
        for frame in self._dialect.frames(question, answer):
            if frame.part in {Part.CONTENT, Part.FINISH} and await self._break_off(wire, block, question.model):
                return
            if frame.part in {Part.USAGE, Part.DONE} and wishes.cut_at_end:
                await wire.flush(block)
                await self._hang_up()
            if frame.part is Part.DONE and wishes.no_done:
                continue
            if self._pace_s and frame.part is Part.CONTENT:
                await wire.flush(block)
                await asyncio.sleep(self._pace_s)
            block += frame.data
            self._count(frame.part is Part.CONTENT, frame.tokens, answer)
            if len(block) >= _BLOCK_BYTES or (self._pace_s and frame.part is Part.CONTENT):
                await wire.flush(block)
        entry.finish("completed", 200)
        await wire.flush(block)

    def _count(self, chunks: int, tokens: int, answer: Answer) -> None:
        entry = self._entry
        entry.chunks += chunks
        entry.completion_tokens += tokens
        # Reasoning comes first.
        entry.reasoning_tokens = min(answer.reasoning_tokens, entry.completion_tokens)

    async def _break_off(self, wire: _Wire, block: bytearray, model: str) -> bool:
        """Stop here if told to: whether the stream is over. A cut and a silence end by cancellation."""
        wishes, place = self._wishes, self._entry.chunks
        if place not in {wishes.cut_after, wishes.error_after, wishes.silence_after}:
            return False
        await wire.flush(block)
        if place == wishes.cut_after:
            await self._hang_up()
        if place == wishes.silence_after:
            await self._silence()
        self._entry.finish("failed", 200)
        await wire.send(self._dialect.stream_error(self._failure(model)))
        return True

    async def _send_half(self, body: bytes) -> Never:
        wire = await self._open(_JSON, length=len(body))
        await wire.send(body[: len(body) // 2])
        if self._wishes.silence_after is not None:
            await self._silence()
        await self._hang_up()

    async def _respond(self, body: bytes) -> web.StreamResponse:
        if not self._wishes.slow_headers:
            return web.Response(body=body, content_type=_JSON, headers=self._headers)
        wire = await self._open(_JSON, length=len(body))
        await wire.send(body)
        return await wire.end()

    async def _open(self, content_type: str, *, length: int | None = None) -> _Wire:
        response = web.StreamResponse(headers={**self._headers, "Content-Type": content_type})
        if length is not None:
            response.content_length = length
        if self._wishes.slow_headers:
            return await _DribblingWire.open(self._request, response, self._wishes.slow_headers / 1000)
        await response.prepare(self._request)
        return _Wire(response)

    async def _silence(self) -> Never:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("only cancellation ends a silence")

    async def _hang_up(self, *, reset: bool = False) -> Never:
        """Close the connection: with a TCP reset, or cleanly once everything before has left."""
        self._entry.finish("cut", None if reset else 200)
        transport = self._request.transport
        if transport is not None:
            if reset:
                connection = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
                transport.abort()
            else:
                transport.close()
        # The loss of the connection cancels this handler.
        await self._silence()


class _Wire:
    """Where the bytes of a response go."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response

    async def send(self, data: bytes | bytearray) -> None:
        if data:
            await self._response.write(bytes(data))

    async def flush(self, block: bytearray) -> None:
        """Send what `block` holds and empty it."""
        data = bytes(block)
        block.clear()
        await self.send(data)

    async def end(self) -> web.StreamResponse:
        await self._response.write_eof()
        return self._response


class _DribblingWire(_Wire):
    """Sends the head line by line with pauses, then the body up to the close of the connection."""

    def __init__(self, response: web.StreamResponse, transport: asyncio.Transport) -> None:
        super().__init__(response)
        self._transport = transport

    @classmethod
    async def open(cls, request: web.BaseRequest, response: web.StreamResponse, pause_s: float) -> _DribblingWire:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client went away")
        headers: Mapping[str, str] = {**response.headers, "Connection": "close"}
        lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers.items()), ""]
        for line in lines:
            await asyncio.sleep(pause_s)
            transport.write(f"{line}\r\n".encode("latin-1"))
        return cls(response, transport)

    async def send(self, data: bytes | bytearray) -> None:
        self._transport.write(bytes(data))

    async def end(self) -> web.StreamResponse:
        self._transport.close()
        # The loss of the connection cancels this handler.
        await asyncio.get_running_loop().create_future()
        return self._response
