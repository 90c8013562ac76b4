"""What is said when providers are tried and that does not work out."""

from __future__ import annotations

from libs.core.errors import Aborted, FailedPrecondition, ResourceExhausted, Unavailable
from libs.core.resource_names import ProviderName
from services.provider_config.domain.errors import Reason
from services.provider_config.domain.probe_ports import ProbeFinding
from services.provider_config.domain.provider import ProviderTestOutcome

_PASSING = frozenset(
    {ProviderTestOutcome.UNREACHABLE, ProviderTestOutcome.RATE_LIMITED, ProviderTestOutcome.PROVIDER_ERROR}
)


def tested_already(name: ProviderName) -> Aborted:
    """Somebody else is trying it."""
    return Aborted(Reason.TEST_UNDER_WAY, f"{name} is being tested; wait for the result", metadata={"name": str(name)})


def tested_just_now(name: ProviderName, wait_s: float) -> ResourceExhausted:
    """It was tried just now."""
    return _too_soon(name, f"{name} was tested just now", wait_s)


def tested_too_many(name: ProviderName, wait_s: float) -> ResourceExhausted:
    """Too many others of its owner are being tried, or were just now."""
    return _too_soon(name, f"too many providers of {name.owner} were tested just now", wait_s)


def _too_soon(name: ProviderName, problem: str, wait_s: float) -> ResourceExhausted:
    return ResourceExhausted(
        Reason.TEST_TOO_SOON,
        f"{problem}; try again in {max(1, round(wait_s))} seconds",
        metadata={"name": str(name)},
        retry_delay_s=wait_s,
    )


def provider_list_failed(name: ProviderName, finding: ProbeFinding) -> FailedPrecondition | Unavailable:
    """It did not give its list of models."""
    kind = Unavailable if finding.outcome in _PASSING else FailedPrecondition
    return kind(
        Reason.PROVIDER_LIST_FAILED,
        f"{name} did not give its list of models: {finding.message}",
        metadata={"name": str(name), "outcome": finding.outcome.value},
    )


def provider_changed_meanwhile(name: ProviderName) -> Aborted:
    """What the list was read from is no longer what the provider is."""
    return Aborted(
        Reason.ETAG_MISMATCH,
        f"{name} changed while its list of models was read; try again",
        metadata={"name": str(name)},
    )
