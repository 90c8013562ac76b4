"""One thread's session with Vault: logs in by itself, seals, opens, re-wraps, signs, reads secrets.

The only module that knows hvac. hvac says what is asked of Vault and where; the adapter below it sends that over our
own transport and hands back plain answers. hvac's own adapters follow redirects with the token, resolve `..` in paths,
and raise exceptions that carry Vault's texts and the request with the material.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never
from urllib.parse import urlencode

import orjson
from hvac.adapters import Adapter
from hvac.api.auth_methods import AppRole, Kubernetes, Token
from hvac.api.secrets_engines import KvV2, Transit

from libs.core.secret import Secret
from services.key_vault.domain.errors import vault_denied
from services.key_vault.domain.ports import Ciphertext, OpenedBatch
from services.key_vault.vault.answers import (
    Answer,
    Login,
    check_done,
    check_health,
    ciphertext_of,
    is_refusal,
    key_version_of,
    login_of,
    opened_of,
    renewal_of,
    rewrapped_of,
    secrets_of,
    signature_of,
    token_is_alive,
    validity_of,
)
from services.key_vault.vault.connection import AppRoleFiles, Credentials, KubernetesRole, VaultAddress
from services.key_vault.vault.token import HeldToken, SharedToken
from services.key_vault.vault.transport import Transport

_Request = Callable[[], Any]


class VaultSession:
    """A connection, and a token shared with the other sessions of the same identity. For use by one thread; blocks.

    Every method raises Unavailable `VAULT_SEALED`, `VAULT_UNREACHABLE` or `VAULT_DENIED`, and nothing else.
    """

    def __init__(self, address: VaultAddress, credentials: Credentials, token: SharedToken) -> None:
        self._address = address
        self._credentials = credentials
        self._token = token
        self._transport = Transport(address)
        self._adapter = _Adapter(self._transport, address.namespace)
        self._transit = Transit(self._adapter)
        self._kv = KvV2(self._adapter)
        self._own_token = Token(self._adapter)

    def seal(self, material: Secret, context: bytes) -> str:
        """The ciphertext of `material`, which opens only in `context`."""
        return ciphertext_of(
            self._authorized(
                lambda: self._transit.encrypt_data(
                    self._address.transit_key,
                    plaintext=_base64(material.reveal()),
                    context=_base64(context),
                    mount_point=self._address.transit_mount,
                )
            )
        )

    def open(self, ciphertexts: Sequence[Ciphertext]) -> OpenedBatch:
        """The material of each, in one request; None for one that does not open in its context."""
        answer = self._authorized(
            lambda: self._transit.decrypt_data(
                self._address.transit_key, batch_input=_batch(ciphertexts), mount_point=self._address.transit_mount
            )
        )
        return opened_of(answer, len(ciphertexts))

    def rewrap(self, ciphertexts: Sequence[Ciphertext]) -> list[str | None]:
        """Each sealed with the newest version of the key, in one request; None for one that Vault refuses."""
        answer = self._authorized(
            lambda: self._transit.rewrap_data(
                self._address.transit_key,
                ciphertext=None,
                batch_input=_batch(ciphertexts),
                mount_point=self._address.transit_mount,
            )
        )
        return rewrapped_of(answer, len(ciphertexts))

    def sealing_version(self) -> int:
        """The newest version of the transit key."""
        return key_version_of(
            self._authorized(
                lambda: self._transit.read_key(self._address.transit_key, mount_point=self._address.transit_mount)
            )
        )

    def rotate_sealing_key(self) -> int:
        """Make a version of the transit key; the newest afterwards."""
        check_done(
            self._authorized(
                lambda: self._transit.rotate_key(self._address.transit_key, mount_point=self._address.transit_mount)
            )
        )
        # Older Vaults answer with nothing at all, so the outcome is read.
        return self.sealing_version()

    def sign(self, message: bytes) -> str:
        """Vault's signature of `message`."""
        return signature_of(
            self._authorized(
                lambda: self._transit.sign_data(
                    self._address.anchor_key, hash_input=_base64(message), mount_point=self._address.transit_mount
                )
            )
        )

    def verify(self, message: bytes, signature: str) -> bool:
        """Whether `signature` is one of `message`."""
        # As a batch of one, which hvac's own method does not offer: only there does Vault tell a signature that is
        # none from a key that is not there.
        batch = [{"input": _base64(message), "signature": signature}]
        url = f"/v1/{self._address.transit_mount}/verify/{self._address.anchor_key}"
        return validity_of(self._authorized(lambda: self._adapter.post(url, json={"batch_input": batch})))

    def read_secret(
        self, mount: str, path: str, version: int | None, fields: Collection[str]
    ) -> Mapping[str, Secret] | None:
        """Those of `fields` that hold text in a secret of the KV v2 engine at `mount`; None when Vault's policy
        refuses the secret.
        """
        answer = self._authorized(
            lambda: self._kv.read_secret_version(path, version, mount_point=mount, raise_on_deleted_version=False)
        )
        return None if is_refusal(answer) else secrets_of(answer, fields)

    def check_health(self) -> None:
        """Return when Vault is unsealed and active. Makes no entry in its audit log."""
        check_health(self._send(None, lambda: self._adapter.get("/v1/sys/health")))

    def keep_token(self) -> None:
        """Return when this identity has a token; renew it when it is due."""
        self._token.keep_alive(self._log_in, self._renew)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _authorized(self, request: _Request) -> Answer:
        """The answer to `request` with a token; a refusal only when another token would not change it."""
        held = self._token.current(self._log_in)
        answer = self._send(held, request)
        if not is_refusal(answer):
            return answer
        # It ended early, was revoked, or may not do this. Leases pile up in Vault when each call that its policy
        # refuses logs in anew, so that is done for a token that is gone, or so old that its role may have changed.
        if self._token.is_young(held) and token_is_alive(self._send(held, self._own_token.lookup_self)):
            return answer
        return self._send(self._token.exchange(held, self._log_in), request)

    def _log_in(self) -> Login:
        match self._credentials:
            case AppRoleFiles(role_id=role_id, secret_id=secret_id, mount=mount):
                method = AppRole(self._adapter)
                names = {"role_id": _line(role_id), "secret_id": _line(secret_id)}
            case KubernetesRole(role=role, token_file=token_file, mount=mount):
                method = Kubernetes(self._adapter)
                names = {"role": role, "jwt": _line(token_file)}
            case _:
                assert_never(self._credentials)
        return login_of(self._send(None, lambda: method.login(**names, use_token=False, mount_point=mount)))

    def _renew(self, held: HeldToken) -> Login | None:
        return renewal_of(self._send(held, lambda: self._own_token.renew_self(increment=f"{held.lease_s}s")))

    def _send(self, held: HeldToken | None, request: _Request) -> Answer:
        self._adapter.token = held.value if held is not None else None
        answer: Answer = request()
        return answer


