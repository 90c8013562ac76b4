"""What several kinds of resources have in common, as domain values; every wrong field is collected."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import fields

from gatehouse.providerconfig.v1 import model_pb2, preference_pb2, provider_pb2, route_pb2

from libs.core.provider_types import Capabilities
from libs.core.validation import FieldChecks

_MAX_DISPLAY_NAME = 200
_MAX_DESCRIPTION = 2000


def check_texts(
    check: FieldChecks,
    resource: str,
    message: provider_pb2.Provider | model_pb2.Model | route_pb2.Route | preference_pb2.Profile,
    wanted: AbstractSet[str],
) -> None:
    """`check` learns what is wrong with those texts for people that are `wanted`; `resource` is the message's field."""
    if "display_name" in wanted:
        check.text(f"{resource}.display_name", message.display_name, most=_MAX_DISPLAY_NAME)
    if "description" in wanted and not isinstance(message, model_pb2.Model):
        check.text(f"{resource}.description", message.description, most=_MAX_DESCRIPTION)


def capabilities_in(message: provider_pb2.Capabilities) -> Capabilities:
    """What a model can do, or must."""
    return Capabilities(**{each.name: getattr(message, each.name) for each in fields(Capabilities)})
