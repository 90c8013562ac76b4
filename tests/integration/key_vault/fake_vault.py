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


@dataclass(frozen=True)
class Reply:
    """What to answer. `delay_s`: before the first byte; `drip_s`: before each byte of the body; `cut`: hang up
    without an answer; `hang_up`: after one.
    """

    status: int = 200
    body: bytes | dict[str, Any] = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    cut: bool = False
    hang_up: bool = False


def vault_errors(status: int, text: str = "canary of vault") -> Reply:
    return Reply(status, {"errors": [text]})


def behaves(request: Received) -> Reply:
    """A Vault that works: ciphertexts are the plaintexts, bound to nothing."""
    if request.path == "/v1/auth/approle/login":
        return Reply(body={"auth": {"client_token": "token-" + request.body["role_id"], "lease_duration": 3600}})
    if request.path == "/v1/sys/health":
        return Reply(body={"initialized": True, "sealed": False, "standby": False})
    if request.path == "/v1/transit/encrypt/provider-keys":
        return Reply(body={"data": {"ciphertext": "vault:v1:" + request.body["plaintext"]}})
    if request.path == "/v1/transit/decrypt/provider-keys":
        plaintexts = [each["ciphertext"].removeprefix("vault:v1:") for each in request.body["batch_input"]]
        return Reply(body={"data": {"batch_results": [{"plaintext": each} for each in plaintexts]}})
    return vault_errors(404)


class FakeVault:
    """Listens on 127.0.0.1; `answer` can be exchanged while it runs, `received` is what came."""

    def __init__(self) -> None:
        self.answer: Callable[[Received], Reply] = behaves
        self.received: list[Received] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                request = Received(self.path, self.headers.get("X-Vault-Token"), body)
                fake.received.append(request)
                self.reply(fake.answer(request))

            do_GET = do_POST = handle_any  # noqa: N815 - the names http.server looks for

            def reply(self, reply: Reply) -> None:
                time.sleep(reply.delay_s)
                self.close_connection = reply.cut or reply.hang_up
                if reply.cut:
                    return
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in reply.headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if not reply.drip_s:
                    self.wfile.write(body)
                    return
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(reply.drip_s)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that hung up is part of the tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def paths(self) -> list[str]:
        """The last parts of the paths asked for, in order."""
        return [request.path.removeprefix("/v1/").split("/")[1] for request in self.received]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()
