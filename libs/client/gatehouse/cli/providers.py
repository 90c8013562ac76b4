"""`gatehouse providers`: where calls go, with which key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli import provider_trials
from gatehouse.cli.changes import change
from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import (
    DescriptionOption,
    DisplayNameOption,
    DryRunOption,
    ForceOption,
    LabelOption,
    LimitOption,
    OwnerOption,
    VersionArgument,
    YesOption,
)
from gatehouse.cli.output import Column, short, show_messages
from gatehouse.cli.provider_inputs import (
    ActiveOption,
    BaseUrlOption,
    DefaultForTaskOption,
    DefaultModelOption,
    DefaultOption,
    Given,
    KeyOption,
    LimitConcurrentOption,
    LimitRpmOption,
    LimitTpmOption,
    MaxRetriesOption,
    OutputTokensOption,
    PriorityOption,
    ProviderArgument,
    TemperatureOption,
    TimeoutOption,
    TypeOptionOption,
    UnsetOption,
    WeightOption,
    fields_of,
    lies_over,
    removes_key,
)
from gatehouse.cli.provider_view import capabilities, note_still_named, outcome, show_provider, state
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note, require_consent
from gatehouse.cli.versions import History, agree_to_rollback, show_versions

if TYPE_CHECKING:
    from gatehouse.providerconfig.v1.provider_pb2 import Provider, ProviderType

app = group(
    "providers",
    "Providers: where calls go, with which key. A change is live within a second.",
    "gatehouse providers types",
    "gatehouse providers test openai --type openai --key-stdin < key.txt  (before it is saved)",
    "gatehouse providers create openai --type openai --key openai --default-model gpt-4o-mini",
    "gatehouse models sync openai --enable",
    "gatehouse providers list",
)


@command(
    app,
    "create",
    "gatehouse providers create openai --type openai --key openai --default",
    "gatehouse providers create claude --type anthropic --key claude --default-model claude-sonnet-4-6",
    "gatehouse providers create local --type openai_compatible --base-url http://localhost:8000/v1 "
    "--option server=vllm",
    "gatehouse providers create azure --type azure_openai --base-url https://acme.openai.azure.com --key azure "
    "--option api_version=2024-10-21",
    "gatehouse providers create eu --type openai --key eu --option organization=org-1 --limit-rpm 500 "
    "--timeout first_event=30s --default-for-task extraction",
)
def create(
    session: Session,
    *,
    provider: ProviderArgument,
    provider_type: Annotated[str, typer.Option("--type", help="An id of `gatehouse providers types`.")],
    base_url: BaseUrlOption = None,
    key: KeyOption = None,
    default_model: DefaultModelOption = None,
    active: ActiveOption = None,
    is_default: DefaultOption = None,
    priority: PriorityOption = None,
    weight: WeightOption = None,
    default_for_task: DefaultForTaskOption = None,
    option: TypeOptionOption = None,
    limit_rpm: LimitRpmOption = None,
    limit_tpm: LimitTpmOption = None,
    limit_concurrent: LimitConcurrentOption = None,
    timeout: TimeoutOption = None,
    max_retries: MaxRetriesOption = None,
    default_temperature: TemperatureOption = None,
    default_max_output_tokens: OutputTokensOption = None,
    display_name: DisplayNameOption = None,
    description: DescriptionOption = None,
    label: LabelOption = None,
    dry_run: DryRunOption = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Configure a provider."""
    name = session.name(owner, "providers", provider)
    fields = fields_of(
        name,
        Given(
            base_url=base_url,
            key=key,
            default_model=default_model,
            active=active,
            is_default=is_default,
            priority=priority,
            weight=weight,
            default_for_task=default_for_task,
            option=option,
            limit_rpm=limit_rpm,
            limit_tpm=limit_tpm,
            limit_concurrent=limit_concurrent,
            timeout=timeout,
            max_retries=max_retries,
            default_temperature=default_temperature,
            default_max_output_tokens=default_max_output_tokens,
            display_name=display_name,
            description=description,
            label=label,
        ),
    )
    response = change(
        lambda request_id: session.client.providers.create(
            name, type=provider_type, request_id=request_id, validate_only=dry_run, **fields
        )
    )
    show_provider(response.provider, session)
    made = session.reference(name)
    note(
        "nothing was created: it could be"
        if dry_run
        else f"live at revision {response.revision}; does it answer: gatehouse providers test {made}; its models: "
        f"gatehouse models sync {made}"
    )


@command(app, "list", "gatehouse providers list", "gatehouse providers list --owner platform --json")
def list_providers(session: Session, *, owner: OwnerOption = Owner.TENANT) -> None:
    """List providers."""
    columns: list[Column[Provider]] = [
        Column("NAME", lambda provider: provider.name),
        Column("TYPE", lambda provider: provider.type),
        Column("STATE", state),
        Column("PRIORITY", lambda provider: str(provider.priority), right=True),
        Column("MODEL", lambda provider: provider.default_model),
        Column("FOR TASKS", lambda provider: ", ".join(provider.default_for_tasks)),
        Column("KEY", lambda provider: short(provider.key)),
        Column("LAST TEST", lambda provider: outcome(provider.last_test)),
        Column("BASE URL", lambda provider: provider.base_url),
    ]
    parent = session.parent(owner)
    show_messages(
        session.client.providers.list(parent),
        columns,
        empty=f"{parent} has no providers. Configure one: gatehouse providers create openai --type openai --key openai",
        as_json=session.as_json,
    )


