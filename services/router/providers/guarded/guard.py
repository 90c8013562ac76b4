"""Runs a plugin's code and makes of everything that goes wrong in it a failure of the provider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from libs.telemetry.scrubbing import scrub_foreign_text
from services.router.domain.errors import ProviderError, Reason
from services.router.providers.guarded.values import WrongValueError

T = TypeVar("T")

_MAX_MESSAGE = 300
_MAX_FRAMES = 20
# What a provider can do wrong. The others are the router's own to say.
_REASONS = frozenset(
    {
        Reason.CONTEXT_TOO_LONG,
        Reason.PROVIDER_INVALID_REQUEST,
        Reason.CONTENT_REFUSED,
        Reason.PROVIDER_KEY_REJECTED,
        Reason.PROVIDER_PERMISSION_DENIED,
        Reason.PROVIDER_BILLING,
        Reason.PROVIDER_RATE_LIMITED,
        Reason.PROVIDER_MODEL_NOT_FOUND,
        Reason.PROVIDER_TIMEOUT,
        Reason.PROVIDER_OVERLOADED,
        Reason.PROVIDER_ERROR,
        # A stream that breaks off.
        Reason.PROVIDER_UNREACHABLE,
        Reason.PROVIDER_BAD_RESPONSE,
    }
)
_LONGEST_WAIT_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginFailure:
    """What went wrong in a plugin: in which of its parts, of what kind, and where; never what it was about.

    `error` is the type of an exception, or what was wrong with a value. `frames`, the innermost last, hold no source
    lines and no values: those are where keys and prompts live.
    """

    plugin: str
    part: str
    error: str
    frames: tuple[str, ...]


Report = Callable[[PluginFailure], None]


class Guard:
    """Guards one plugin; `source` names it for people. Thread-safe if `report` is."""

    __slots__ = ("_report", "_source")

    def __init__(self, source: str, report: Report) -> None:
        self._source = source
        self._report = report

    def __call__(self, part: str, run: Callable[[], T], *, sent: bool) -> T:
        """What `run`, which is the plugin's code, returns. Raises ProviderError, without what it was about.

        `sent`: the provider may have worked already, and charge for it.
        """
        try:
            return run()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a stranger's code does: SystemExit would end the router
            failure = self._failure(part, error, sent=sent)
        # Outside of the handlers, so that it does not refer to what was raised: those frames hold keys and prompts.
        raise failure

    def _failure(self, part: str, error: BaseException, *, sent: bool) -> ProviderError:
        """What the call is told instead of `error`."""
        if isinstance(error, ProviderError):
            try:
                return _as_it_should_be(error, sent=sent)
            except Exception as odd:  # noqa: BLE001 - a class of its own may lack fields, or have what breaks when it is used
                error = odd
        self._tell(part, error)
        return ProviderError(Reason.PROVIDER_BAD_RESPONSE, sent=sent)

    def error(self, error: object) -> ProviderError:
        """A failure that the plugin returned. Raises WrongValueError when it is none."""
        if not isinstance(error, ProviderError):
            raise WrongValueError(f"a {type(error).__name__}, no ProviderError")
        return _as_it_should_be(error, sent=error.sent is True)

    def _tell(self, part: str, error: BaseException) -> None:
        # A text of somebody else's may quote anything; our own says what kind of value it was.
        text = str(error) if isinstance(error, WrongValueError) else type(error).__name__
        self._report(PluginFailure(plugin=self._source, part=part, error=text, frames=_frames(error.__traceback__)))


def _as_it_should_be(error: ProviderError, *, sent: bool) -> ProviderError:
    """The same failure, of fields that are what they should be."""
    # Annotations hold nobody to anything.
    reason: Any = error.reason
    wait: Any = error.retry_after_s
    status: Any = error.status
    message: Any = error.message
    waits = isinstance(wait, int | float) and 0 <= wait <= _LONGEST_WAIT_S
    return ProviderError(
        reason if isinstance(reason, Reason) and reason in _REASONS else Reason.PROVIDER_BAD_RESPONSE,
        status=status if isinstance(status, int) else 0,
        retry_after_s=wait if waits else None,
        message=scrub_foreign_text(message)[:_MAX_MESSAGE] if isinstance(message, str) else "",
        sent=sent or error.sent is True,
    )


def _frames(trace: TracebackType | None) -> tuple[str, ...]:
    frames: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return tuple(frames[-_MAX_FRAMES:])
