"""What a document says of each resource, and the message it stands for.

Keys are the names of the API's fields unless a shorter one reads better. What a document leaves out has its default;
only what the server works out by itself when nothing is said (`kept`) stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from gatehouse.configuration.kinds import (
    Flag,
    Id,
    Integer,
    Labels,
    Listed,
    Number,
    Options,
    Own,
    Reference,
    Span,
    Text,
    Usd,
    Word,
)
from gatehouse.configuration.reading import WRONG, Kind, Reading, unknown_key
from gatehouse.configuration.yaml_tree import Entries, Items, Node, Scalar, joined
from gatehouse.providerconfig.v1 import model_pb2, preference_pb2, provider_pb2, route_pb2

_MS = 1_000_000
_DAY = 86_400_000 * _MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A key of a mapping. `name`: the message's field, the key itself unless given. `default`: what stands for unset in
    messages (where the server fills it in). `kept`: left out of a document, it stays as it is.
    """

    key: str
    kind: Kind
    name: str = ""
    required: bool = False
    default: Any = None
    kept: bool = False

    @property
    def in_message(self) -> str:
        """The message's field."""
        return self.name or self.key


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A mapping that stands for a message: itself a kind of value."""

    message: type[Message]
    fields: tuple[Field, ...]
    by_key: Mapping[str, Field] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_key", {each.key: each for each in self.fields})

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The message, or WRONG."""
        if not isinstance(node, Entries):
            return reading.wrong(node, path, f"must be a mapping of {', '.join(self.by_key)}")
        values: dict[str, Any] = {}
        wrong = False
        for key, value in node.entries.items():
            if key not in self.by_key:
                unknown_key(value, path, key, self.by_key, reading)
                wrong = True
            elif isinstance(value, Scalar) and value.is_null and not self.by_key[key].required:
                continue  # nothing is said, as if it were left out
            else:
                each = self.by_key[key]
                values[each.in_message] = read = each.kind.read(value, joined(path, key), reading)
                wrong = wrong or read is WRONG
        for each in self.fields:
            if each.required and each.key not in node.entries:
                choice = f"; one of {', '.join(each.kind.words)}" if isinstance(each.kind, Word) else ""
                reading.wrong(node, joined(path, each.key), f"is missing{choice}")
                wrong = True
        return WRONG if wrong else self.message(**values)

    def write(self, value: Message, parent: str) -> dict[str, Any]:
        """Plain data in the order of the fields, without what has its default."""
        present = {descriptor.name: content for descriptor, content in value.ListFields()}
        document = {}
        for each in self.fields:
            if each.in_message not in present or present[each.in_message] == each.default:
                continue
            written = each.kind.write(present[each.in_message], parent)
            # An empty `limits` or `requires` says nothing; only where silence means something else it must be told.
            if each.kept or written not in ({}, []):
                document[each.key] = written
        return document


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model can do, as a list of names. An empty list is a model that can do nothing of it."""

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The message, or WRONG."""
        known = provider_pb2.Capabilities.DESCRIPTOR.fields_by_name
        if not isinstance(node, Items):
            return reading.wrong(node, path, f"must be a list of {', '.join(known)}")
        wrong = False
        names = [item.text if isinstance(item, Scalar) else "" for item in node.items]
        for index, name in enumerate(names):
            if name not in known:
                reading.wrong(node.items[index], f"{path}[{index}]", f"must be one of {', '.join(known)}")
                wrong = True
        return WRONG if wrong else provider_pb2.Capabilities(**dict.fromkeys(names, True))

    def write(self, value: Message, _parent: str) -> list[str]:
        """Their names in the order of the API."""
        return [descriptor.name for descriptor, can in value.ListFields() if can]


@dataclass(frozen=True, slots=True)
class ByTask:
    """Choices by task. In messages a list, in the order of the tasks."""

    def read(self, node: Node, path: str, reading: Reading) -> Any:
        """The TaskChoices, or WRONG."""
        if not isinstance(node, Entries):
            return reading.wrong(node, path, "must be tasks with choices: {cover_letter: {provider: openai}}")
        choices, wrong = [], False
        for task, value in sorted(node.entries.items()):
            place = joined(path, task)
            choice = CHOICE.read(value, place, reading)
            if Id().read(Scalar(text=task, plain=False, line=value.line), place, reading) is WRONG or choice is WRONG:
                wrong = True
            else:
                choices.append(preference_pb2.TaskChoice(task=task, choice=choice))
        return WRONG if wrong else choices

    def write(self, value: Any, parent: str) -> dict[str, Any]:
        """The choices by task."""
        return {each.task: CHOICE.write(each.choice, parent) for each in sorted(value, key=lambda each: each.task)}


_DISPLAY_NAME = Field(key="display_name", kind=Text(200))
_DESCRIPTION = Field(key="description", kind=Text(2000))
_LABELS = Field(key="labels", kind=Labels())
_PLANS = Listed(Text(64), 32, unique=True, what="plan")

