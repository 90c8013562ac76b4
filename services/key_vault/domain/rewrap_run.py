"""A run of re-wrapping, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RewrapRun:
    """Bringing all ciphertexts to one version of Vault's sealing key.

    `remaining` counts those not there yet, `failed` those among them that were tried in vain, for Vault refuses them;
    `end_time` is None while it is under way. (`after_uid`, `after_version`) is the last ciphertext looked at.
    """

    uid: str
    sealing_key_version: int
    total: int
    remaining: int
    failed: int
    start_time: datetime
    end_time: datetime | None = None
    after_uid: str = ""
    after_version: int = 0