class _Adapter(Adapter):  # type: ignore[misc]  # hvac has no types
    """What hvac's methods call, on our transport. Whatever Vault answers is an answer, not an exception."""

    def __init__(self, transport: Transport, namespace: str | None) -> None:
        # Not the parent's: it makes a `requests` session and reads its ways of the environment.
        self._transport = transport
        self._headers = {"X-Vault-Request": "true", "Accept-Encoding": "identity"}
        if namespace is not None:
            self._headers["X-Vault-Namespace"] = namespace
        self.token: str | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        json: object = None,
        params: Mapping[str, object] | None = None,
        wrap_ttl: None = None,  # noqa: ARG002 - hvac hands it over when it renews a token
    ) -> Answer:
        """The answer to a request with the current token. Raises Unavailable `VAULT_UNREACHABLE`."""
        headers = self._headers if self.token is None else {**self._headers, "X-Vault-Token": self.token}
        target = f"{url}?{urlencode(params)}" if params else url
        if json is None:
            return self._transport.exchange(method.upper(), target, headers, b"")
        headers = {**headers, "Content-Type": "application/json"}
        return self._transport.exchange(method.upper(), target, headers, orjson.dumps(json))

    def get_login_token(self, response: Answer) -> str:
        """The token of a login."""
        return login_of(response).token


def _batch(ciphertexts: Sequence[Ciphertext]) -> list[dict[str, str]]:
    return [{"ciphertext": each.text, "context": _base64(each.context)} for each in ciphertexts]


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def _line(file: Path) -> str:
    """The text in `file`. Raises Unavailable `VAULT_DENIED` when there is none: no login goes without."""
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        failure = vault_denied()
    # Out here: inside, what could not be decoded would hang on it as its context.
    raise failure
