"""Trying a provider: whether it answers and takes the key, and which models it lists."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from libs.core.errors import ErrorKind, GatehouseError
from libs.core.secret import Secret
from services.router.domain.errors import ProviderError, Reason
from services.router.domain.health import TargetHealth
from services.router.domain.ports import KeyOutcomes, OpenedKey

MOST_MODELS = 5000
LONGEST_MODEL_ID = 256

# What stays as it is until somebody does something about the key; the rest is Gatehouse's own trouble.
_ABOUT_THE_KEY = frozenset({ErrorKind.PERMISSION_DENIED, ErrorKind.NOT_FOUND, ErrorKind.FAILED_PRECONDITION})


class ProbeOutcome(enum.Enum):
    """What a provider did; as in `probe_service.proto`."""

    OK = "OK"
    BAD_KEY = "BAD_KEY"
    NO_PERMISSION = "NO_PERMISSION"
    WRONG_ENDPOINT = "WRONG_ENDPOINT"
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    UNREACHABLE = "UNREACHABLE"
    RATE_LIMITED = "RATE_LIMITED"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    KEY_UNUSABLE = "KEY_UNUSABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a provider's API lives, and in which dialect. `type` is a known one, `origin` that of `base_url`."""

    type: str
    base_url: str
    origin: str
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedKey:
    """A key to open: its resource name, and the token of whoever asks for the test."""

    name: str
    caller_token: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A provider to try. `key`: one to open, one in clear, or none. `model` is empty when none is looked for."""

    endpoint: Endpoint
    key: SavedKey | Secret | None
    model: str
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What came of it; `message` is one of ours. `model_ids` are sorted, and bounded as in `probe_service.proto`."""

    outcome: ProbeOutcome
    message: str
    duration_s: float
    model_ids: tuple[str, ...] = ()


class ProbeKeys(Protocol):
    """The key service."""

    def open_for_probe(
        self, *, name: str, origin: str, caller_token: Secret
    ) -> asyncio.Future[OpenedKey | GatehouseError]:
        """Open the version in use for one test. Raises Unavailable `OVERLOADED` when too many wait."""
        ...


