"""`gatehouse providers`: where calls go, with which key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.command import command, group
from gatehouse.cli.inputs import LabelOption, OwnerOption, YesOption, labels_of
from gatehouse.cli.output import Column, local_time, short, show_message, show_messages, words
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import confirm, note

if TYPE_CHECKING:
    from gatehouse.operations.providers import ProviderFields
    from gatehouse.providerconfig.v1.provider_pb2 import Capabilities, Provider, ProviderType

app = group(
    "providers",
    "Providers: where calls go, with which key. A change is live within a second.",
    "gatehouse providers types",
    "gatehouse providers create openai --type openai --key openai --default-model gpt-4o-mini",
    "gatehouse providers list",
)

ProviderArgument = Annotated[
    str, typer.Argument(metavar="PROVIDER", help="The provider's id, or its full resource name.")
]
BaseUrlOption = Annotated[
    str | None, typer.Option("--base-url", help="Where its API lives. \\[default: that of the type]")
]
KeyOption = Annotated[str | None, typer.Option("--key", help="The key to call it with: an id or a resource name.")]
DefaultModelOption = Annotated[str | None, typer.Option("--default-model", help="The model of calls that name none.")]
ActiveOption = Annotated[bool | None, typer.Option("--active/--inactive", help="Whether the router may use it.")]
DefaultOption = Annotated[
    bool | None, typer.Option("--default/--no-default", help="Whether calls that name no provider go here first.")
]
PriorityOption = Annotated[int | None, typer.Option("--priority", help="Lower is tried earlier, 0 to 1000.")]
DisplayNameOption = Annotated[str | None, typer.Option("--display-name", help="For people.")]
DescriptionOption = Annotated[str | None, typer.Option("--description", help="For people.")]


@command(
    app,
    "create",
    "gatehouse providers create openai --type openai --key openai --default",
    "gatehouse providers create local --type openai_compatible --base-url http://localhost:8000/v1 --key local",
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
    display_name: DisplayNameOption = None,
    description: DescriptionOption = None,
    label: LabelOption = None,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Configure a provider."""
    name = session.name(owner, "providers", provider)
    fields = _fields(
        name=name,
        base_url=base_url,
        key=key,
        default_model=default_model,
        active=active,
        is_default=is_default,
        priority=priority,
        display_name=display_name,
        description=description,
        label=label,
    )
    response = session.client.providers.create(name, type=provider_type, **fields)
    _show(response.provider, session)
    note(f"live at revision {response.revision}; its models: gatehouse models create ID --provider {provider}")


@command(app, "list", "gatehouse providers list", "gatehouse providers list --owner platform --json")
def list_providers(session: Session, *, owner: OwnerOption = Owner.TENANT) -> None:
    """List providers."""
    columns: list[Column[Provider]] = [
        Column("NAME", lambda provider: provider.name),
        Column("TYPE", lambda provider: provider.type),
        Column("STATE", _state),
        Column("PRIORITY", lambda provider: str(provider.priority), right=True),
        Column("MODEL", lambda provider: provider.default_model),
        Column("KEY", lambda provider: short(provider.key)),
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
    _show(session.client.providers.get(session.name(owner, "providers", provider)), session)


@command(
    app,
    "update",
    "gatehouse providers update openai --inactive",
    "gatehouse providers update openai --priority 10 --default-model gpt-4o",
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
    display_name: DisplayNameOption = None,
    description: DescriptionOption = None,
    label: LabelOption = None,
    owner: OwnerOption = Owner.TENANT,
) -> None:
    """Change a provider: exactly what is given; labels are replaced as a whole."""
    name = session.name(owner, "providers", provider)
    fields = _fields(
        name=name,
        base_url=base_url,
        key=key,
        default_model=default_model,
        active=active,
        is_default=is_default,
        priority=priority,
        display_name=display_name,
        description=description,
        label=label,
    )
    if not fields:
        raise typer.BadParameter("say what to change: --inactive, --priority 10, …")
    response = session.client.providers.update(name, **fields)
    _show(response.provider, session)
    note(f"live at revision {response.revision}")


@command(app, "delete", "gatehouse providers delete openai")
def delete(
    session: Session, *, provider: ProviderArgument, yes: YesOption = False, owner: OwnerOption = Owner.TENANT
) -> None:
    """Delete a provider with its models. Its key stays."""
    name = session.name(owner, "providers", provider)
    confirm(f"Delete {name} with its models?", yes=yes)
    response = session.client.providers.delete(name)
    note(f"deleted {name}, live at revision {response.revision}")


@command(app, "types", "gatehouse providers types", "gatehouse providers types --json")
def types(session: Session) -> None:
    """List the kinds of providers Gatehouse can talk to."""
    columns: list[Column[ProviderType]] = [
        Column("TYPE", lambda each: each.id),
        Column("NAME", lambda each: each.display_name),
        Column("KEY", lambda each: "needed" if each.requires_key else "optional"),
        Column("CAN", lambda each: capabilities(each.capabilities)),
        Column("BASE URL", lambda each: each.default_base_url or "say with --base-url"),
    ]
    show_messages(session.client.providers.types(), columns, empty="this Gatehouse knows none", as_json=session.as_json)


def capabilities(can: Capabilities) -> str:
    """`streaming, tools`."""
    return ", ".join(descriptor.name for descriptor, value in can.ListFields() if value)


def _fields(
    *,
    name: str,
    base_url: str | None,
    key: str | None,
    default_model: str | None,
    active: bool | None,
    is_default: bool | None,
    priority: int | None,
    display_name: str | None,
    description: str | None,
    label: list[str] | None,
) -> ProviderFields:
    fields: ProviderFields = {}
    if base_url is not None:
        fields["base_url"] = base_url
    if key is not None:
        # A bare id is a key of the provider's own owner: it cannot use another's.
        fields["key"] = f"{name.rpartition('/providers/')[0]}/keys/{key}" if key and "/" not in key else key
    if default_model is not None:
        fields["default_model"] = default_model
    if active is not None:
        fields["active"] = active
    if is_default is not None:
        fields["is_default"] = is_default
    if priority is not None:
        fields["priority"] = priority
    if display_name is not None:
        fields["display_name"] = display_name
    if description is not None:
        fields["description"] = description
    if label:
        fields["labels"] = labels_of(label)
    return fields


def _state(provider: Provider) -> str:
    return ("active" if provider.active else "inactive") + (", default" if provider.is_default else "")


def _show(provider: Provider, session: Session) -> None:
    lines = [
        ("name", provider.name),
        ("type", provider.type),
        ("base url", provider.base_url),
        ("key", provider.key),
        ("default model", provider.default_model),
        ("state", _state(provider)),
        ("priority", str(provider.priority)),
        ("display name", provider.display_name),
        ("description", provider.description),
        ("labels", words(provider.labels.items())),
        ("created", " by ".join(filter(None, (local_time(provider.create_time), provider.created_by)))),
        ("changed", local_time(provider.update_time)),
    ]
    show_message(provider, lines, as_json=session.as_json)
