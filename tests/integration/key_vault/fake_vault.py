"""An HTTP server in the place of Vault that answers whatever a test wants."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    token: str | None
    body: dict[str, Any]
    method: str = "POST"


@dataclass(frozen=True)
class Reply:
    """What to answer. `delay_s`: before the first byte; `drip_s`: before each byte of the body; `cut`: hang up
    without an answer; `hang_up`: after one; `after`: bytes that follow it soon; `raw`: all there is, head and body.
    """

    status: int = 200
    body: bytes | dict[str, Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    cut: bool = False
    hang_up: bool = False
    after: bytes = b""
    raw: bytes = b""


REQUEST_ID = "5e0a2bd4-1111-2222-3333-444455556666"


def vault_errors(status: int, text: str = "canary of vault") -> Reply:
    return Reply(status, {"errors": [text]})


def behaves(request: Received) -> Reply:
    """A Vault that works: ciphertexts are the plaintexts, bound to nothing; every token is good."""
    data: dict[str, Any]
    match request.path.removeprefix("/v1/").partition("?")[0].split("/"):
        case ["auth", mount, "login"]:
            return _auth("token-" + (request.body.get("role_id") or f"{mount}-{request.body['role']}"))
        case ["auth", "token", "renew-self"]:
            return _auth(request.token or "")
        case ["auth", "token", "lookup-self"]:
            data = {"ttl": 3600}
        case ["sys", "health"]:
            return Reply(body={"initialized": True, "sealed": False, "standby": False})
        case ["transit", *rest]:
            data = _transit(rest, request.body)
        case ["secret", "data", *path]:
            data = {"data": {"api_key": f"sk-{'-'.join(path)}"}, "metadata": {"version": 1}}
        case _:
            return vault_errors(404)
    return Reply(body={"request_id": REQUEST_ID, "data": data})


def _transit(path: list[str], body: dict[str, Any]) -> dict[str, Any]:
    batch: list[dict[str, str]] = body.get("batch_input", [])
    results: list[dict[str, Any]] = []
    match path:
        case ["encrypt", "provider-keys"]:
            return {"ciphertext": "vault:v1:" + body["plaintext"]}
        case ["decrypt", "provider-keys"]:
            results = [{"plaintext": each["ciphertext"].removeprefix("vault:v1:")} for each in batch]
        case ["rewrap", "provider-keys"]:
            results = [{"ciphertext": each["ciphertext"].replace(":v1:", ":v2:")} for each in batch]
        case ["keys", "provider-keys", *_]:
            return {"latest_version": 2}
        case ["sign", "audit-anchors"]:
            return {"signature": "vault:v1:" + body["input"]}
        case ["verify", "audit-anchors"]:
            results = [{"valid": each["signature"] == "vault:v1:" + each["input"]} for each in batch]
    return {"batch_results": results}


def _auth(token: str) -> Reply:
    return Reply(body={"auth": {"client_token": token, "lease_duration": 3600, "renewable": True}})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fake: FakeVault) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake

    def handle_error(self, *_: Any) -> None:
        """A client that hung up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 20
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.fake.connections += 1

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        request = Received(self.path, self.headers.get("X-Vault-Token"), body, self.command)
        self.server.fake.received.append(request)
        self.reply(self.server.fake.answer(request))

    do_GET = do_POST = handle_any  # noqa: N815 - the names http.server looks for

    def reply(self, reply: Reply) -> None:
        time.sleep(reply.delay_s)
        self.close_connection = reply.cut or reply.hang_up
        if reply.cut:
            return
        if reply.raw:
            self.wfile.write(reply.raw)
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in reply.headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for piece in [bytes([byte]) for byte in body] if reply.drip_s else [body]:
            self.wfile.write(piece)
            time.sleep(reply.drip_s)
        if reply.after:
            time.sleep(0.05)
            self.wfile.write(reply.after)

    def log_message(self, *_: Any) -> None:
        pass


class FakeVault:
    """Listens on 127.0.0.1; `answer` can be exchanged while it runs, `received` is what came."""

    def __init__(self) -> None:
        self.answer: Callable[[Received], Reply] = behaves
        self.received: list[Received] = []
        self.connections = 0
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def paths(self) -> list[str]:
        """What was asked for, in order: `health`, `login`, `renew-self`, `decrypt`, …"""
        return [_what(request.path) for request in self.received]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def on(path: str, *replies: Reply) -> Callable[[Received], Reply]:
    """A Vault that works but for `path`, which answers with `replies` one after the other, the last one for ever."""
    remaining = list(replies)

    def answer(request: Received) -> Reply:
        if not request.path.startswith(path):
            return behaves(request)
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return answer


def _what(path: str) -> str:
    parts = path.removeprefix("/v1/").split("/")
    return parts[-1] if parts[0] in ("auth", "secret") else parts[1]


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
