"""What can go wrong with a call, and what each failure of a provider means to the caller."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from libs.core.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    GatehouseError,
    InvalidArgument,
    NotFound,
    PreconditionViolation,
    ResourceExhausted,
    Unavailable,
)


class Reason(enum.StrEnum):
    """The router's own reasons; `protos/gatehouse/router/v1/error_reason.proto` documents each."""

    NO_USABLE_TARGET = "NO_USABLE_TARGET"
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    PROVIDER_INVALID_REQUEST = "PROVIDER_INVALID_REQUEST"
    CONTENT_REFUSED = "CONTENT_REFUSED"
    PROVIDER_KEY_REJECTED = "PROVIDER_KEY_REJECTED"
    PROVIDER_PERMISSION_DENIED = "PROVIDER_PERMISSION_DENIED"
    PROVIDER_BILLING = "PROVIDER_BILLING"
    PROVIDER_RATE_LIMITED = "PROVIDER_RATE_LIMITED"
    PROVIDER_MODEL_NOT_FOUND = "PROVIDER_MODEL_NOT_FOUND"
    PROVIDER_TIMEOUT = "PROVIDER_TIMEOUT"
    PROVIDER_OVERLOADED = "PROVIDER_OVERLOADED"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    PROVIDER_UNREACHABLE = "PROVIDER_UNREACHABLE"
    PROVIDER_BAD_RESPONSE = "PROVIDER_BAD_RESPONSE"
    PROVIDER_ADDRESS_REFUSED = "PROVIDER_ADDRESS_REFUSED"
    MEDIA_NOT_FETCHED = "MEDIA_NOT_FETCHED"
    STREAM_INTERRUPTED = "STREAM_INTERRUPTED"
    CONFIG_UNAVAILABLE = "CONFIG_UNAVAILABLE"
    REVISION_NOT_REACHED = "REVISION_NOT_REACHED"
    SPOOL_FULL = "SPOOL_FULL"


class ProviderError(Exception):
    """A provider failed. Raised inside the router only; `to_gatehouse_error` gives what the caller sees.

    `status` is the HTTP status, 0 without one; `retry_after_s` the provider's own hint; `message` the provider's
    explanation of a refused request, scrubbed and bounded, or what kept the router from sending it, else empty; `timer`
    which timer ran out; `sent` whether the provider may have worked (and will charge) although it failed.
    """

    def __init__(
        self,
        reason: Reason,
        *,
        status: int = 0,
        retry_after_s: float | None = None,
        message: str = "",
        timer: str = "",
        sent: bool = False,
    ) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s
        self.message = message
        self.timer = timer
        self.sent = sent

    @property
    def reached_provider(self) -> bool:
        """Whether the request certainly arrived, and the key with it: the provider answered, or may have worked."""
        return self.sent or self.status > 0


@dataclass(frozen=True, slots=True)
class _Meaning:
    kind: type[GatehouseError]
    text: str


_MEANINGS: Mapping[Reason, _Meaning] = MappingProxyType(
    {
        Reason.CONTEXT_TOO_LONG: _Meaning(
            InvalidArgument, "the conversation does not fit the model's context; shorten it or choose a larger model"
        ),
        Reason.PROVIDER_INVALID_REQUEST: _Meaning(
            InvalidArgument, "{provider} refuses the request as wrong for model {model}"
        ),
        Reason.CONTENT_REFUSED: _Meaning(FailedPrecondition, "{provider} refuses the content by its policy"),
        Reason.PROVIDER_KEY_REJECTED: _Meaning(
            FailedPrecondition, "{provider} refuses the key; rotate it to a valid one"
        ),
        Reason.PROVIDER_PERMISSION_DENIED: _Meaning(
            FailedPrecondition, "{provider} does not let this key use model {model}"
        ),
        Reason.PROVIDER_BILLING: _Meaning(
            ResourceExhausted, "the key's account at {provider} has no credit left; top it up or use another key"
        ),
        Reason.PROVIDER_RATE_LIMITED: _Meaning(ResourceExhausted, "{provider} limits the rate of this key"),
        Reason.PROVIDER_MODEL_NOT_FOUND: _Meaning(
            NotFound, "{provider} does not know model {model}; check the model's provider_model_id and the base URL"
        ),
        Reason.PROVIDER_TIMEOUT: _Meaning(DeadlineExceeded, "{provider} did not answer in time"),
        Reason.PROVIDER_OVERLOADED: _Meaning(Unavailable, "{provider} is overloaded"),
        Reason.PROVIDER_ERROR: _Meaning(Unavailable, "{provider} failed"),
        Reason.PROVIDER_UNREACHABLE: _Meaning(Unavailable, "{provider} cannot be reached, or closed the connection"),
        Reason.PROVIDER_BAD_RESPONSE: _Meaning(
            Unavailable, "{provider} answered what its API does not allow; check the provider's base URL"
        ),
        Reason.PROVIDER_ADDRESS_REFUSED: _Meaning(
            FailedPrecondition,
            "the base URL of {provider} leads into the network Gatehouse runs in, or elsewhere without https, and is "
            "not called; change it, or have the operator allow it",
        ),
        Reason.MEDIA_NOT_FETCHED: _Meaning(
            InvalidArgument, "what the call has by URL cannot be fetched for {provider}, which takes its bytes only"
        ),
    }
)


def to_gatehouse_error(
    error: ProviderError, *, provider: str, model: str, passed_over: tuple[PreconditionViolation, ...] = ()
) -> GatehouseError:
    """What the caller is told: fixed texts, everything dynamic in the metadata.

    `passed_over` are the targets that could not be opened in the same call, and why.
    """
    meaning = _MEANINGS[error.reason]
    metadata = {"provider": provider, "model": model}
    if error.status:
        metadata["status"] = str(error.status)
    if error.timer:
        metadata["timer"] = error.timer
    text = meaning.text.format(provider=provider, model=model)
    if error.message:
        if error.reason is not Reason.MEDIA_NOT_FETCHED:
            # There it is the router that speaks.
            metadata["provider_message"] = error.message
        text = f"{text}: {error.message}"
    return meaning.kind(
        error.reason,
        text,
        metadata=metadata,
        retry_delay_s=error.retry_after_s,
        precondition_violations=passed_over,
    )
