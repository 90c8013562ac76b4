"""Where the outside provider is."""

from __future__ import annotations

from dataclasses import dataclass

API_KEY = "sk-peer-canary-91c4d7"


@dataclass(frozen=True, slots=True)
class Aimock:
    """A running `@copilotkit/aimock`."""

    url: str

    @property
    def base_url(self) -> str:
        """Its OpenAI surface."""
        return f"{self.url}/v1"
