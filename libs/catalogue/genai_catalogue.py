"""The price catalogue of the `genai-prices` package, as shipped with it: nothing is fetched while running.

Prices are US dollars per million tokens there, exact decimals. They become pico-USD per token, the same number times
a million; the few that are no whole number then are rounded up. What is charged by anything but tokens (searches,
requests, audio, images) is not accounted for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from types import MappingProxyType

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from libs.catalogue.known_models import KnownModels
from libs.core.clock import Clock
from libs.core.money import PicoUsdPerToken, TokenPrices

# Whose models our types serve (`catalogue_type` names them), by the catalogue's ids. A type that is not here serves
# models of anybody's: no price is known. `google` has those on Vertex AI too.
_PROVIDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "openai": ("openai",),
        "anthropic": ("anthropic",),
        "gemini": ("google",),
        "azure_openai": ("azure", "openai"),
        "openai_compatible/groq": ("groq",),
        "openai_compatible/mistral": ("mistral",),
        "openai_compatible/deepseek": ("deepseek",),
        "openai_compatible/xai": ("x-ai",),
        "openai_compatible/together": ("together",),
        "openai_compatible/openrouter": ("openrouter",),
    }
)
# Deployments have names of people's own choice: only one that is named like a model is taken for it, and no other that
# happens to fit a pattern of the catalogue's.
_NAMED_BY_PEOPLE = frozenset({"azure_openai"})

_PICO_USD_PER_TOKEN = Decimal(1_000_000)  # of one dollar per million tokens
# Model ids come from the configuration of tenants: what nobody knows must not fill the memory.
_MOST_REMEMBERED = 10_000
# More than one scope of the configuration can hold.
_MOST_FOUND = 50_000
# Some models have prices by date or by time of day.
_REMEMBERED_FOR_S = 60.0

# What the names of all models have that make vectors.
_EMBEDDER = "embed"

_Price = Decimal | TieredPrices | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tier:
    """The price of calls with more than `above` input tokens."""

    above: int
    price: TokenPrices


class GenaiCatalogue:
    """Prices and contexts from the catalogue. Answers about prices from memory, for a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._remembered: dict[tuple[str, str], tuple[_Tier, ...]] = {}
        self._forget_at = 0.0
        # Reading the catalogue takes a quarter of a second: now, not at the first call.
        self._snapshot = get_snapshot()
        self._known = KnownModels()
        # The catalogue tries its patterns one by one, for up to half a millisecond. It stays as it is.
        self._model = lru_cache(_MOST_FOUND)(self._find_model)

    def find(self, provider_type: str, provider_model_id: str, *, input_tokens: int) -> TokenPrices | None:
        """The current price of a call with at most `input_tokens`: of the dearest tier it can get into."""
        now = self._clock.monotonic()
        if now >= self._forget_at or len(self._remembered) >= _MOST_REMEMBERED:
            self._remembered.clear()
            self._forget_at = now + _REMEMBERED_FOR_S
        tiers = self._remembered.get((provider_type, provider_model_id))
        if tiers is None:
            tiers = self._remembered[provider_type, provider_model_id] = self._look_up(provider_type, provider_model_id)
        found = None
        for tier in tiers:
            if input_tokens <= tier.above:
                break
            found = tier.price
        return found

    def context_tokens(self, provider_type: str, provider_model_id: str) -> int | None:
        """How many tokens the model takes; None when nobody published it."""
        model = self._model(provider_type, provider_model_id)
        return model.context_window if model is not None else None

    def _find_model(self, provider_type: str, provider_model_id: str) -> ModelInfo | None:
        if provider_type in _NAMED_BY_PEOPLE and self._known.find(provider_type, provider_model_id) is None:
            return None
        for provider_id in _PROVIDERS.get(provider_type, ()):
            provider = next((each for each in self._snapshot.providers if each.id == provider_id), None)
            # The provider's own models only: the library would go on to search others' for one of a similar name.
            model = provider.find_model(provider_model_id.lower()) if provider is not None else None
            if model is not None:
                return model
        return None

    def _look_up(self, provider_type: str, provider_model_id: str) -> tuple[_Tier, ...]:
        model = self._model(provider_type, provider_model_id)
        if model is None:
            return ()
        price = model.get_prices(self._clock.now())
        tiered = [value for value in _relevant(price) if isinstance(value, TieredPrices)]
        limits = sorted({-1, *(tier.start for value in tiered for tier in value.tiers)})
        # Models that make vectors are charged for their input only, and have no other price.
        free_output = _EMBEDDER in model.id
        tiers = [(above, _token_prices(price, above, free_output=free_output)) for above in limits]
        return tuple(_Tier(above=above, price=prices) for above, prices in tiers if prices is not None)


def _relevant(price: ModelPrice) -> tuple[_Price, ...]:
    return (
        price.input_mtok,
        price.cache_read_mtok,
        price.cache_write_mtok,
        price.output_mtok,
        price.output_reasoning_mtok,
    )


def _token_prices(price: ModelPrice, above: int, *, free_output: bool) -> TokenPrices | None:
    """The prices of the tier of calls with more than `above` input tokens; None when they cannot be told."""
    uncached, cache_read, cache_write, output, reasoning = (_pico_usd(value, above) for value in _relevant(price))
    if output is None and free_output:
        output = PicoUsdPerToken(0)
    if uncached is None or output is None:
        return None
    return TokenPrices(
        input=uncached,
        cache_read=uncached if cache_read is None else cache_read,
        cache_write=uncached if cache_write is None else cache_write,
        output=output,
        reasoning=output if reasoning is None else reasoning,
    )


def _pico_usd(value: _Price, above: int) -> PicoUsdPerToken | None:
    if value is None:
        return None
    if isinstance(value, TieredPrices):
        # Tiers come in ascending order, and each applies to all tokens of the call.
        value = next((tier.price for tier in reversed(value.tiers) if tier.start <= above), value.base)
    return PicoUsdPerToken(int((value * _PICO_USD_PER_TOKEN).to_integral_value(ROUND_CEILING)))