@command(app, "get", "gatehouse providers get openai")
def get(session: Session, *, provider: ProviderArgument, owner: OwnerOption = Owner.TENANT) -> None:
    """Show one provider."""
    show_provider(session.client.providers.get(session.name(owner, "providers", provider)), session)


@command(
    app,
    "update",
    "gatehouse providers update openai --inactive",
    "gatehouse providers update openai --priority 10 --default-model gpt-4o",
    "gatehouse providers update openai --limit-rpm 500 --timeout idle=20s --option organization=org-1",
    "gatehouse providers update openai --unset limits --unset weight",
)
def update(
    session: Session,
    *,
    provider: ProviderArgument,
    base_url: BaseUrlOption = None,
    key: KeyOption = None,
    default_model: DefaultModelOption = None,
    active: ActiveOption = None,
    is_default: DefaultOption = None,
    priority: PriorityOption = None,
    weight: WeightOption = None,
    default_for_task: DefaultForTaskOption = None,
    option: TypeOptionOption = None,
    limit_rpm: LimitRpmOption = None,
    limit_tpm: LimitTpmOption = None,
    limit_concurrent: LimitConcurrentOption = None,
    timeout: TimeoutOption = None,
    max_retries: MaxRetriesOption = None,
    default_temperature: TemperatureOption = None,
    default_max_output_tokens: OutputTokensOption = None,
    unset: UnsetOption = None,
    display_name: DisplayNameOption = None,
    description: DescriptionOption = None,
    label: LabelOption = None,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Change a provider: exactly what is given; an empty --key keeps the present one. Labels and tasks are replaced as
    a whole; limits, timeouts and options one by one.
    """
    name = session.name(owner, "providers", provider)
    given = Given(
        base_url=base_url,
        key=key,
        default_model=default_model,
        active=active,
        is_default=is_default,
        priority=priority,
        weight=weight,
        default_for_task=default_for_task,
        option=option,
        limit_rpm=limit_rpm,
        limit_tpm=limit_tpm,
        limit_concurrent=limit_concurrent,
        timeout=timeout,
        max_retries=max_retries,
        default_temperature=default_temperature,
        default_max_output_tokens=default_max_output_tokens,
        display_name=display_name,
        description=description,
        label=label,
        unset=unset,
    )
    # Wrong options are told before anything is asked.
    remove_key = removes_key(given)
    if not fields_of(name, given) and not remove_key:
        raise typer.BadParameter("say what to change: --inactive, --priority 10, …")
    present = session.client.providers.get(name) if lies_over(given) else None
    fields = fields_of(name, given, present)
    response = session.client.providers.update(
        name, etag=present.etag if present is not None else "", remove_key=remove_key, **fields
    )
    show_provider(response.provider, session)
    note(f"live at revision {response.revision}")


@command(app, "delete", "gatehouse providers delete openai", "gatehouse providers delete openai --force --yes")
def delete(
    session: Session,
    *,
    provider: ProviderArgument,
    force: ForceOption = False,
    yes: YesOption = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Delete a provider with its models. Its key stays. To take it out of use without losing it: update --inactive."""
    name = session.name(owner, "providers", provider)
    confirm(f"Delete {name} with its models?", yes=yes)
    response = session.client.providers.delete(name, force=force)
    note_still_named(response.still_named_by)
    note(f"deleted {name}, live at revision {response.revision}")


provider_trials.register(app)


@command(app, "versions", "gatehouse providers versions openai", "gatehouse providers versions openai --json")
def versions(
    session: Session, *, provider: ProviderArgument, limit: LimitOption = 20, owner: OwnerOption = Owner.TENANT
) -> None:
    """List what a provider was, newest first, and what each version changed."""
    show_versions(_history(session, session.name(owner, "providers", provider)), session, limit=limit)


@command(app, "rollback", "gatehouse providers rollback openai 3", "gatehouse providers rollback openai 3 --yes")
def rollback(
    session: Session,
    *,
    provider: ProviderArgument,
    version: VersionArgument,
    yes: YesOption = False,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Make a provider what it was at an earlier version. That is a change like any other, and can be undone as one."""
    require_consent(yes=yes)
    name = session.name(owner, "providers", provider)
    etag = ""
    if not yes:
        etag = session.client.providers.get(name).etag
        agree_to_rollback(_history(session, name), version, yes=yes)
    response = session.client.providers.rollback(name, version, etag=etag)
    show_provider(response.provider, session)
    note(f"live at revision {response.revision}")


@command(app, "types", "gatehouse providers types", "gatehouse providers types --json")
def types(session: Session) -> None:
    """List the kinds of providers Gatehouse can talk to."""
    columns: list[Column[ProviderType]] = [
        Column("TYPE", lambda each: each.id),
        Column("NAME", lambda each: each.display_name),
        Column("KEY", lambda each: "needed" if each.requires_key else "optional"),
        Column("CAN", lambda each: capabilities(each.capabilities)),
        Column("OPTIONS", lambda each: ", ".join(_option_names(each))),
        Column("BASE URL", lambda each: each.default_base_url or "say with --base-url"),
    ]
    show_messages(session.client.providers.types(), columns, empty="this Gatehouse knows none", as_json=session.as_json)


def _option_names(each: ProviderType) -> list[str]:
    try:
        return sorted(json.loads(each.options_schema_json or "{}").get("properties", {}))
    except (ValueError, AttributeError):
        return []


def _history(session: Session, name: str) -> History:
    from gatehouse.configuration.shapes import PROVIDER

    return History(
        name=name,
        shape=PROVIDER,
        versions=session.client.providers.versions(name, page_size=100),
        resource=lambda version: version.provider,
    )
