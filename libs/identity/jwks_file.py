"""Verification keys from a file, followed as it changes."""

from __future__ import annotations

import logging
from pathlib import Path

from libs.core.clock import Clock, SystemClock
from libs.core.errors import Unavailable
from libs.identity.jwks import KeySet, VerificationKey, parse_jwks

_log = logging.getLogger(__name__)

_CHECK_INTERVAL_S = 1.0
_Mark = tuple[int, int, int]


class JwksFile:
    """A `KeySource` that looks at its file at most once a second and reads it when it changed.

    A missing or unreadable file leaves the keys held before in place. Reading blocks, for the microseconds a small
    local file takes.
    """

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        self._path = path
        self._clock = clock or SystemClock()
        self._keys = KeySet()
        self._generation = 0
        self._mark: _Mark | None = None
        self._checked_at: float | None = None
        self._failing = False

    def generation(self) -> int:
        """See KeySource."""
        self._look()
        return self._generation

    def find(self, kid: str | None) -> VerificationKey | None:
        """See KeySource."""
        return self._keys.find(kid)

    async def refresh(self) -> None:
        """See KeySource."""
        self._look()
        if self._failing:
            raise Unavailable(
                "ISSUER_KEYS_UNAVAILABLE",
                "the keys to verify tokens with cannot be read; see the service's log",
                retry_delay_s=_CHECK_INTERVAL_S,
            )

    def _look(self) -> None:
        now = self._clock.monotonic()
        if self._checked_at is not None and now - self._checked_at < _CHECK_INTERVAL_S:
            return
        self._checked_at = now
        try:
            status = self._path.stat()
            mark = (status.st_mtime_ns, status.st_size, status.st_ino)
            if mark != self._mark:
                self._keys = parse_jwks(self._path.read_bytes())
                self._mark = mark
                self._generation += 1
            self._failing = False
        except (OSError, ValueError) as error:
            # Not every second the same line: only when it begins to fail.
            if not self._failing:
                _log.warning("cannot read the token keys in %s: %s", self._path, error)
            self._failing = True