class ModelLists(Protocol):
    """The providers' own lists of models."""

    def requires_key(self, type_: str) -> bool:
        """Whether a provider of this type cannot be asked without a key."""
        ...

    async def read(self, endpoint: Endpoint, key: Secret | None, *, timeout_s: float) -> frozenset[str]:
        """The ids of a provider's list. Raises ProviderError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """Tries providers, each with one request that costs nothing."""

    lists: ModelLists
    keys: ProbeKeys
    outcomes: KeyOutcomes
    health: TargetHealth

    async def __call__(self, probe: Probe) -> ProbeResult:
        """Try it. Raises GatehouseError when that cannot be found out now, such as while the key service is away."""
        if probe.key is None and self.lists.requires_key(probe.endpoint.type):
            return _result(ProbeOutcome.KEY_UNUSABLE, "a provider of this type needs a key; name one", 0.0)
        if not isinstance(probe.key, SavedKey):
            return await self._ask(probe, probe.key, None)
        opening = self.keys.open_for_probe(
            name=probe.key.name, origin=probe.endpoint.origin, caller_token=probe.key.caller_token
        )
        opened = await opening
        if isinstance(opened, OpenedKey):
            return await self._ask(probe, opened.material, _Sent(probe.key.name, opened.version, time.time()))
        if opened.kind not in _ABOUT_THE_KEY:
            raise opened
        return _result(ProbeOutcome.KEY_UNUSABLE, _UNUSABLE.get(opened.reason, _KEY_GONE), 0.0)

    async def _ask(self, probe: Probe, key: Secret | None, sent: _Sent | None) -> ProbeResult:
        began = time.monotonic()
        try:
            listed = await self.lists.read(probe.endpoint, key, timeout_s=probe.timeout_s)
        except ProviderError as error:
            self._report_failure(sent, error)
            outcome, message = _MEANINGS[error.reason]
            return _result(outcome, message, time.monotonic() - began)
        except asyncio.CancelledError:
            if sent is not None:
                self.outcomes.used(sent.key, sent.version, sent.time)
            raise
        if sent is not None:
            self.outcomes.succeeded(sent.key, sent.version, sent.time)
            self.health.key_taken(sent.key)
        return _listed(probe.model, listed, time.monotonic() - began, with_key=key is not None)

    def _report_failure(self, sent: _Sent | None, error: ProviderError) -> None:
        """Tell what a failure says about the key, as a call does."""
        if sent is None or not error.reached_provider:
            return
        match error.reason:
            case Reason.PROVIDER_KEY_REJECTED:
                self.outcomes.rejected(sent.key, sent.version, sent.time, time.time())
            case Reason.PROVIDER_BILLING:
                self.outcomes.exhausted(sent.key, sent.version, sent.time, time.time())
            case _:
                self.outcomes.used(sent.key, sent.version, sent.time)


@dataclass(frozen=True, slots=True)
class _Sent:
    key: str
    version: int
    time: float


def _listed(model: str, listed: frozenset[str], duration_s: float, *, with_key: bool) -> ProbeResult:
    # What somebody else wrote is shown on people's screens: nothing that a terminal takes for a command.
    shown = tuple(sorted(each for each in listed if len(each) <= LONGEST_MODEL_ID and each.isprintable()))
    if model and model not in listed:
        answers = "it takes the key" if with_key else "it answers"
        outcome, message = ProbeOutcome.UNKNOWN_MODEL, f"{answers} but does not list that model; check its id"
    else:
        outcome, message = ProbeOutcome.OK, "it answers and takes the key" if with_key else "it answers, without a key"
    return _result(outcome, message, duration_s, shown[:MOST_MODELS])


def _result(outcome: ProbeOutcome, message: str, duration_s: float, model_ids: tuple[str, ...] = ()) -> ProbeResult:
    return ProbeResult(outcome=outcome, message=message, duration_s=duration_s, model_ids=model_ids)


_KEY_GONE = "the key cannot be opened: it is gone, or not one you may use; name another"
_UNUSABLE: Mapping[str, str] = MappingProxyType(
    {
        "KEY_DISABLED": "the key is disabled; enable it or name another",
        "ORIGIN_MISMATCH": "the key was entered for another origin than that of the base URL, and is sent nowhere "
        "else; correct the URL, or create a key for this origin",
        "KEY_UNREADABLE": "the key cannot be decrypted; rotate it",
        "VAULT_SECRET_MISSING": "the secret of the key is not in Vault; ask your operator",
        "VAULT_SECRET_DENIED": "Vault does not give out the secret of the key; ask your operator",
        "VAULT_SECRET_NOT_ALLOWED": "the operator does not allow the secret of the key to be used so; ask them",
    }
)

_INSIDE = (
    "its base URL leads into the network Gatehouse runs in, or elsewhere without https, and is not called; change it, "
    "or have the operator allow it"
)
_WRONG = "what answers there is not this API; check the base URL, its path above all"
_MEANINGS: Mapping[Reason, tuple[ProbeOutcome, str]] = MappingProxyType(
    {
        Reason.PROVIDER_KEY_REJECTED: (ProbeOutcome.BAD_KEY, "it refuses the key; rotate it to a valid one"),
        Reason.PROVIDER_PERMISSION_DENIED: (
            ProbeOutcome.NO_PERMISSION,
            "the key is genuine but may not list models; check its permissions at the provider",
        ),
        Reason.PROVIDER_MODEL_NOT_FOUND: (ProbeOutcome.WRONG_ENDPOINT, _WRONG),
        Reason.PROVIDER_BAD_RESPONSE: (ProbeOutcome.WRONG_ENDPOINT, _WRONG),
        Reason.PROVIDER_INVALID_REQUEST: (ProbeOutcome.WRONG_ENDPOINT, _WRONG),
        Reason.CONTEXT_TOO_LONG: (ProbeOutcome.WRONG_ENDPOINT, _WRONG),
        Reason.CONTENT_REFUSED: (ProbeOutcome.WRONG_ENDPOINT, _WRONG),
        Reason.PROVIDER_BILLING: (
            ProbeOutcome.PROVIDER_ERROR,
            "the key's account at the provider has no credit left; top it up",
        ),
        Reason.PROVIDER_RATE_LIMITED: (
            ProbeOutcome.RATE_LIMITED,
            "it takes the key but limits its rate just now; try again later",
        ),
        Reason.PROVIDER_TIMEOUT: (
            ProbeOutcome.UNREACHABLE,
            "it did not answer in time; check the base URL, and whether it is up",
        ),
        Reason.PROVIDER_UNREACHABLE: (
            ProbeOutcome.UNREACHABLE,
            "no connection to it; check the host, the port and the certificate behind the base URL",
        ),
        Reason.PROVIDER_ADDRESS_REFUSED: (
            ProbeOutcome.UNREACHABLE,
            _INSIDE,
        ),
        Reason.PROVIDER_OVERLOADED: (ProbeOutcome.PROVIDER_ERROR, "it is overloaded; try again later"),
        Reason.PROVIDER_ERROR: (ProbeOutcome.PROVIDER_ERROR, "it fails by itself; try again later"),
    }
)
