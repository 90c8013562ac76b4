"""The sandbox as a server: lets callers in, asks dialect, rules and directives, answers, and writes the bill."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from libs.sandbox import control
from libs.sandbox.answers import make_answer, make_embeddings
from libs.sandbox.bill import Bill, Entry, Operation
from libs.sandbox.delivery import Delivery
from libs.sandbox.dialect import Call, Dialect, Endpoint, Refusal
from libs.sandbox.dialects import DIALECTS
from libs.sandbox.directives import NO_DIRECTIVES, Directives, find_directives, read_directives
from libs.sandbox.model_list import send_free
from libs.sandbox.rules import RuleBook
from libs.sandbox.seen_request import SeenRequest

DEFAULT_MODELS = (
    "sandbox-small",
    "sandbox-large",
    "sandbox-reasoner",
    "sandbox-embed",
    "gpt-4o-mini",
    "gpt-4.1-mini",
)
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
        dialect = _nearest(path)
        try:
            for dialect in DIALECTS:
                route = dialect.route(request.method, path)
                if route is not None:
                    call = Call(
                        route=route, method=request.method, path=path, query=request.query, headers=request.headers
                    )
                    return await self._serve(request, dialect, call)
            response = await control.respond(request, self.rules, self.bill)
            if response is not None:
                return response
            dialect = _nearest(path)
            raise dialect.unknown(request.method, path, 404)
        except Refusal as refusal:
            return _refuse(dialect, refusal)

    async def _serve(self, request: web.BaseRequest, dialect: Dialect, call: Call) -> web.StreamResponse:
        match call.route.endpoint:
            case Endpoint.CHAT | Endpoint.EMBEDDINGS:
                return await self._billed(request, dialect, call)
            case Endpoint.MODELS:
                return await self._list(request, dialect, call)
            case Endpoint.TOKEN:
                return await self._token(request, dialect, call)

    async def _list(self, request: web.BaseRequest, dialect: Dialect, call: Call) -> web.Response:
        self._remember(call)
        key = dialect.key(call.headers)
        self._check_key(key, dialect)
        wishes = self._wishes(None, key, "")
        if wishes.status is not None:
            raise _ordered_refusal(dialect, wishes, wishes.status, "", key)
        return await send_free(request, dialect.models(self.models, call), wishes)

    async def _token(self, request: web.BaseRequest, dialect: Dialect, call: Call) -> web.Response:
        call = replace(call, body=await _body(request))
        self._remember(call)
        wishes = self._wishes(None, None, "")
        if wishes.status is not None:
            raise _ordered_refusal(dialect, wishes, wishes.status, "", "")
        return await send_free(request, dialect.token(call), wishes)

    async def _billed(self, request: web.BaseRequest, dialect: Dialect, call: Call) -> web.StreamResponse:
        key = dialect.key(call.headers)
        entry_id = f"req_{self._run_id}{next(self._serial):08x}"
        operation: Operation = "chat" if call.route.endpoint is Endpoint.CHAT else "embeddings"
        entry = Entry(self.bill, entry_id, dialect.name, key, call.headers.get(_CALL_HEADER), operation=operation)
        try:
            call = replace(call, body=await _body(request))
            self._remember(call)
            self._check_key(key, dialect)
            answer = self._answer if operation == "chat" else self._embed
            return await answer(request, dialect, call, key, entry)
        except Refusal as refusal:
            entry.finish("refused", refusal.status)
            return _refuse(dialect, refusal, entry.entry_id)
        except (asyncio.CancelledError, ConnectionError):
            entry.finish("cut" if self._closing else "client_gone", None)
            raise

    async def _answer(
        self, request: web.BaseRequest, dialect: Dialect, call: Call, key: str, entry: Entry
    ) -> web.StreamResponse:
        question = dialect.read(call)
        entry.model, entry.stream = question.model, question.stream
        self._check_model(question.model, dialect)
        entry.prompt_tokens = question.prompt_tokens
        wishes = self._wishes(question.model, key, question.user_text)
        entry.cached_tokens = min(wishes.cached, question.prompt_tokens)
        delivery, response = await self._accepted(request, dialect, entry, wishes, key)
        if response is not None:
            return response
        reasoning = _REASONING_TOKENS if question.model == REASONING_MODEL else 0
        answer = make_answer(question, wishes, default_reasoning=reasoning)
        send = delivery.send_stream if question.stream else delivery.send_whole
        return await send(question, answer)

    async def _embed(
        self, request: web.BaseRequest, dialect: Dialect, call: Call, key: str, entry: Entry
    ) -> web.StreamResponse:
        question = dialect.read_embedding(call)
        entry.model, entry.stream = question.model, False
        self._check_model(question.model, dialect)
        entry.prompt_tokens = question.prompt_tokens
        wishes = self._wishes(question.model, key, "\n".join(question.inputs))
        delivery, response = await self._accepted(request, dialect, entry, wishes, key)
        if response is not None:
            return response
        return await delivery.send_embeddings(question, make_embeddings(question, wishes))

    async def _accepted(
        self, request: web.BaseRequest, dialect: Dialect, entry: Entry, wishes: Directives, key: str
    ) -> tuple[Delivery, web.StreamResponse | None]:
        """The delivery of an answer, and the response that comes instead of one. Raises Refusal when told to."""
        entry.accept()
        delivery = Delivery(request, entry, dialect, wishes, pace_ms=self.pace_ms)
        response = await delivery.before_answer()
        if response is None and wishes.status is not None:
            raise _ordered_refusal(dialect, wishes, wishes.status, entry.model or "", key)
        return delivery, response

    def _remember(self, call: Call) -> None:
        if self._keep_requests:
            self.requests.append(SeenRequest.of(call))

    def _check_key(self, key: str, dialect: Dialect) -> None:
        if not key:
            if dialect.requires_key:
                raise dialect.no_key()
        elif not key.startswith(self._key_prefix) or len(key) == len(self._key_prefix):
            raise dialect.wrong_key()

    def _check_model(self, model: str, dialect: Dialect) -> None:
        if not model.startswith(MODEL_PREFIX) and model not in self.models:
            raise dialect.standard_refusal(404, None, model[:200])

    def _wishes(self, model: str | None, key: str | None, text: str) -> Directives:
        ordered = self.rules.take(model, key)
        asked = find_directives(text)
        if ordered is None and asked is None:
            return NO_DIRECTIVES
        return read_directives({**(ordered or {}), **(asked or {})})


def _nearest(path: str) -> Dialect:
    """Whose words a request for a path that nobody knows is refused in."""
    fitting = [dialect for dialect in DIALECTS if path.startswith(f"{dialect.prefix}/")]
    return max(fitting, key=lambda dialect: len(dialect.prefix), default=DIALECTS[0])


async def _body(request: web.BaseRequest) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Refusal(413, f"The body is larger than {_MAX_BODY_BYTES} bytes.") from None


def _ordered_refusal(dialect: Dialect, wishes: Directives, status: int, model: str, key: str) -> Refusal:
    refusal = dialect.standard_refusal(status, wishes.code, model)
    refusal.retry_after_s = wishes.retry_after
    refusal.location = wishes.location
    if wishes.echo_key:
        refusal.message = f"{refusal.message} The key was {key}."
    return refusal


def _refuse(dialect: Dialect, refusal: Refusal, request_id: str | None = None) -> web.Response:
    headers = dict(dialect.refusal_headers(refusal))
    if request_id is not None and dialect.request_id_header is not None:
        headers[dialect.request_id_header] = request_id
    if refusal.location is not None:
        headers["location"] = refusal.location
    return web.Response(
        status=refusal.status, body=dialect.refusal(refusal), content_type="application/json", headers=headers
    )


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