_LIMITS = Shape(
    provider_pb2.ProviderLimits,
    (
        Field(key="requests_per_minute", kind=Integer(0, 10_000_000)),
        Field(key="tokens_per_minute", kind=Integer(0, 10_000_000_000)),
        Field(key="concurrent_requests", kind=Integer(0, 100_000)),
    ),
)
_TIMEOUTS = Shape(
    provider_pb2.ProviderTimeouts,
    tuple(Field(key=key, kind=Span(10 * _MS, _DAY)) for key in ("connect", "first_event", "idle", "total")),
)
PROVIDER = Shape(
    provider_pb2.Provider,
    (
        Field(key="type", kind=Id(), required=True),
        _DISPLAY_NAME,
        _DESCRIPTION,
        Field(key="base_url", kind=Text(2048), kept=True),
        Field(key="key", kind=Own("keys"), kept=True),
        Field(key="default_model", kind=Id()),
        Field(key="active", kind=Flag(), default=True),
        Field(key="is_default", kind=Flag(), default=False),
        Field(key="priority", kind=Integer(0, 1000), default=100),
        Field(key="weight", kind=Integer(0, 1_000_000)),
        Field(key="default_for_tasks", kind=Listed(Id(), 32, unique=True, what="task")),
        Field(key="limits", kind=_LIMITS),
        Field(key="timeouts", kind=_TIMEOUTS),
        Field(key="max_retries", kind=Integer(0, 10)),
        Field(key="default_temperature", kind=Number(0, 2)),
        Field(key="default_max_output_tokens", kind=Integer(1, 10_000_000)),
        Field(key="options", kind=Options()),
        _LABELS,
    ),
)
PRICE = Shape(
    model_pb2.ModelPrice,
    (
        Field(key="input", name="input_micro_usd_per_million", kind=Usd(), required=True),
        Field(key="output", name="output_micro_usd_per_million", kind=Usd(), required=True),
        Field(key="cache_read", name="cache_read_micro_usd_per_million", kind=Usd()),
        Field(key="cache_write", name="cache_write_micro_usd_per_million", kind=Usd()),
        Field(key="reasoning", name="reasoning_micro_usd_per_million", kind=Usd()),
    ),
)
MODEL = Shape(
    model_pb2.Model,
    (
        _DISPLAY_NAME,
        Field(key="provider_model_id", kind=Text(256), kept=True),
        Field(key="enabled", kind=Flag(), default=True),
        Field(key="context_tokens", kind=Integer(0, 100_000_000), kept=True),
        Field(key="max_output_tokens", kind=Integer(0, 10_000_000), kept=True),
        Field(key="capabilities", kind=Abilities(), kept=True),
        Field(key="price", kind=PRICE),
    ),
)
TARGET = Shape(
    route_pb2.RouteTarget,
    (
        Field(key="provider", kind=Reference(), required=True),
        Field(key="model", kind=Id()),
        Field(key="weight", kind=Integer(0, 1_000_000)),
        Field(key="plans", kind=_PLANS),
        Field(key="requires", kind=Abilities()),
    ),
)


def _place(target: Any) -> tuple[str, str]:
    return target.provider, target.model


def _targets(most: int) -> Listed:
    return Listed(TARGET, most, tell_apart=_place, what="target")


_TIER = Shape(
    route_pb2.ComplexityTier,
    (
        Field(key="id", name="tier_id", kind=Id(), required=True),
        Field(key="most_score", kind=Integer(0, 100), required=True),
        Field(key="targets", kind=_targets(8), required=True),
    ),
)
_ARM = Shape(
    route_pb2.ExperimentArm,
    (
        Field(key="id", name="arm_id", kind=Id(), required=True),
        Field(key="share_percent", kind=Integer(1, 100), required=True),
        Field(key="target", kind=TARGET, required=True),
    ),
)
_EXPERIMENT = Shape(
    route_pb2.Experiment,
    (
        Field(key="id", name="experiment_id", kind=Id(), required=True),
        Field(key="active", kind=Flag(), default=True),
        Field(
            key="arms",
            kind=Listed(_ARM, 8, tell_apart=lambda arm: arm.arm_id, what="arm"),
            required=True,
        ),
    ),
)
_CACHE = Shape(
    route_pb2.CachePolicy,
    (
        Field(key="mode", kind=Word(route_pb2.CacheMode.DESCRIPTOR), required=True),
        Field(key="time_to_live", kind=Span(1000 * _MS, 30 * _DAY)),
    ),
)
ROUTE = Shape(
    route_pb2.Route,
    (
        _DISPLAY_NAME,
        _DESCRIPTION,
        Field(key="active", kind=Flag(), default=True),
        Field(key="strategy", kind=Word(route_pb2.RoutingStrategy.DESCRIPTOR), required=True),
        Field(key="targets", kind=_targets(32)),
        Field(key="fallbacks", kind=_targets(32)),
        Field(key="fallback_route", kind=Own("routes")),
        Field(key="tiers", kind=Listed(_TIER, 8, tell_apart=lambda tier: tier.tier_id, what="tier")),
        Field(key="experiment", kind=_EXPERIMENT),
        Field(key="cache", kind=_CACHE),
        _LABELS,
    ),
)
POLICY = Shape(
    route_pb2.RoutingPolicy,
    (
        Field(
            key="platform_fallback",
            kind=Word(route_pb2.PlatformFallback.DESCRIPTOR),
            # Said explicitly or not, it is the same.
            default=route_pb2.PLATFORM_FALLBACK_NEVER,
        ),
    ),
)
CHOICE = Shape(
    preference_pb2.Choice,
    (Field(key="provider", kind=Reference(), required=True), Field(key="model", kind=Id())),
)
PREFERENCES = Shape(
    preference_pb2.Preferences,
    (Field(key="preferred", kind=CHOICE), Field(key="tasks", kind=ByTask())),
)
PROFILE = Shape(
    preference_pb2.Profile,
    (
        _DISPLAY_NAME,
        _DESCRIPTION,
        Field(key="providers", kind=Listed(Reference(), 64, unique=True, what="provider")),
        Field(key="preferred", kind=CHOICE),
        Field(key="tasks", kind=ByTask()),
    ),
)
