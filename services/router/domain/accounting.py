"""What the ledger is told of an attempt."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from libs.core.money import TokenCounts, TokenPrices


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """An attempt about to be sent: who calls what, and the most it can use. Known by tenant, operation_id, attempt.

    `price` is the model's own, None for the catalogue's, which knows the models of a compatible provider by its
    `server`. `experiment` and `arm` are those whose target this is, empty when it is here by another rule. `embedding`:
    vectors are asked for, not an answer.
    """

    tenant: str
    operation_id: str
    attempt: int
    user: str
    plan: str
    provider: str
    provider_type: str
    model: str
    provider_model_id: str
    key: str
    task: str
    request_id: str
    labels: Mapping[str, str]
    rule: str
    experiment: str
    arm: str
    input_tokens_estimate: int
    output_tokens_limit: int
    price: TokenPrices | None
    lapse_after_s: float
    embedding: bool = False
    server: str = ""


class AttemptOutcome(enum.Enum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How an attempt ended. `estimated` says that `tokens` are our guess, not the provider's word.

    `start_time` is in seconds since 1970.
    """

    tenant: str
    operation_id: str
    attempt: int
    outcome: AttemptOutcome
    tokens: TokenCounts
    estimated: bool
    finish_reason: str
    error_reason: str
    start_time: float
    duration_s: float
    first_content_s: float | None
    fallback: bool
