"""Microsoft Entra's token endpoint, as far as applications use it: client credentials in, an access token out.

Source: Microsoft's guide "OAuth 2.0 client credentials flow", with its error codes.
"""

from __future__ import annotations

from hashlib import blake2b
from urllib.parse import parse_qsl

import orjson

from libs.sandbox.dialect import Call, Dialect, Endpoint, Refusal, Route

_SCOPE = "https://cognitiveservices.azure.com/.default"
_SECRET_PREFIX = "sk-sandbox-"  # noqa: S105 - what the sandbox's keys begin with
_LIFETIME_S = 3599
_NEEDED = ("grant_type", "client_id", "client_secret", "scope")


class Entra(Dialect):
    """The dialect; it has no state."""

    name = "entra"
    prefix = "/entra"
    request_id_header = "x-ms-request-id"

    def route(self, method: str, path: str) -> Route | None:
        """`/entra/{tenant}/oauth2/v2.0/token`."""
        tenant = path.removeprefix("/entra/").removesuffix("/oauth2/v2.0/token")
        if path != f"/entra/{tenant}/oauth2/v2.0/token" or not tenant or "/" in tenant:
            return None
        if method != "POST":
            raise self.unknown(method, path, 405)
        return Route(endpoint=Endpoint.TOKEN, action=tenant)

    def token(self, call: Call) -> bytes:
        """A token for an application. Raises Refusal in Entra's words."""
        form = dict(parse_qsl(call.body.decode(errors="replace")))
        for name in _NEEDED:
            if not form.get(name):
                raise Refusal(
                    400,
                    f"AADSTS900144: The request body must contain the following parameter: '{name}'.",
                    code="invalid_request",
                )
        if form["grant_type"] != "client_credentials":
            message = f"AADSTS70003: The app requested an unsupported grant type '{form['grant_type'][:64]}'."
            raise Refusal(400, message, code="unsupported_grant_type")
        if form["scope"] != _SCOPE:
            message = f"AADSTS70011: The provided value for scope {form['scope'][:200]} is not valid."
            raise Refusal(400, message, code="invalid_scope")
        secret = form["client_secret"]
        if not secret.startswith(_SECRET_PREFIX) or secret == _SECRET_PREFIX:
            raise Refusal(401, "AADSTS7000215: Invalid client secret provided.", code="invalid_client")
        known = "\n".join((call.route.action, form["client_id"], secret)).encode()
        return orjson.dumps(
            {
                "token_type": "Bearer",
                "expires_in": _LIFETIME_S,
                "ext_expires_in": _LIFETIME_S,
                "access_token": f"{_SECRET_PREFIX}entra-{blake2b(known, digest_size=16).hexdigest()}",
            }
        )

    def refusal(self, refusal: Refusal) -> bytes:
        """`{"error", "error_description"}`."""
        return orjson.dumps({"error": refusal.code, "error_description": refusal.message})

    def standard_refusal(self, status: int, code: str | None, model: str) -> Refusal:
        """What Entra says with a status."""
        usual = "temporarily_unavailable" if status in (429, 503) else "server_error"
        return Refusal(status, "AADSTS90033: A transient error has occurred. Please try again.", code=code or usual)

    def unknown(self, method: str, path: str, status: int) -> Refusal:
        """A path or method that Entra does not have."""
        return Refusal(status, "AADSTS900561: The endpoint only accepts POST requests.", code="invalid_request")
