"""The failures of servers that speak Chat Completions, in all their shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from services.router.domain.errors import ProviderError, Reason
from services.router.providers.formats.openai_errors import OPENAI_CODES, OPENAI_TYPES, OPENAI_WORDS
from services.router.providers.reading.error_table import ErrorTable

_Json = dict[str, Any]
_MOST_SHOWN = 5

_CODES: Mapping[str, Reason] = MappingProxyType(
    {
        **OPENAI_CODES,
        # llama.cpp
        "exceed_context_size_error": Reason.CONTEXT_TOO_LONG,
        "unavailable_error": Reason.PROVIDER_OVERLOADED,
        "not_supported_error": Reason.PROVIDER_INVALID_REQUEST,
        # Groq
        "tokens": Reason.PROVIDER_RATE_LIMITED,
        "capacity_exceeded": Reason.PROVIDER_OVERLOADED,
        "model_decommissioned": Reason.PROVIDER_MODEL_NOT_FOUND,
        "tool_use_failed": Reason.PROVIDER_ERROR,
        "json_validate_failed": Reason.PROVIDER_ERROR,
        # Mistral
        "invalid_model": Reason.PROVIDER_MODEL_NOT_FOUND,
        "service_tier_capacity_exceeded": Reason.PROVIDER_RATE_LIMITED,
        "rate_limited": Reason.PROVIDER_RATE_LIMITED,
        # Together
        "model_not_available": Reason.PROVIDER_MODEL_NOT_FOUND,
        "credit_limit": Reason.PROVIDER_BILLING,
    }
)
_WORDS: tuple[tuple[str, Reason], ...] = (
    *OPENAI_WORDS,
    # vLLM
    ("longer than the maximum model length", Reason.CONTEXT_TOO_LONG),
    ("exceeds the model's maximum", Reason.CONTEXT_TOO_LONG),
    # llama.cpp
    ("exceeds the available context size", Reason.CONTEXT_TOO_LONG),
    # With status 500, of images and audio for a model that was started without a projector for them.
    ("input is not supported", Reason.PROVIDER_INVALID_REQUEST),
    # LM Studio
    ("tokens to keep from the initial prompt", Reason.CONTEXT_TOO_LONG),
    ("cannot truncate prompt with n_keep", Reason.CONTEXT_TOO_LONG),
    ("when context the overflows", Reason.CONTEXT_TOO_LONG),
    # xAI; it also sends them with status 403
    ("maximum prompt length", Reason.CONTEXT_TOO_LONG),
    ("any credits", Reason.PROVIDER_BILLING),
    ("used all available credits", Reason.PROVIDER_BILLING),
    ("content violates usage guidelines", Reason.CONTENT_REFUSED),
    # Together
    ("tokens + `max_new_tokens` must be", Reason.CONTEXT_TOO_LONG),
    # DeepSeek
    ("insufficient balance", Reason.PROVIDER_BILLING),
    ("content exists risk", Reason.CONTENT_REFUSED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompatibleErrorTable(ErrorTable):
    """Also unpacks what gateways pass on (OpenRouter's `metadata.raw`) and what validators say (`detail`)."""

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """What a failed response means. Never raises."""
        # Zero arguments would not do: the class is made anew for its slots.
        return ErrorTable.classify(self, status, headers, _unpacked(body))

    def embedded(self, error: object) -> ProviderError:
        """An error that came with HTTP 200, whole or inside a stream."""
        return ErrorTable.embedded(self, _upstream(error) or error)


COMPATIBLE_ERRORS = CompatibleErrorTable(
    codes=_CODES, words=_WORDS, status_names=OPENAI_TYPES, worded_statuses=frozenset({400, 403, 422, 429, 500})
)


def _unpacked(body: bytes) -> bytes:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(parsed, dict):
        return body
    if (upstream := _upstream(parsed.get("error"))) is not None:
        return orjson.dumps({"error": upstream})
    for holder in (parsed, parsed.get("message")):
        if isinstance(holder, dict) and (message := _complaint(holder.get("detail"))):
            return orjson.dumps({"error": {**_codes_of(parsed), "message": message}})
    return body


def _upstream(error: object) -> _Json | None:
    """The error of the provider behind a gateway; of the gateway's own moderation, what says so."""
    metadata = error.get("metadata") if isinstance(error, dict) else None
    if not isinstance(metadata, dict) or not isinstance(error, dict):
        return None
    if "flagged_input" in metadata or "reasons" in metadata:
        return {**error, "code": "content_filter"}
    raw = metadata.get("raw")
    if isinstance(raw, str):
        try:
            raw = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return None
    inner = raw.get("error", raw) if isinstance(raw, dict) else None
    if isinstance(inner, str):
        inner = {"message": inner}
    # What the gateway said counts where the other said nothing.
    return (
        {**_codes_of(error), **{k: v for k, v in inner.items() if v is not None}} if isinstance(inner, dict) else None
    )


def _codes_of(error: _Json) -> _Json:
    return {name: error[name] for name in ("code", "type") if name in error}


def _complaint(detail: object) -> str:
    """What pydantic and FastAPI say is wrong."""
    if isinstance(detail, str):
        return detail
    said: list[str] = []
    for each in detail[:_MOST_SHOWN] if isinstance(detail, list) else ():
        if isinstance(each, dict) and isinstance(each.get("msg"), str):
            place = each.get("loc")
            where = ".".join(map(str, place)) if isinstance(place, list) else ""
            said.append(f"{where}: {each['msg']}" if where else each["msg"])
    return "; ".join(said)
