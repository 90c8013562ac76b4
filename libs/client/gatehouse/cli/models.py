"""`gatehouse models`: the models of providers."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli import available_models
from gatehouse.cli.changes import change
from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import DisplayNameOption, DryRunOption, ForceOption, OwnerOption, YesOption
from gatehouse.cli.model_inputs import (
    CacheReadPriceOption,
    CacheWritePriceOption,
    CanOption,
    ContextOption,
    EnabledOption,
    ForcePriceOption,
    InputPriceOption,
    ModelArgument,
    OutputOption,
    OutputPriceOption,
    ProviderOption,
    ReasoningPriceOption,
    WireNameOption,
    fields_of,
    model_name,
    price_of,
)
from gatehouse.cli.model_view import columns, has_price, next_step, show_model
from gatehouse.cli.output import as_document, print_json, short, show_messages, show_table
from gatehouse.cli.provider_view import note_still_named
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note
from gatehouse.errors import GatehouseError

if TYPE_CHECKING:
    from gatehouse.operations.models import ModelFields
    from gatehouse.providerconfig.v1.model_service_pb2 import SyncModelsResponse

_LONGEST_PAUSE_S = 10

app = group(
    "models",
    "The models of a provider, their limits and prices. A change is live within a second.",
    "gatehouse models sync openai --enable",
    "gatehouse models create gpt-4o-mini --provider openai",
    "gatehouse models list --provider openai",
    "gatehouse models available",
)


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
    cache_write_price: CacheWritePriceOption = None,
    reasoning_price: ReasoningPriceOption = None,
    force: ForcePriceOption = False,
    display_name: DisplayNameOption = None,
    dry_run: DryRunOption = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Add a model to a provider. What is not said is taken from the built-in catalogue, which knows most models."""
    name = model_name(session, owner, provider, model)
    fields = fields_of(
        provider_model_id=provider_model_id,
        enabled=enabled,
        context_tokens=context_tokens,
        max_output_tokens=max_output_tokens,
        can=can,
        display_name=display_name,
        price=price_of(input_price, output_price, cache_read_price, cache_write_price, reasoning_price),
    )
    response = change(
        lambda request_id: session.client.models.create(
            name, request_id=request_id, validate_only=dry_run, force=force, **fields
        )
    )
    show_model(response.model, session)
    note(
        "nothing was created: it could be"
        if dry_run
        else f"live at revision {response.revision}; {next_step(response.model, session)}"
    )
    if not has_price(response.model):
        note("the catalogue has no price of it; quotas of cost let no call pass without: --input-price, --output-price")


@command(app, "list", "gatehouse models list --provider openai")
def list_models(session: Session, *, provider: ProviderOption = None, owner: OwnerOption = Owner.TENANT) -> None:
    """List the models of a provider, as they are configured. What you can really use: `gatehouse models available`."""
    if provider is None:
        raise typer.BadParameter("say whose models: --provider openai", param_hint="--provider")
    parent = session.name(owner, "providers", provider)
    show_messages(
        session.client.models.list(parent),
        columns(),
        empty=f"{parent} has no models. Add what it has: gatehouse models sync {provider}, or one: gatehouse models "
        f"create gpt-4o-mini --provider {provider}",
        as_json=session.as_json,
    )


@command(app, "get", "gatehouse models get gpt-4o-mini --provider openai")
def get(
    session: Session, *, model: ModelArgument, provider: ProviderOption = None, owner: OwnerOption = Owner.TENANT
) -> None:
    """Show one model."""
    show_model(session.client.models.get(model_name(session, owner, provider, model)), session)


