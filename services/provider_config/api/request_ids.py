"""Recognises a repeated request."""

from __future__ import annotations

import hashlib
import re
from typing import TypeVar

from gatehouse.providerconfig.v1 import (
    model_service_pb2,
    preference_service_pb2,
    provider_service_pb2,
    route_service_pb2,
)

from libs.core.validation import FieldChecks
from services.provider_config.domain.ports import Request

CreateRequest = TypeVar(
    "CreateRequest",
    provider_service_pb2.CreateProviderRequest,
    model_service_pb2.CreateModelRequest,
    route_service_pb2.CreateRouteRequest,
    preference_service_pb2.CreateProfileRequest,
)

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def check_request_id(check: FieldChecks, request_id: str) -> None:
    """It is empty or a UUID."""
    check.that(
        not request_id or _UUID.fullmatch(request_id) is not None,
        "request_id",
        "must be a UUID such as 0b0a3c2e-7f57-4a6c-9b1e-2a4d6f8c0e1d",
    )


def remembered_as(request: CreateRequest, *, caller: str) -> Request | None:
    """How `request` is recognised when it comes again; None when it is not to be remembered.

    A request that only validates has no effect that could happen twice.
    """
    if not request.request_id or request.validate_only:
        return None
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("request_id")
    return Request(
        caller=caller,
        method=request.DESCRIPTOR.name,
        request_id=request.request_id.lower(),
        digest=hashlib.sha256(bare.SerializeToString(deterministic=True)).digest(),
    )
