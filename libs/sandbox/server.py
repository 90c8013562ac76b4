"""The sandbox as a server: lets callers in, asks dialect, rules and directives, answers, and writes the bill."""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from libs.sandbox import control
from libs.sandbox.answers import make_answer
from libs.sandbox.bill import Bill, Entry
from libs.sandbox.delivery import Delivery
from libs.sandbox.dialect import Dialect, Question, Refusal
from libs.sandbox.dialects.openai_chat import OpenAIChat
from libs.sandbox.directives import NO_DIRECTIVES, Directives, find_directives, read_directives
from libs.sandbox.model_list import send_models
from libs.sandbox.rules import RuleBook

DEFAULT_MODELS = ("sandbox-small", "sandbox-large", "sandbox-reasoner", "gpt-4o-mini", "gpt-4.1-mini")
"""Listed and answered. The last two carry names that price catalogues know."""

MODEL_PREFIX = "sandbox-"
"""Any model whose name begins so is answered too, so that a test can name its own."""

REASONING_MODEL = "sandbox-reasoner"
_REASONING_TOKENS = 12

KEY_PREFIX = "sk-sandbox-"
_MAX_BODY_BYTES = 64 * 1024 * 1024
_REMEMBERED_REQUESTS = 1_000
_SHUTDOWN_TIMEOUT_S = 0.5
_CALL_HEADER = "x-gatehouse-attempt"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """A request as it came in, for tests; the headers are without the key."""

    path: str
    headers: dict[str, str]
    body: bytes


