"""`gatehouse models`: the models of providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import OwnerOption, YesOption, dollars_of
from gatehouse.cli.output import Column, local_time, short, show_message, show_messages
from gatehouse.cli.providers import capabilities
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note
from gatehouse.money import format_nano_usd, micro_usd_of

if TYPE_CHECKING:
    from gatehouse.operations.models import ModelFields
    from gatehouse.providerconfig.v1.model_pb2 import Model, ModelPrice

app = group(
    "models",
    "The models of a provider, their limits and prices. A change is live within a second.",
    "gatehouse models create gpt-4o-mini --provider openai",
    "gatehouse models list --provider openai",
)

_ABILITIES = ("streaming", "tools", "json_schema", "images")

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="The model's id, or its full resource name.")]
ProviderOption = Annotated[
    str | None, typer.Option("--provider", help="The model's provider: an id or a resource name.")
]
WireNameOption = Annotated[
    str | None, typer.Option("--provider-model-id", help="What the provider calls it. \\[default: the model's id]")
]
EnabledOption = Annotated[bool | None, typer.Option("--enabled/--disabled", help="Whether the router may use it.")]
ContextOption = Annotated[
    int | None, typer.Option("--context-tokens", help="Input and output tokens it takes together; 0: unknown.")
]
OutputOption = Annotated[
    int | None, typer.Option("--max-output-tokens", help="Output tokens it gives at most; 0: unknown.")
]
CanOption = Annotated[str | None, typer.Option("--can", help=f"What it can do, with commas: {','.join(_ABILITIES)}.")]
InputPriceOption = Annotated[
    str | None, typer.Option("--input-price", metavar="USD", help="Per million input tokens; with --output-price.")
]
OutputPriceOption = Annotated[
    str | None, typer.Option("--output-price", metavar="USD", help="Per million output tokens.")
]
CacheReadPriceOption = Annotated[
    str | None, typer.Option("--cache-read-price", metavar="USD", help="Per million tokens from the prompt cache.")
]
DisplayNameOption = Annotated[str | None, typer.Option("--display-name", help="For people.")]


@command(
    app,
    "create",
    "gatehouse models create gpt-4o-mini --provider openai",
    "gatehouse models create llama --provider local --provider-model-id meta-llama/Llama-3.1-8B-Instruct "
    "--context-tokens 131072 --can streaming,tools --input-price 0.05 --output-price 0.08",
)
def create(
    session: Session,
    *,
    model: ModelArgument,
    provider: ProviderOption = None,
    provider_model_id: WireNameOption = None,
    enabled: EnabledOption = None,
    context_tokens: ContextOption = None,
    max_output_tokens: OutputOption = None,
    can: CanOption = None,
    input_price: InputPriceOption = None,
    output_price: OutputPriceOption = None,
    cache_read_price: CacheReadPriceOption = None,
    display_name: DisplayNameOption = None,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Add a model to a provider. Its price is the catalogue's unless given."""
    fields = _fields(
        provider_model_id=provider_model_id,
        enabled=enabled,
        context_tokens=context_tokens,
        max_output_tokens=max_output_tokens,
        can=can,
        display_name=display_name,
        price=_price(input_price, output_price, cache_read_price),
    )
    response = session.client.models.create(_name(session, owner, provider, model), **fields)
    _show(response.model, session)
    note(f"live at revision {response.revision}; try it: gatehouse chat --model {model}")


@command(app, "list", "gatehouse models list --provider openai")
def list_models(session: Session, *, provider: ProviderOption = None, owner: OwnerOption = Owner.TENANT) -> None:
    """List the models of a provider."""
    if provider is None:
        raise typer.BadParameter("say whose models: --provider openai", param_hint="--provider")
    columns: list[Column[Model]] = [
        Column("MODEL", lambda model: short(model.name)),
        Column("AT THE PROVIDER", lambda model: model.provider_model_id),
        Column("STATE", lambda model: "enabled" if model.enabled else "disabled"),
        Column("CONTEXT", lambda model: _tokens(model.context_tokens), right=True),
        Column("OUTPUT", lambda model: _tokens(model.max_output_tokens), right=True),
        Column("CAN", lambda model: capabilities(model.capabilities)),
        Column("PRICE PER MILLION", _price_of),
    ]
    parent = session.name(owner, "providers", provider)
    show_messages(
        session.client.models.list(parent),
        columns,
        empty=f"{parent} has no models. Add one: gatehouse models create gpt-4o-mini --provider {provider}",
        as_json=session.as_json,
    )


