"""The providers' lists of models, which a test of a provider asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

import aiohttp

from libs.core.secret import Secret
from services.router.domain.probe import Endpoint
from services.router.providers.base import FROM_ORIGIN, Dialect
from services.router.providers.http.access_tokens import AccessTokens
from services.router.providers.http.credentials import Credential, credential_headers
from services.router.providers.http.responses import HTTP_OK, failure, whole_body
from services.router.providers.http.session import USER_AGENT
from services.router.providers.http.transport import translated, within
from services.router.providers.http.vetted_http import VettedHttp

# The longest of the known lists, of a gateway to some hundred models, has a third of it.
_MAX_LIST_BYTES = 2 * 1024 * 1024


class HttpModelLists:
    """A `probe.ModelLists` over `http`."""

    def __init__(
        self,
        http: VettedHttp,
        dialects: Mapping[str, Dialect],
        *,
        connect_s: float,
        tokens: AccessTokens | None = None,
    ) -> None:
        self._http = http
        self._dialects = dialects
        self._connect_s = connect_s
        self._tokens = tokens or AccessTokens(http)

    def requires_key(self, type_: str) -> bool:
        """Whether a provider of this type cannot be asked without a key."""
        return self._dialects[type_].requires_key

    async def read(self, endpoint: Endpoint, key: Secret | None, *, timeout_s: float) -> frozenset[str]:
        """The ids of a provider's list. Raises ProviderError."""
        dialect = self._dialects[endpoint.type]
        deadline = asyncio.get_running_loop().time() + timeout_s

        def send(credential: Credential) -> Awaitable[bytes]:
            return within("total", deadline, self._body(dialect, endpoint, credential))

        body = await self._tokens.used(dialect, key, endpoint.options, send, timer="total", deadline=deadline)
        return dialect.decode_models(body)

    async def _body(self, dialect: Dialect, endpoint: Endpoint, credential: Credential) -> bytes:
        path = dialect.models_path(endpoint.options)
        elsewhere = path.startswith(FROM_ORIGIN)
        base_url = endpoint.origin if elsewhere else endpoint.base_url
        get = self._http.session.get(
            self._http.destination(base_url, path.removeprefix(FROM_ORIGIN)),
            # Made in place: a name for it would put the key into the frames of every traceback.
            headers=_headers(dialect, endpoint, credential),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_s),
            allow_redirects=False,
        )
        response = await translated(get, sent=False)
        if response.status != HTTP_OK:
            raise await failure(dialect, response, credential.secret)
        return await whole_body(response, _MAX_LIST_BYTES)


def _headers(dialect: Dialect, endpoint: Endpoint, credential: Credential) -> dict[str, str]:
    return {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        **dialect.option_headers(endpoint.options),
        **credential_headers(dialect, credential, endpoint.options),
    }
