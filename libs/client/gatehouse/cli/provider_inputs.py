"""What commands about providers are given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import typer

from gatehouse.cli.inputs import labels_of

if TYPE_CHECKING:
    from gatehouse.operations.providers import ProviderFields
    from gatehouse.providerconfig.v1.provider_pb2 import Provider, ProviderLimits, ProviderTimeouts

_PANEL = "Limits and defaults"
_TIMERS = ("connect", "first_event", "idle", "total")
# What --unset takes, and the field it unsets.
_UNSET: Mapping[str, str] = {
    "weight": "weight",
    "limits": "limits",
    "timeouts": "timeouts",
    "max-retries": "max_retries",
    "default-temperature": "default_temperature",
    "default-max-output-tokens": "default_max_output_tokens",
    "default-for-tasks": "default_for_tasks",
    "options": "options",
    "labels": "labels",
}

ProviderArgument = Annotated[
    str, typer.Argument(metavar="PROVIDER", help="The provider's id, or its full resource name.")
]
BaseUrlOption = Annotated[
    str | None, typer.Option("--base-url", help="Where its API lives. \\[default: that of the type]")
]
KeyOption = Annotated[
    str | None, typer.Option("--key", metavar="KEY_ID", help="The stored key to call it with: its id or resource name.")
]
DefaultModelOption = Annotated[str | None, typer.Option("--default-model", help="The model of calls that name none.")]
ActiveOption = Annotated[bool | None, typer.Option("--active/--inactive", help="Whether the router may use it.")]
DefaultOption = Annotated[
    bool | None,
    typer.Option(
        "--default/--no-default",
        help="Whether calls that name no provider go here first. An owner has one default: it is taken from the other.",
    ),
]
PriorityOption = Annotated[int | None, typer.Option("--priority", help="Lower is tried earlier, 0 to 1000.")]
WeightOption = Annotated[
    int | None,
    typer.Option("--weight", help="Its share among providers of the same priority, and of routes that say none."),
]
DefaultForTaskOption = Annotated[
    list[str] | None,
    typer.Option(
        "--default-for-task",
        metavar="TASK",
        help="Calls for this task go here first. May be given more than once, and is replaced as a whole.",
    ),
]
LimitRpmOption = Annotated[
    int | None,
    typer.Option("--limit-rpm", min=0, help="Calls a minute at most, for each router; 0: any.", rich_help_panel=_PANEL),
]
LimitTpmOption = Annotated[
    int | None, typer.Option("--limit-tpm", min=0, help="Tokens a minute at most; 0: any.", rich_help_panel=_PANEL)
]
LimitConcurrentOption = Annotated[
    int | None,
    typer.Option("--limit-concurrent", min=0, help="Calls at the same time at most; 0: any.", rich_help_panel=_PANEL),
]
TimeoutOption = Annotated[
    list[str] | None,
    typer.Option(
        "--timeout",
        metavar="TIMER=TIME",
        help=f"{', '.join(_TIMERS)}: first_event=30s. Without a time, as the router is set up. May be given more than "
        "once.",
        rich_help_panel=_PANEL,
    ),
]
MaxRetriesOption = Annotated[
    int | None,
    typer.Option(
        "--max-retries",
        help="How often it is tried again when no other target is left, 0 to 10.",
        rich_help_panel=_PANEL,
    ),
]
TemperatureOption = Annotated[
    float | None,
    typer.Option("--default-temperature", help="Of calls that say none, 0 to 2.", rich_help_panel=_PANEL),
]
OutputTokensOption = Annotated[
    int | None,
    typer.Option("--default-max-output-tokens", help="Of calls that say none.", rich_help_panel=_PANEL),
]
TypeOptionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="What only its type knows, such as organization=org-1; `gatehouse providers types` lists them. Without a "
        "value, it is taken away. May be given more than once.",
    ),
]
UnsetOption = Annotated[
    list[str] | None,
    typer.Option("--unset", metavar="FIELD", help=f"Take a setting away: key, {', '.join(_UNSET)}."),
]


class Given(TypedDict, total=False):
    """The options as they were given; None where they were not."""

    base_url: str | None
    key: str | None
    default_model: str | None
    active: bool | None
    is_default: bool | None
    priority: int | None
    weight: int | None
    default_for_task: list[str] | None
    limit_rpm: int | None
    limit_tpm: int | None
    limit_concurrent: int | None
    timeout: list[str] | None
    max_retries: int | None
    default_temperature: float | None
    default_max_output_tokens: int | None
    option: list[str] | None
    display_name: str | None
    description: str | None
    label: list[str] | None
    unset: list[str] | None


_PLAIN = (
    "base_url",
    "default_model",
    "active",
    "is_default",
    "priority",
    "weight",
    "max_retries",
    "default_temperature",
    "default_max_output_tokens",
    "display_name",
    "description",
)


def removes_key(given: Given) -> bool:
    """Whether the provider is to be called without a key. Raises BadParameter when it is given one as well."""
    removed = "key" in (given.get("unset") or ())
    if removed and given.get("key"):
        raise typer.BadParameter("key is set and unset at once", param_hint="--unset")
    return removed


def lies_over(given: Given) -> bool:
    """Whether something is given that changes a part of what is there: limits, timeouts, options."""
    parts = ("limit_rpm", "limit_tpm", "limit_concurrent", "timeout", "option")
    return any(given.get(part) is not None for part in parts)


def fields_of(name: str, given: Given, present: Provider | None = None) -> ProviderFields:
    """The fields that the options set for the provider `name`, laid over `present`. Raises BadParameter."""
    fields: dict[str, Any] = {key: given.get(key) for key in _PLAIN if given.get(key) is not None}
    key = given.get("key")
    if key is not None:
        # A bare id is a key of the provider's own owner: it cannot use another's.
        fields["key"] = f"{name.rpartition('/providers/')[0]}/keys/{key}" if key and "/" not in key else key
    if given.get("default_for_task") is not None:
        fields["default_for_tasks"] = [task for task in given.get("default_for_task") or () if task]
    if any(given.get(part) is not None for part in ("limit_rpm", "limit_tpm", "limit_concurrent")):
        fields["limits"] = _limits(given, present)
    if given.get("timeout"):
        fields["timeouts"] = _timeouts(given.get("timeout") or (), present)
    if given.get("option"):
        fields["options"] = _options(given.get("option") or (), present)
    if given.get("label"):
        fields["labels"] = labels_of(given.get("label"))
    for wanted in given.get("unset") or ():
        if wanted == "key":
            continue  # a flag of the request, not a field
        if wanted not in _UNSET:
            raise typer.BadParameter(f"{wanted!r} is none of key, {', '.join(_UNSET)}", param_hint="--unset")
        field = _UNSET[wanted]
        if field in fields:
            raise typer.BadParameter(f"{wanted} is set and unset at once", param_hint="--unset")
        fields[field] = {"default_for_tasks": [], "labels": {}}.get(field)
    return fields  # type: ignore[return-value]  # the keys are those of ProviderFields


def _limits(given: Given, present: Provider | None) -> ProviderLimits:
    from gatehouse.providerconfig.v1.provider_pb2 import ProviderLimits

    limits = ProviderLimits()
    if present is not None:
        limits.CopyFrom(present.limits)
    for name, field in (
        ("limit_rpm", "requests_per_minute"),
        ("limit_tpm", "tokens_per_minute"),
        ("limit_concurrent", "concurrent_requests"),
    ):
        value = given.get(name)
        if value is not None:
            setattr(limits, field, value)
    return limits


def _timeouts(pairs: Sequence[str], present: Provider | None) -> ProviderTimeouts:
    from gatehouse.durations import duration_message, nanoseconds_of
    from gatehouse.providerconfig.v1.provider_pb2 import ProviderTimeouts

    timeouts = ProviderTimeouts()
    if present is not None:
        timeouts.CopyFrom(present.timeouts)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in _TIMERS:
            raise typer.BadParameter(
                f"{pair!r} is not TIMER=TIME, such as first_event=30s; timers are {', '.join(_TIMERS)}",
                param_hint="--timeout",
            )
        timeouts.ClearField(name)  # type: ignore[arg-type]  # one of the four
        if text:
            try:
                getattr(timeouts, name).CopyFrom(duration_message(nanoseconds_of(text)))
            except ValueError as error:
                raise typer.BadParameter(f"{text!r} {error}", param_hint="--timeout") from None
    return timeouts


def _options(pairs: Sequence[str], present: Provider | None) -> dict[str, object]:
    from google.protobuf.json_format import MessageToDict

    from gatehouse.configuration.secrets import looks_like_key, names_secret

    options: dict[str, object] = {} if present is None else MessageToDict(present.options)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name or looks_like_key(pair) or names_secret(name):
            # It could be a key, given by mistake: it is not repeated.
            raise typer.BadParameter(
                "is NAME=VALUE, such as organization=org-1, and never a key: `gatehouse keys create` stores those",
                param_hint="--option",
            )
        if text:
            options[name] = _json_or_text(text)
        else:
            options.pop(name, None)
    return options


def _json_or_text(text: str) -> object:
    """`3` is a number, `true` a flag, `{"a": 1}` an object; what is no JSON is a text."""
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value