class Sandbox:
    """A local provider. Use as `async with Sandbox() as sandbox:` and call `sandbox.url`.

    `port` 0 takes a free one. `pace_ms` is the pause before each chunk. `keep_requests` remembers the newest
    1,000 requests in `requests`. Entering raises OSError when the port is taken or the bill cannot be opened.
    Everything runs on the event loop that entered it; no method may be called from another thread.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        bill_path: Path | None = None,
        pace_ms: float = 0.0,
        key_prefix: str = KEY_PREFIX,
        models: tuple[str, ...] = DEFAULT_MODELS,
        keep_requests: bool = False,
    ) -> None:
        self.host = host
        self.port = port
        self.models = models
        self.pace_ms = pace_ms
        self.rules = RuleBook()
        self.requests: deque[SeenRequest] = deque(maxlen=_REMEMBERED_REQUESTS)
        self._bill_path = bill_path
        self._bill: Bill | None = None
        self._key_prefix = key_prefix
        self._keep_requests = keep_requests
        self._runner: web.ServerRunner | None = None
        self._closing = False
        # Unique over restarts, because a bill file outlives the process.
        self._run_id = secrets.token_hex(4)
        self._serial = itertools.count(1)
        dialects: tuple[Dialect, ...] = (OpenAIChat(),)
        self._by_chat_path = {dialect.chat_path: dialect for dialect in dialects}
        self._by_models_path = {dialect.models_path: dialect for dialect in dialects}

    @property
    def url(self) -> str:
        """`http://host:port`, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def bill(self) -> Bill:
        """The bill. Raises RuntimeError before the sandbox is entered."""
        if self._bill is None:
            raise RuntimeError("the sandbox has not been started")
        return self._bill

    async def __aenter__(self) -> Self:
        self._bill = Bill(self._bill_path)
        server = web.Server(
            self._handle,
            request_factory=_make_request,
            handler_cancellation=True,
            access_log=None,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, self.host, self.port).start()
        except BaseException:
            await self._runner.cleanup()
            self._bill.close()
            raise
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        if self._runner is not None:
            await self._runner.cleanup()
        self.bill.close()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        dialect = self._by_chat_path.get(path)
        if dialect is not None and request.method == "POST":
            return await self._chat(request, dialect)
        listing = self._by_models_path.get(path)
        if listing is not None and request.method == "GET":
            try:
                return await self._list(request, listing)
            except Refusal as refusal:
                return _refuse(listing, refusal)
        response = await control.respond(request, self.rules, self.bill)
        if response is not None:
            return response
        known = dialect or listing
        status = 405 if known else 404
        unknown = Refusal(status, f"Invalid URL ({request.method} {path[:200]})")
        return _refuse(known or next(iter(self._by_chat_path.values())), unknown)

    async def _list(self, request: web.BaseRequest, dialect: Dialect) -> web.Response:
        if self._keep_requests:
            self.requests.append(_seen(request, b""))
        key = dialect.key(request.headers)
        self._check_key(key, dialect)
        ordered = self.rules.take(None, key)
        wishes = NO_DIRECTIVES if ordered is None else read_directives(ordered)
        if wishes.status is not None:
            raise _ordered_refusal(dialect, wishes, wishes.status, "", key)
        return await send_models(request, dialect, self.models, wishes)

    async def _chat(self, request: web.BaseRequest, dialect: Dialect) -> web.StreamResponse:
        key = dialect.key(request.headers)
        entry_id = f"req_{self._run_id}{next(self._serial):08x}"
        entry = Entry(self.bill, entry_id, dialect.name, key, request.headers.get(_CALL_HEADER))
        try:
            return await self._answer(request, dialect, key, entry)
        except Refusal as refusal:
            entry.finish("refused", refusal.status)
            return _refuse(dialect, refusal, entry.entry_id)
        except (asyncio.CancelledError, ConnectionError):
            entry.finish("cut" if self._closing else "client_gone", None)
            raise

    async def _answer(self, request: web.BaseRequest, dialect: Dialect, key: str, entry: Entry) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refusal(413, f"The body is larger than {_MAX_BODY_BYTES} bytes.") from None
        if self._keep_requests:
            self.requests.append(_seen(request, body))
        self._check_key(key, dialect)
        question = dialect.read(body)
        entry.model, entry.stream = question.model, question.stream
        if not question.model.startswith(MODEL_PREFIX) and question.model not in self.models:
            raise dialect.standard_refusal(404, None, question.model[:200])
        entry.prompt_tokens = question.prompt_tokens
        wishes = self._wishes(question, key)
        entry.cached_tokens = min(wishes.cached, question.prompt_tokens)
        entry.accept()
        delivery = Delivery(request, entry, wishes, pace_ms=self.pace_ms)
        response = await delivery.before_answer()
        if response is not None:
            return response
        if wishes.status is not None:
            raise _ordered_refusal(dialect, wishes, wishes.status, question.model, key)
        reasoning = _REASONING_TOKENS if question.model == REASONING_MODEL else 0
        answer = make_answer(question, wishes, default_reasoning=reasoning)
        send = delivery.send_stream if question.stream else delivery.send_whole
        return await send(dialect, question, answer)

    def _check_key(self, key: str, dialect: Dialect) -> None:
        if not key:
            raise Refusal(
                401, "You didn't provide an API key. Send it as `Authorization: Bearer KEY`.", code="invalid_api_key"
            )
        if not key.startswith(self._key_prefix) or len(key) == len(self._key_prefix):
            raise dialect.standard_refusal(401, None, "")

    def _wishes(self, question: Question, key: str) -> Directives:
        ordered = self.rules.take(question.model, key)
        asked = find_directives(question.user_text)
        if ordered is None and asked is None:
            return NO_DIRECTIVES
        return read_directives({**(ordered or {}), **(asked or {})})


def _ordered_refusal(dialect: Dialect, wishes: Directives, status: int, model: str, key: str) -> Refusal:
    refusal = dialect.standard_refusal(status, wishes.code, model)
    refusal.retry_after_s = wishes.retry_after
    refusal.location = wishes.location
    if wishes.echo_key:
        refusal.message = f"{refusal.message} The key was {key}."
    return refusal


def _refuse(dialect: Dialect, refusal: Refusal, request_id: str | None = None) -> web.Response:
    headers = {}
    if request_id is not None:
        headers["x-request-id"] = request_id
    if refusal.location is not None:
        headers["location"] = refusal.location
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(refusal.retry_after_s))
        headers["retry-after-ms"] = str(math.ceil(refusal.retry_after_s * 1000))
    return web.Response(
        status=refusal.status, body=dialect.refusal(refusal), content_type="application/json", headers=headers
    )


def _seen(request: web.BaseRequest, body: bytes) -> SeenRequest:
    headers = {name.lower(): value for name, value in request.headers.items() if name.lower() != "authorization"}
    return SeenRequest(path=request.path, headers=headers, body=body)


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """What aiohttp does itself, with room for images in the body."""
    return web.BaseRequest(
        message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=_MAX_BODY_BYTES
    )