@command(
    app,
    "update",
    "gatehouse models update gpt-4o-mini --provider openai --disabled",
    "gatehouse models update llama --provider local --input-price 0.05 --output-price 0.08",
    "gatehouse models update llama --provider local --catalogue-price",
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
    cache_write_price: CacheWritePriceOption = None,
    reasoning_price: ReasoningPriceOption = None,
    catalogue_price: Annotated[
        bool, typer.Option("--catalogue-price", help="Take the agreed price away: the catalogue's holds again.")
    ] = False,
    force: ForcePriceOption = False,
    display_name: DisplayNameOption = None,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Change a model: exactly what is given; a price and what it can do are replaced as a whole."""
    price = price_of(input_price, output_price, cache_read_price, cache_write_price, reasoning_price)
    if catalogue_price and price is not None:
        raise typer.BadParameter("one of them: a price, or the catalogue's", param_hint="--catalogue-price")
    fields: ModelFields = fields_of(
        provider_model_id=provider_model_id,
        enabled=enabled,
        context_tokens=context_tokens,
        max_output_tokens=max_output_tokens,
        can=can,
        display_name=display_name,
        price=price,
    )
    if catalogue_price:
        fields["price"] = None
    if not fields:
        raise typer.BadParameter("say what to change: --disabled, --context-tokens 128000, …")
    response = session.client.models.update(model_name(session, owner, provider, model), force=force, **fields)
    show_model(response.model, session)
    note(f"live at revision {response.revision}")


@command(app, "delete", "gatehouse models delete gpt-4o-mini --provider openai")
def delete(
    session: Session,
    *,
    model: ModelArgument,
    provider: ProviderOption = None,
    force: ForceOption = False,
    yes: YesOption = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Delete a model."""
    name = model_name(session, owner, provider, model)
    confirm(f"Delete {name}?", yes=yes)
    response = session.client.models.delete(name, force=force)
    note_still_named(response.still_named_by)
    note(f"deleted {name}, live at revision {response.revision}")


@command(
    app,
    "sync",
    "gatehouse models sync openai --dry-run",
    "gatehouse models sync openai --enable",
)
def sync(
    session: Session,
    *,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider's id, or its full resource name.")],
    enable: Annotated[
        bool, typer.Option("--enable", help="Add them as enabled. \\[default: as disabled, to be enabled one by one]")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read the list and say what would be added.")] = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Read the provider's own list of models and add those that are missing here. What is here stays as it is."""
    name = session.name(owner, "providers", provider)
    response = _synced(session, name, enable=enable, dry_run=dry_run)
    if session.as_json:
        print_json(as_document(response))
        return
    show_table(response.added, columns(), empty=f"nothing to add: {response.known_count:,} of its models are here")
    for gone in response.not_listed:
        note(f"its list does not have {short(gone)}, which stays here", "yellow")
    if response.skipped:
        left_out = ", ".join(response.skipped[:10]) + (", …" if len(response.skipped) > 10 else "")  # noqa: PLR2004 - a line's worth
        note(f"left out, as their names make no id, or one that is taken: {left_out}", "yellow")
    count, made = len(response.added), session.reference(name)
    if count:
        what = f"{count:,} model{'' if count == 1 else 's'}"
        note(f"{what} would be added" if dry_run else f"added {what}, live at revision {response.revision}")
    if count and not enable and not dry_run:
        note(f"enable what you want: gatehouse models update MODEL --provider {made} --enabled")
    if unpriced := sum(not has_price(model) for model in response.added):
        note(
            f"the catalogue has no price of {unpriced:,} of them; quotas of cost let no call pass without: gatehouse "
            f"models update MODEL --provider {made} --input-price … --output-price …"
        )


available_models.register(app)


def _synced(session: Session, name: str, *, enable: bool, dry_run: bool) -> SyncModelsResponse:
    try:
        return session.client.models.sync(name, enable=enable, validate_only=dry_run)
    except GatehouseError as error:
        # A provider is asked at most every few seconds, and `providers test` is what stands before this.
        pause = error.retry_after
        if error.reason != "TEST_TOO_SOON" or pause is None or pause > _LONGEST_PAUSE_S:
            raise
    note(f"{name} was asked just now; it is asked again in {math.ceil(pause)} s")
    time.sleep(pause)
    return session.client.models.sync(name, enable=enable, validate_only=dry_run)
