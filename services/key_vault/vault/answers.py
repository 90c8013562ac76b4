"""What Vault's answers mean: pure functions from status and body to results or our errors.

No text of an answer goes into an error: it may quote what was sent, or come from something that is no Vault.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.errors import vault_denied, vault_sealed, vault_unreachable


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    body: bytes = field(repr=False)

    @property
    def document(self) -> Mapping[str, Any]:
        """The JSON object in the body, empty when it holds none."""
        try:
            document = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return document if isinstance(document, dict) else {}


@dataclass(frozen=True, slots=True)
class Login:
    """A token and for how long it is good; 0 seconds means for ever."""

    token: str = field(repr=False)
    lease_s: int


def login_of(answer: Answer) -> Login:
    """What a login gave. Raises Unavailable."""
    if answer.status != HTTPStatus.OK:
        raise failure_of(answer)
    match answer.document:
        case {"auth": {"client_token": str(token), "lease_duration": int(lease_s)}} if token.isprintable():
            return Login(token, lease_s)
    raise vault_unreachable()


def ciphertext_of(answer: Answer) -> str:
    """What an encryption gave. Raises Unavailable."""
    if answer.status != HTTPStatus.OK:
        raise failure_of(answer)
    match answer.document:
        case {"data": {"ciphertext": str(ciphertext)}} if ciphertext.startswith("vault:"):
            return ciphertext
    raise vault_unreachable()


def materials_of(answer: Answer, count: int) -> list[Secret | None]:
    """What a batch of `count` decryptions gave, None for an item that does not open. Raises Unavailable.

    A batch with any failed item is answered with 400, and each item still has its own result.
    """
    if answer.status not in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST):
        raise failure_of(answer)
    match answer.document:
        case {"data": {"batch_results": list(results)}} if len(results) == count:
            return [_material(result) for result in results]
    raise failure_of(answer)


def check_health(answer: Answer) -> None:
    """Return when the answer of `sys/health` is that of an active node. Raises Unavailable."""
    if answer.status != HTTPStatus.OK or "sealed" not in answer.document:
        raise failure_of(answer)


def failure_of(answer: Answer) -> Unavailable:
    """What stands behind an answer that is not the one hoped for. All of it is this service's trouble, never the
    caller's: nothing here is about who calls.
    """
    match answer.status:
        case HTTPStatus.SERVICE_UNAVAILABLE if _is_vaults(answer.document):
            return vault_sealed()
        case HTTPStatus.NOT_IMPLEMENTED if _is_vaults(answer.document):
            return vault_sealed()
        case HTTPStatus.BAD_REQUEST | HTTPStatus.FORBIDDEN | HTTPStatus.NOT_FOUND if _is_vaults(answer.document):
            # Wrong credentials, a policy that lacks a path, a mount or transit key that is not there.
            return vault_denied()
    return vault_unreachable()


def _is_vaults(document: Mapping[str, Any]) -> bool:
    # A proxy in front of Vault answers 403 and 503 too, but not in these words.
    return isinstance(document.get("errors"), Sequence) or "sealed" in document


def _material(result: object) -> Secret | None:
    match result:
        case {"error": str(error)} if error:
            return None
        case {"plaintext": str(plaintext)}:
            try:
                return Secret(binascii.a2b_base64(plaintext, strict_mode=True))
            except binascii.Error:
                pass
    raise vault_unreachable()
