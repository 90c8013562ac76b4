"""What is known of models before anybody says anything of them."""

from __future__ import annotations

from typing import Protocol

from libs.core.money import TokenPrices


class Facts(Protocol):
    """What is known of a model; None: nothing."""

    @property
    def context_tokens(self) -> int | None:
        """Input and output tokens it takes together."""
        ...

    @property
    def max_output_tokens(self) -> int | None:
        """Output tokens it gives at most."""
        ...

    @property
    def capabilities(self) -> frozenset[str] | None:
        """What it can do: names of fields of `Capabilities`."""
        ...


class Catalogue(Protocol):
    """What the world publishes about models, by provider type and the id the provider knows them by."""

    def facts(self, provider_type: str, provider_model_id: str) -> Facts:
        """Sizes and abilities of a model."""
        ...

    def price(self, provider_type: str, provider_model_id: str) -> TokenPrices | None:
        """What a model costs now; None when it is not known."""
        ...
