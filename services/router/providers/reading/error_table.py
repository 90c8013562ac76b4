"""What the failures of a provider mean, as a table: by its error codes, by its words, by the HTTP status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import orjson

from libs.telemetry.scrubbing import scrub_foreign_text
from services.router.domain.errors import ProviderError, Reason
from services.router.providers.reading.json_values import Json, malformed
from services.router.providers.reading.retry_hints import reset_after_s, retry_after_s

_MAX_MESSAGE = 300
_OK = 200
_CLIENT_ERROR, _SERVER_ERROR, _NO_STATUS = 400, 500, 600
_EXPLAINED = frozenset({Reason.PROVIDER_INVALID_REQUEST, Reason.CONTEXT_TOO_LONG, Reason.PROVIDER_MODEL_NOT_FOUND})

STATUSES: Mapping[int, Reason] = MappingProxyType(
    {
        400: Reason.PROVIDER_INVALID_REQUEST,
        401: Reason.PROVIDER_KEY_REJECTED,
        402: Reason.PROVIDER_BILLING,
        403: Reason.PROVIDER_PERMISSION_DENIED,
        404: Reason.PROVIDER_MODEL_NOT_FOUND,
        408: Reason.PROVIDER_TIMEOUT,
        413: Reason.CONTEXT_TOO_LONG,
        422: Reason.PROVIDER_INVALID_REQUEST,
        429: Reason.PROVIDER_RATE_LIMITED,
        503: Reason.PROVIDER_OVERLOADED,
        529: Reason.PROVIDER_OVERLOADED,
    }
)
"""What HTTP itself says, the same for all."""

_NO_NAMES: Mapping[str, Reason] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorTable:
    """One provider's failures.

    `codes`: what stands in its fields `code_fields`, and in the fields `detail_fields` of the entries of its `details`.
    `words`: what its message holds, lower case, for causes it tells in words only; they count where the status is in
    `worded_statuses` and no code said more. `status_names`: what stands in its fields `status` and `type` where that
    names the HTTP status, for errors that come without one. `statuses`: where it means something else than HTTP.
    `billing_hints`: whether its hint when to come back means something to an account without credit.
    """

    codes: Mapping[str, Reason]
    words: tuple[tuple[str, Reason], ...] = ()
    code_fields: tuple[str, ...] = ("code", "type")
    detail_fields: tuple[str, ...] = ()
    worded_statuses: frozenset[int] = frozenset({400, 422})
    status_names: Mapping[str, Reason] = field(default_factory=lambda: _NO_NAMES)
    statuses: Mapping[int, Reason] = field(default_factory=lambda: STATUSES)
    billing_hints: bool = True

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """What a failed response means. Status 200 is for a response that is no answer of the kind asked for."""
        error = error_object(body)
        if status == _OK:
            return self.embedded(error) if error else malformed()
        message = _message(error)
        reason = (
            self._by_code(error)
            or (self._by_words(message) if status in self.worded_statuses else None)
            or self._by_status(status)
        )
        return ProviderError(
            reason,
            status=status,
            retry_after_s=self._hint(reason, headers, error),
            # Only what concerns the request itself: texts about keys and accounts are not for callers.
            message=scrub_foreign_text(message)[:_MAX_MESSAGE] if reason in _EXPLAINED else "",
        )

    def embedded(self, error: object) -> ProviderError:
        """An error that came with HTTP 200, whole or inside a stream."""
        fields: Json = error if isinstance(error, dict) else {"message": error}
        status = _embedded_status(fields.get("code"))
        reason = (
            self._by_code(fields)
            or (self._by_words(_message(fields)) if status is None or status in self.worded_statuses else None)
            or (self._by_name(fields) if status is None else self._by_status(status))
        )
        reason = reason or Reason.PROVIDER_ERROR
        return ProviderError(reason, status=_OK, sent=True, retry_after_s=self._hint(reason, {}, fields))

    def _hint(self, reason: Reason, headers: Mapping[str, str], error: Json) -> float | None:
        if reason is Reason.PROVIDER_BILLING and not self.billing_hints:
            return None
        hint = retry_after_s(headers, error)
        return reset_after_s(headers, error) if hint is None and reason is Reason.PROVIDER_RATE_LIMITED else hint

    def _by_code(self, error: Json) -> Reason | None:
        for name in self.code_fields:
            value = error.get(name)
            if isinstance(value, str) and value in self.codes:
                return self.codes[value]
        for detail in _details(error) if self.detail_fields else ():
            for name in self.detail_fields:
                value = detail.get(name)
                if isinstance(value, str) and value in self.codes:
                    return self.codes[value]
        return None

    def _by_name(self, error: Json) -> Reason | None:
        for field_name in ("status", "type"):
            name = error.get(field_name)
            if isinstance(name, str) and name in self.status_names:
                return self.status_names[name]
        return None

    def _by_words(self, message: str) -> Reason | None:
        lowered = message.lower()
        return next((reason for words, reason in self.words if words in lowered), None)

    def _by_status(self, status: int) -> Reason:
        reason = self.statuses.get(status)
        if reason is not None:
            return reason
        if status >= _SERVER_ERROR:
            return Reason.PROVIDER_ERROR
        # Another 4xx is about the request; a redirect or any other 2xx is not this API at all.
        return Reason.PROVIDER_INVALID_REQUEST if status >= _CLIENT_ERROR else Reason.PROVIDER_BAD_RESPONSE


def _embedded_status(code: object) -> int | None:
    """Gateways put the status they saw into the error they pass on."""
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == len("429"):
        code = int(code)
    return code if isinstance(code, int) and _CLIENT_ERROR <= code < _NO_STATUS else None


def _details(error: Json) -> list[Json]:
    details = error.get("details")
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []


def error_object(body: bytes) -> Json:
    """The error in `body`: under `error`, the body itself, or either as the only entry of a list; empty for none."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        return {}
    error = parsed.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {"message": error}
    return parsed if isinstance(parsed.get("message"), str) else {}


def _message(error: Json) -> str:
    message = error.get("message")
    return message if isinstance(message, str) else ""
