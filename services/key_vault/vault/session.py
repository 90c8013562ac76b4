"""One thread's session with Vault: logs in by itself, seals with the transit engine, opens batches.

The only module that knows hvac. hvac is made to hand back plain answers: its exceptions would carry Vault's texts and
the request with the material, and so would those of requests, so neither leaves this module nor hangs on our errors.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import requests
import urllib3.exceptions
from hvac.adapters import RawAdapter
from hvac.api.auth_methods import AppRole
from hvac.api.secrets_engines import Transit

from libs.core.clock import Clock
from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.errors import vault_denied, vault_unreachable
from services.key_vault.domain.ports import Ciphertext
from services.key_vault.vault.answers import (
    Answer,
    check_health,
    ciphertext_of,
    failure_of,
    login_of,
    materials_of,
)
from services.key_vault.vault.connection import AppRoleFiles, VaultAddress

# 256 keys of 8 KiB in base64 are 2.8 MB; nothing Vault answers us is larger than that.
_MOST_ANSWER_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
# A token is exchanged after this part of its life, so that in the usual course no call meets an expired one.
_RENEWED_AFTER = 2 / 3


class TransitSession:
    """A keep-alive connection and a token. For use by one thread; blocks.

    Every method raises Unavailable `VAULT_SEALED`, `VAULT_UNREACHABLE` or `VAULT_DENIED`, and nothing else.
    """

    def __init__(self, address: VaultAddress, role: AppRoleFiles, clock: Clock) -> None:
        self._address = address
        self._role = role
        self._clock = clock
        self._http = _http_session(address)
        self._adapter = RawAdapter(
            base_uri=address.url,
            session=self._http,
            namespace=address.namespace,
            timeout=(address.connect_timeout_s, address.read_timeout_s),
            # A redirect would carry the token to wherever it points.
            allow_redirects=False,
            ignore_exceptions=True,
        )
        self._transit = Transit(self._adapter)
        self._approle = AppRole(self._adapter)
        self._renew_at: float | None = None

    def seal(self, material: Secret, context: bytes) -> str:
        """The ciphertext of `material`, which opens only in `context`."""
        answer = self._authorized(
            lambda: self._transit.encrypt_data(
                self._address.transit_key,
                plaintext=b64encode(material.reveal()).decode(),
                context=b64encode(context).decode(),
                mount_point=self._address.transit_mount,
            )
        )
        return ciphertext_of(answer)

    def open(self, ciphertexts: Sequence[Ciphertext]) -> list[Secret | None]:
        """The material of each, in one request; None for one that does not open in its context."""
        batch = [{"ciphertext": each.text, "context": b64encode(each.context).decode()} for each in ciphertexts]
        answer = self._authorized(
            lambda: self._transit.decrypt_data(
                self._address.transit_key, batch_input=batch, mount_point=self._address.transit_mount
            )
        )
        return materials_of(answer, len(batch))

    def check(self) -> None:
        """Return when Vault is active and has let this identity in. Makes no entry in the audit log after that."""
        check_health(self._send(lambda: self._adapter.get("/v1/sys/health")))
        self._log_in_when_due()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _authorized(self, request: Callable[[], Any]) -> Answer:
        self._log_in_when_due()
        answer = self._send(request)
        if answer.status == HTTPStatus.FORBIDDEN:
            # The token was revoked or ended early. Once: what a new token may not either is a matter of policy.
            self._log_in()
            answer = self._send(request)
            if answer.status == HTTPStatus.FORBIDDEN:
                raise failure_of(answer)
        return answer

    def _log_in_when_due(self) -> None:
        if self._renew_at is None or self._clock.monotonic() >= self._renew_at:
            self._log_in()

    def _log_in(self) -> None:
        self._adapter.token = None
        self._renew_at = None
        role_id, secret_id = self._credentials()
        login = login_of(
            self._send(
                lambda: self._approle.login(
                    role_id, secret_id, use_token=False, mount_point=self._address.approle_mount
                )
            )
        )
        self._adapter.token = login.token
        life_s = login.lease_s * _RENEWED_AFTER if login.lease_s else float("inf")
        self._renew_at = self._clock.monotonic() + life_s

    def _credentials(self) -> tuple[str, str]:
        try:
            return self._role.role_id.read_text("ascii").strip(), self._role.secret_id.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            failure = vault_denied()
        raise failure

    def _send(self, request: Callable[[], Any]) -> Answer:
        answer = self._try(request)
        if answer is None:
            # A kept connection that Vault closed meanwhile breaks like this. All our requests may be repeated.
            answer = self._try(request)
        if answer is None:
            raise vault_unreachable()
        return answer

    def _try(self, request: Callable[[], Any]) -> Answer | None:
        """The answer, None when the connection broke before there was one."""
        failure: Unavailable | None = None
        try:
            with request() as response:
                return Answer(response.status_code, self._body(response))
        except requests.Timeout:
            failure = vault_unreachable()
        except requests.ConnectionError:
            pass
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError):
            # Broken HTTP, a body cut short, a CA file that cannot be read.
            failure = vault_unreachable()
        # Raised out here: inside, the exception with the request in it would hang on it as its context.
        if failure is not None:
            raise failure
        return None

    def _body(self, response: requests.Response) -> bytes:
        # The read timeout is for each packet, so a body that drips needs a bound of its own; `read1` returns what is
        # there where the usual ways to read wait for more.
        ends = time.monotonic() + self._address.read_timeout_s
        body = bytearray()
        while piece := response.raw.read1(_PIECE_BYTES):
            body += piece
            if len(body) > _MOST_ANSWER_BYTES or time.monotonic() > ends:
                raise requests.Timeout
        return bytes(body)


def _http_session(address: VaultAddress) -> requests.Session:
    session = requests.Session()
    # No proxy, netrc or CA bundle from the environment: the way to Vault is what the settings say.
    session.trust_env = False
    session.verify = str(address.ca_file)
    session.stream = True
    session.headers["Accept-Encoding"] = "identity"
    return session
