"""What Vault's answers mean: pure functions from status and body to results or our errors.

No text of an answer goes into an error: it may quote what was sent, or come from something that is no Vault.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any

import orjson

from libs.core.errors import Unavailable
from libs.core.secret import Secret
from services.key_vault.domain.errors import vault_denied, vault_sealed, vault_throttled, vault_unreachable
from services.key_vault.domain.ports import OpenedBatch

# A token becomes a header's value.
_TOKEN = re.compile(r"[\x21-\x7e]+")
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


class NoAnswer(Unavailable):
    """Vault said nothing at all, in time or ever; any other failure is something it said."""


def no_answer() -> NoAnswer:
    """For a connection that is refused, cut or too slow."""
    failure = vault_unreachable()
    return NoAnswer(failure.reason, failure.message, retry_delay_s=failure.retry_delay_s)


def again(failure: Unavailable) -> Unavailable:
    """The same failure as an exception of its own.

    One that was raised holds on to the frames it came through, with the material in them; it is not kept, and not
    raised twice.
    """
    return type(failure)(failure.reason, failure.message, retry_delay_s=failure.retry_delay_s)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    body: bytes = field(repr=False)

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The JSON object in the body, empty when it holds none."""
        try:
            document = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return document if isinstance(document, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A token and for how long it is good; 0 seconds means for ever."""

    token: str = field(repr=False)
    lease_s: int
    renewable: bool


def login_of(answer: Answer) -> Login:
    """What a login gave. Raises Unavailable."""
    if answer.status != HTTPStatus.OK:
        raise failure_of(answer)
    match answer.document:
        case {"auth": {"client_token": str(token), "lease_duration": int(lease_s), "renewable": bool(renewable)}} if (
            _TOKEN.fullmatch(token) and lease_s >= 0
        ):
            return Login(token=token, lease_s=lease_s, renewable=renewable)
    raise vault_unreachable()


def renewal_of(answer: Answer) -> Login | None:
    """What a renewal gave, None when Vault does not renew the token. Raises Unavailable."""
    if answer.status in _REFUSALS and _is_vaults(answer.document):
        return None
    return login_of(answer)


def is_refusal(answer: Answer) -> bool:
    """Whether Vault itself, and no proxy before it, says that the token is not good for this."""
    return answer.status == HTTPStatus.FORBIDDEN and _is_vaults(answer.document)


def token_is_alive(answer: Answer) -> bool:
    """Whether a token that was looked up exists. Raises Unavailable when that is not known."""
    if answer.status == HTTPStatus.OK:
        return True
    if is_refusal(answer):
        return False
    raise failure_of(answer)


def ciphertext_of(answer: Answer) -> str:
    """What an encryption gave. Raises Unavailable."""
    match _data_of(answer):
        case {"ciphertext": str(ciphertext)} if ciphertext.startswith("vault:"):
            return ciphertext
    raise vault_unreachable()


def opened_of(answer: Answer, count: int) -> OpenedBatch:
    """What a batch of `count` decryptions gave, None for an item that does not open. Raises Unavailable.

    The request id is empty when it is none that could be kept: at most 64 letters, digits and hyphens.
    """
    materials = [_material(result) for result in _batch_of(answer, count)]
    match answer.document:
        case {"request_id": str(request_id)} if _REQUEST_ID.fullmatch(request_id):
            return OpenedBatch(materials=materials, request_id=request_id)
    return OpenedBatch(materials=materials, request_id="")


def rewrapped_of(answer: Answer, count: int) -> list[str | None]:
    """What re-wrapping `count` ciphertexts gave, None for one that Vault refuses. Raises Unavailable."""
    return [_ciphertext(result) for result in _batch_of(answer, count)]


def key_version_of(answer: Answer) -> int:
    """The newest version of the transit key that was read. Raises Unavailable."""
    match _data_of(answer):
        case {"latest_version": int(version)} if version > 0:
            return version
    raise vault_unreachable()


def signature_of(answer: Answer) -> str:
    """What signing gave. Raises Unavailable."""
    match _data_of(answer):
        case {"signature": str(signature)} if signature.startswith("vault:"):
            return signature
    raise vault_unreachable()


def validity_of(answer: Answer) -> bool:
    """What verifying a batch of one signature gave. Raises Unavailable."""
    match _batch_of(answer, 1)[0]:
        case {"error": str(error)} if error:
            return False
        case {"valid": bool(valid)}:
            return valid
    raise vault_unreachable()


def secrets_of(answer: Answer, fields: Collection[str]) -> Mapping[str, Secret]:
    """Those of `fields` that hold text in the version of a secret that was read. Raises Unavailable.

    Nothing for a secret or version that is not there or was deleted.
    """
    document = answer.document
    if answer.status == HTTPStatus.NOT_FOUND and ("data" in document or _is_vaults(document)):
        return {}
    if answer.status != HTTPStatus.OK:
        raise failure_of(answer)
    match document:
        case {"data": {"data": dict(values), "metadata": dict()}}:
            wanted = ((each, values.get(each)) for each in fields)
            return {each: Secret(value.encode()) for each, value in wanted if isinstance(value, str)}
        case {"data": dict()}:
            # An engine of version 1 is mounted there.
            return {}
    raise vault_unreachable()


def check_done(answer: Answer) -> None:
    """Return when Vault did what it was asked to. Raises Unavailable."""
    if answer.status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
        raise failure_of(answer)


def check_health(answer: Answer) -> None:
    """Return when the answer of `sys/health` is that of an active node. Raises Unavailable."""
    if answer.status != HTTPStatus.OK or "sealed" not in answer.document:
        raise failure_of(answer)


def failure_of(answer: Answer) -> Unavailable:
    """What stands behind an answer that is not the one hoped for. All of it is this service's trouble, never the
    caller's: nothing here is about who calls.
    """
    if _is_vaults(answer.document):
        match answer.status:
            case HTTPStatus.SERVICE_UNAVAILABLE | HTTPStatus.NOT_IMPLEMENTED:
                return vault_sealed()
            case HTTPStatus.TOO_MANY_REQUESTS if "sealed" not in answer.document:
                # With "sealed" in it, it is a standby's health.
                return vault_throttled()
            case status if status in _REFUSALS:
                # Wrong credentials, a policy that lacks a path, a mount or transit key that is not there.
                return vault_denied()
    return vault_unreachable()


def _is_vaults(document: Mapping[str, Any]) -> bool:
    # A proxy in front of Vault answers 403 and 503 too, but not in these words.
    return isinstance(document.get("errors"), list) or "sealed" in document


def _data_of(answer: Answer) -> Mapping[str, Any]:
    if answer.status != HTTPStatus.OK:
        raise failure_of(answer)
    data = answer.document.get("data")
    return data if isinstance(data, dict) else {}


def _batch_of(answer: Answer, count: int) -> Sequence[object]:
    # A batch with any failed item is answered with 400, and each item still has its own result.
    if answer.status not in (HTTPStatus.OK, HTTPStatus.BAD_REQUEST):
        raise failure_of(answer)
    match answer.document:
        case {"data": {"batch_results": list(results)}} if len(results) == count:
            return results
    raise failure_of(answer)


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


def _ciphertext(result: object) -> str | None:
    match result:
        case {"error": str(error)} if error:
            return None
        case {"ciphertext": str(ciphertext)} if ciphertext.startswith("vault:"):
            return ciphertext
    raise vault_unreachable()