@command(app, "get", "gatehouse models get gpt-4o-mini --provider openai")
def get(
    session: Session, *, model: ModelArgument, provider: ProviderOption = None, owner: OwnerOption = Owner.TENANT
) -> None:
    """Show one model."""
    _show(session.client.models.get(_name(session, owner, provider, model)), session)


@command(
    app,
    "update",
    "gatehouse models update gpt-4o-mini --provider openai --disabled",
    "gatehouse models update llama --provider local --input-price 0.05 --output-price 0.08",
)
def update(
    session: Session,
    *,
    model: ModelArgument,
    provider: ProviderOption = None,
    provider_model_id: WireNameOption = None,
    enabled: EnabledOption = None,
    context_tokens: ContextOption = None,
    max_output_tokens: OutputOption = None,
    can: CanOption = None,
    input_price: InputPriceOption = None,
    output_price: OutputPriceOption = None,
    cache_read_price: CacheReadPriceOption = None,
    display_name: DisplayNameOption = None,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Change a model: exactly what is given; prices are replaced together."""
    fields = _fields(
        provider_model_id=provider_model_id,
        enabled=enabled,
        context_tokens=context_tokens,
        max_output_tokens=max_output_tokens,
        can=can,
        display_name=display_name,
        price=_price(input_price, output_price, cache_read_price),
    )
    if not fields:
        raise typer.BadParameter("say what to change: --disabled, --input-price 0.15 --output-price 0.60, …")
    response = session.client.models.update(_name(session, owner, provider, model), **fields)
    _show(response.model, session)
    note(f"live at revision {response.revision}")


@command(app, "delete", "gatehouse models delete gpt-4o-mini --provider openai")
def delete(
    session: Session,
    *,
    model: ModelArgument,
    provider: ProviderOption = None,
    yes: YesOption = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Delete a model."""
    name = _name(session, owner, provider, model)
    confirm(f"Delete {name}?", yes=yes)
    response = session.client.models.delete(name)
    note(f"deleted {name}, live at revision {response.revision}")


def _name(session: Session, owner: Owner, provider: str | None, model: str) -> str:
    if "/" in model:
        return session.name(owner, "models", model)
    if provider is None:
        raise typer.BadParameter("say whose model: --provider openai", param_hint="--provider")
    return f"{session.name(owner, 'providers', provider)}/models/{model}"


def _fields(
    *,
    provider_model_id: str | None,
    enabled: bool | None,
    context_tokens: int | None,
    max_output_tokens: int | None,
    can: str | None,
    display_name: str | None,
    price: ModelPrice | None,
) -> ModelFields:
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
        if unknown := sorted(wanted.difference(_ABILITIES)):
            raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(_ABILITIES)}", param_hint="--can")
        fields["capabilities"] = Capabilities(**dict.fromkeys(wanted, True))
    if display_name is not None:
        fields["display_name"] = display_name
    if price is not None:
        fields["price"] = price
    return fields


def _price(input_price: str | None, output_price: str | None, cache_read_price: str | None) -> ModelPrice | None:
    from gatehouse.providerconfig.v1.model_pb2 import ModelPrice

    if input_price is None and output_price is None and cache_read_price is None:
        return None
    if input_price is None or output_price is None:
        raise typer.BadParameter("a price needs both --input-price and --output-price", param_hint="--input-price")
    return ModelPrice(
        input_micro_usd_per_million=dollars_of(input_price, micro_usd_of, "--input-price"),
        output_micro_usd_per_million=dollars_of(output_price, micro_usd_of, "--output-price"),
        cache_read_micro_usd_per_million=None
        if cache_read_price is None
        else dollars_of(cache_read_price, micro_usd_of, "--cache-read-price"),
    )


def _price_of(model: Model) -> str:
    if not model.HasField("price"):
        return "catalogue"
    price = model.price
    # Micro-USD are a thousand nano-USD.
    amounts = [
        f"{format_nano_usd(price.input_micro_usd_per_million * 1000)} in",
        f"{format_nano_usd(price.output_micro_usd_per_million * 1000)} out",
    ]
    if price.HasField("cache_read_micro_usd_per_million"):
        amounts.append(f"{format_nano_usd(price.cache_read_micro_usd_per_million * 1000)} from cache")
    return ", ".join(amounts)


def _tokens(count: int) -> str:
    return f"{count:,}" if count else "unknown"


def _show(model: Model, session: Session) -> None:
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
