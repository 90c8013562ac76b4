"""How models are shown, and what is said about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatehouse.cli.output import Column, local_time, short, show_message
from gatehouse.cli.provider_view import capabilities
from gatehouse.cli.session import Session
from gatehouse.money import format_nano_usd

if TYPE_CHECKING:
    from gatehouse.providerconfig.v1.model_pb2 import Model, ModelPrice

_NO_PRICE = "unknown"


def columns() -> list[Column[Model]]:
    """What a table of models shows."""
    return [
        Column("MODEL", lambda model: short(model.name)),
        Column("AT THE PROVIDER", lambda model: model.provider_model_id),
        Column("STATE", lambda model: "enabled" if model.enabled else "disabled"),
        Column("CONTEXT", lambda model: _tokens(model.context_tokens), right=True),
        Column("OUTPUT", lambda model: _tokens(model.max_output_tokens), right=True),
        Column("CAN", lambda model: capabilities(model.capabilities)),
        Column("PRICE PER MILLION", _price_of),
    ]


def has_price(model: Model) -> bool:
    """Whether it is known what its calls cost."""
    return model.HasField("price") or model.HasField("catalogue_price")


def next_step(model: Model, session: Session) -> str:
    """What to do with a model that was added."""
    if not model.enabled:
        provider = session.reference(model.name.rpartition("/models/")[0])
        return f"enable it: gatehouse models update {short(model.name)} --provider {provider} --enabled"
    if model.capabilities.embeddings:
        return f"try it: gatehouse embed --model {short(model.name)} 'bread' 'butter'"
    return f"try it: gatehouse chat --model {short(model.name)}"


def _price_of(model: Model) -> str:
    if model.HasField("price"):
        return _amounts(model.price)
    if model.HasField("catalogue_price"):
        return f"{_amounts(model.catalogue_price)} (catalogue)"
    return _NO_PRICE


def _amounts(price: ModelPrice) -> str:
    # Micro-USD are a thousand nano-USD.
    amounts = [
        f"{format_nano_usd(price.input_micro_usd_per_million * 1000)} in",
        f"{format_nano_usd(price.output_micro_usd_per_million * 1000)} out",
    ]
    if price.HasField("cache_read_micro_usd_per_million"):
        amounts.append(f"{format_nano_usd(price.cache_read_micro_usd_per_million * 1000)} from cache")
    if price.HasField("cache_write_micro_usd_per_million"):
        amounts.append(f"{format_nano_usd(price.cache_write_micro_usd_per_million * 1000)} into cache")
    if price.HasField("reasoning_micro_usd_per_million"):
        amounts.append(f"{format_nano_usd(price.reasoning_micro_usd_per_million * 1000)} reasoning")
    return ", ".join(amounts)


def _tokens(count: int) -> str:
    return f"{count:,}" if count else "unknown"


def show_model(model: Model, session: Session) -> None:
    """A model, or its JSON."""
    lines = [
        ("name", model.name),
        ("at the provider", model.provider_model_id),
        ("state", "enabled" if model.enabled else "disabled"),
        ("context tokens", _tokens(model.context_tokens)),
        ("output tokens", _tokens(model.max_output_tokens)),
        ("can", capabilities(model.capabilities)),
        ("price per million", _price_of(model)),
        ("display name", model.display_name),
        ("created", local_time(model.create_time)),
        ("changed", local_time(model.update_time)),
    ]
    show_message(model, lines, as_json=session.as_json)
