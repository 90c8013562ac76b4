"""The operator's list of inside places that providers may live at, as a setting."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, InstanceOf
from pydantic_settings import NoDecode

from libs.core.endpoints import AllowedEndpoint

_MOST = 256


def _entries(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(AllowedEndpoint.parse(entry) for part in value.split(",") if (entry := part.strip()))


AllowedEndpoints = Annotated[
    tuple[InstanceOf[AllowedEndpoint], ...], NoDecode, Field(max_length=_MOST), BeforeValidator(_entries)
]
"""Hosts, `*.domain`s, addresses and networks, each with `:port` or without, separated by commas."""
