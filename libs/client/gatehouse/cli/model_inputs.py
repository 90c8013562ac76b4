"""What commands about models are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.inputs import dollars_of
from gatehouse.cli.session import Owner, Session
from gatehouse.money import micro_usd_of

if TYPE_CHECKING:
    from gatehouse.operations.models import ModelFields
    from gatehouse.providerconfig.v1.model_pb2 import ModelPrice

ABILITIES = (
    *("streaming", "tools", "json_schema", "images", "audio", "documents", "reasoning", "embeddings"),
    "fixed_sampling",
)

_PRICES = "Price, in dollars per million tokens"

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="The model's id, or its full resource name.")]
ProviderOption = Annotated[
    str | None, typer.Option("--provider", help="The model's provider: an id or a resource name.")
]
WireNameOption = Annotated[
    str | None, typer.Option("--provider-model-id", help="What the provider calls it. \\[default: the model's id]")
]
EnabledOption = Annotated[bool | None, typer.Option("--enabled/--disabled", help="Whether the router may use it.")]
ContextOption = Annotated[
    int | None,
    typer.Option(
        "--context-tokens",
        help="Input and output tokens it takes together; 0: unknown. \\[default: what the catalogue knows]",
    ),
]
OutputOption = Annotated[
    int | None,
    typer.Option(
        "--max-output-tokens", help="Output tokens it gives at most; 0: unknown. \\[default: what the catalogue knows]"
    ),
]
CanOption = Annotated[
    str | None,
    typer.Option(
        "--can",
        metavar="WORDS",
        help=f"What it can do, with commas: {', '.join(ABILITIES)}. fixed_sampling: it refuses temperature, top_p and "
        "top_k. \\[default: what the catalogue knows, else what its type of provider can]",
    ),
]
InputPriceOption = Annotated[
    str | None,
    typer.Option(
        "--input-price",
        metavar="USD",
        help="Input; with --output-price. Unset: the catalogue's.",
        rich_help_panel=_PRICES,
    ),
]
OutputPriceOption = Annotated[
    str | None, typer.Option("--output-price", metavar="USD", help="Output.", rich_help_panel=_PRICES)
]
CacheReadPriceOption = Annotated[
    str | None,
    typer.Option(
        "--cache-read-price",
        metavar="USD",
        help="Input from the prompt cache; unset: as input.",
        rich_help_panel=_PRICES,
    ),
]
CacheWritePriceOption = Annotated[
    str | None,
    typer.Option(
        "--cache-write-price",
        metavar="USD",
        help="Input into the prompt cache; unset: as input.",
        rich_help_panel=_PRICES,
    ),
]
ReasoningPriceOption = Annotated[
    str | None,
    typer.Option("--reasoning-price", metavar="USD", help="Reasoning; unset: as output.", rich_help_panel=_PRICES),
]
ForcePriceOption = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Take a price of more than 100 times the catalogue's, which is refused as a likely slip.",
        rich_help_panel=_PRICES,
    ),
]


def model_name(session: Session, owner: Owner, provider: str | None, model: str) -> str:
    """The model's resource name. Raises BadParameter."""
    if "/" in model:
        return session.name(owner, "models", model)
    if provider is None:
        raise typer.BadParameter("say whose model: --provider openai", param_hint="--provider")
    return f"{session.name(owner, 'providers', provider)}/models/{model}"


def fields_of(
    *,
    provider_model_id: str | None,
    enabled: bool | None,
    context_tokens: int | None,
    max_output_tokens: int | None,
    can: str | None,
    display_name: str | None,
    price: ModelPrice | None,
) -> ModelFields:
    """The fields that the options set. Raises BadParameter."""
    from gatehouse.providerconfig.v1.provider_pb2 import Capabilities

    fields: ModelFields = {}
    if provider_model_id is not None:
        fields["provider_model_id"] = provider_model_id
    if enabled is not None:
        fields["enabled"] = enabled
    if context_tokens is not None:
        fields["context_tokens"] = context_tokens
    if max_output_tokens is not None:
        fields["max_output_tokens"] = max_output_tokens
    if can is not None:
        wanted = {each.strip() for each in can.split(",") if each.strip()}
        if unknown := sorted(wanted.difference(ABILITIES)):
            raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(ABILITIES)}", param_hint="--can")
        fields["capabilities"] = Capabilities(**dict.fromkeys(wanted, True))
    if display_name is not None:
        fields["display_name"] = display_name
    if price is not None:
        fields["price"] = price
    return fields


def price_of(
    input_price: str | None,
    output_price: str | None,
    cache_read_price: str | None,
    cache_write_price: str | None,
    reasoning_price: str | None,
) -> ModelPrice | None:
    """The price that the options set; None for none. Raises BadParameter."""
    from gatehouse.providerconfig.v1.model_pb2 import ModelPrice

    given = {
        "--input-price": input_price,
        "--output-price": output_price,
        "--cache-read-price": cache_read_price,
        "--cache-write-price": cache_write_price,
        "--reasoning-price": reasoning_price,
    }
    if all(text is None for text in given.values()):
        return None
    if input_price is None or output_price is None:
        raise typer.BadParameter("a price needs both --input-price and --output-price", param_hint="--input-price")
    amounts = {
        f"{option.removeprefix('--').removesuffix('-price').replace('-', '_')}_micro_usd_per_million": dollars_of(
            text, micro_usd_of, option
        )
        for option, text in given.items()
        if text is not None
    }
    return ModelPrice(**amounts)
