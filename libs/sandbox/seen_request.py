"""What the sandbox remembers of requests, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from libs.sandbox.dialect import Call

_KEY_HEADERS = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """A request as it came in, for tests; the headers are without the key."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, call: Call) -> Self:
        """What is remembered of `call`."""
        headers = {name.lower(): value for name, value in call.headers.items() if name.lower() not in _KEY_HEADERS}
        return cls(path=call.path, query=dict(call.query), headers=headers, body=call.body)
