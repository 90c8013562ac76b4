"""The failures of OpenAI's APIs, by their codes and words. Chat Completions and Responses share them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from services.router.domain.errors import Reason

OPENAI_CODES: Mapping[str, Reason] = MappingProxyType(
    {
        "context_length_exceeded": Reason.CONTEXT_TOO_LONG,
        "insufficient_quota": Reason.PROVIDER_BILLING,
        "billing_hard_limit_reached": Reason.PROVIDER_BILLING,
        "billing_not_active": Reason.PROVIDER_BILLING,
        "account_deactivated": Reason.PROVIDER_KEY_REJECTED,
        "invalid_api_key": Reason.PROVIDER_KEY_REJECTED,
        "model_not_found": Reason.PROVIDER_MODEL_NOT_FOUND,
        "unsupported_country_region_territory": Reason.PROVIDER_PERMISSION_DENIED,
        # By the usage policies.
        "content_policy_violation": Reason.CONTENT_REFUSED,
        "content_filter": Reason.CONTENT_REFUSED,
        "invalid_prompt": Reason.CONTENT_REFUSED,
        "image_content_policy_violation": Reason.CONTENT_REFUSED,
        "moderation_blocked": Reason.CONTENT_REFUSED,
        "bio_policy": Reason.CONTENT_REFUSED,
        "cyber_policy": Reason.CONTENT_REFUSED,
        "misalignment_policy_violation": Reason.CONTENT_REFUSED,
        "rate_limit_exceeded": Reason.PROVIDER_RATE_LIMITED,
        "slow_down": Reason.PROVIDER_OVERLOADED,
        "server_is_overloaded": Reason.PROVIDER_OVERLOADED,
        "overloaded": Reason.PROVIDER_OVERLOADED,
        "overloaded_error": Reason.PROVIDER_OVERLOADED,
        # What concerns the request; inside a stream no status says so.
        "invalid_encrypted_content": Reason.PROVIDER_INVALID_REQUEST,
        "data_residency_mismatch": Reason.PROVIDER_INVALID_REQUEST,
        "invalid_image": Reason.PROVIDER_INVALID_REQUEST,
        "invalid_image_format": Reason.PROVIDER_INVALID_REQUEST,
        "invalid_base64_image": Reason.PROVIDER_INVALID_REQUEST,
        "invalid_image_url": Reason.PROVIDER_INVALID_REQUEST,
        "invalid_image_mode": Reason.PROVIDER_INVALID_REQUEST,
        "image_too_large": Reason.PROVIDER_INVALID_REQUEST,
        "image_too_small": Reason.PROVIDER_INVALID_REQUEST,
        "image_parse_error": Reason.PROVIDER_INVALID_REQUEST,
        "image_file_too_large": Reason.PROVIDER_INVALID_REQUEST,
        "unsupported_image_media_type": Reason.PROVIDER_INVALID_REQUEST,
        "empty_image_file": Reason.PROVIDER_INVALID_REQUEST,
        "failed_to_download_image": Reason.PROVIDER_INVALID_REQUEST,
        "image_file_not_found": Reason.PROVIDER_INVALID_REQUEST,
        "vector_store_timeout": Reason.PROVIDER_TIMEOUT,
    }
)
"""By `code` or `type` of an error. What has no line is told by its words, then by its status."""

OPENAI_TYPES: Mapping[str, Reason] = MappingProxyType(
    {
        "invalid_request_error": Reason.PROVIDER_INVALID_REQUEST,
        "authentication_error": Reason.PROVIDER_KEY_REJECTED,
        "permission_error": Reason.PROVIDER_PERMISSION_DENIED,
        "not_found_error": Reason.PROVIDER_MODEL_NOT_FOUND,
        "rate_limit_error": Reason.PROVIDER_RATE_LIMITED,
    }
)
"""By the `type` of an error inside a stream, where neither a code nor a status says more."""

OPENAI_WORDS: tuple[tuple[str, Reason], ...] = (
    ("maximum context length", Reason.CONTEXT_TOO_LONG),
    ("exceeds the context window", Reason.CONTEXT_TOO_LONG),
    ("prompt is too long", Reason.CONTEXT_TOO_LONG),
    ("credit balance is too low", Reason.PROVIDER_BILLING),
    ("api key not valid", Reason.PROVIDER_KEY_REJECTED),
    ("incorrect api key", Reason.PROVIDER_KEY_REJECTED),
    ("violating our usage policy", Reason.CONTENT_REFUSED),
)
"""By what its message holds, lower case."""
