"""Client for Gatehouse, the gateway for LLM calls.

    from gatehouse import Client

    with Client.from_profile() as client:
        print(client.generate("Why is the sky blue?").text)

`Client` and `AsyncClient` call models, manage keys, providers, models and quotas, and read usage and the audit log;
every failed call raises a `GatehouseError`. The generated messages and stubs lie in `gatehouse.<area>.v1`. Names are
loaded when first used, so that importing only the stubs stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gatehouse.aio import AsyncClient as AsyncClient
    from gatehouse.answers import Answer as Answer
    from gatehouse.answers import Embeddings as Embeddings
    from gatehouse.answers import Event as Event
    from gatehouse.client import Client as Client
    from gatehouse.errors import (
        Aborted as Aborted,
    )
    from gatehouse.errors import (
        AlreadyExists as AlreadyExists,
    )
    from gatehouse.errors import (
        Cancelled as Cancelled,
    )
    from gatehouse.errors import (
        DataLoss as DataLoss,
    )
    from gatehouse.errors import (
        DeadlineExceeded as DeadlineExceeded,
    )
    from gatehouse.errors import (
        FailedPrecondition as FailedPrecondition,
    )
    from gatehouse.errors import (
        FieldViolation as FieldViolation,
    )
    from gatehouse.errors import (
        GatehouseError as GatehouseError,
    )
    from gatehouse.errors import (
        Internal as Internal,
    )
    from gatehouse.errors import (
        InvalidArgument as InvalidArgument,
    )
    from gatehouse.errors import (
        NotFound as NotFound,
    )
    from gatehouse.errors import (
        OutOfRange as OutOfRange,
    )
    from gatehouse.errors import (
        PermissionDenied as PermissionDenied,
    )
    from gatehouse.errors import (
        PreconditionViolation as PreconditionViolation,
    )
    from gatehouse.errors import (
        QuotaViolation as QuotaViolation,
    )
    from gatehouse.errors import (
        ResourceExhausted as ResourceExhausted,
    )
    from gatehouse.errors import (
        Unauthenticated as Unauthenticated,
    )
    from gatehouse.errors import (
        Unavailable as Unavailable,
    )
    from gatehouse.errors import (
        Unimplemented as Unimplemented,
    )
    from gatehouse.errors import (
        Unknown as Unknown,
    )
    from gatehouse.folding import (
        AnswerBuilder as AnswerBuilder,
    )
    from gatehouse.folding import (
        fold as fold,
    )
    from gatehouse.folding import (
        fold_async as fold_async,
    )
    from gatehouse.media import (
        attachment as attachment,
    )
    from gatehouse.media import (
        audio as audio,
    )
    from gatehouse.media import (
        document as document,
    )
    from gatehouse.media import (
        image as image,
    )
    from gatehouse.messages import (
        assistant as assistant,
    )
    from gatehouse.messages import (
        json_schema as json_schema,
    )
    from gatehouse.messages import (
        mcp_tool_result as mcp_tool_result,
    )
    from gatehouse.messages import (
        mcp_tools as mcp_tools,
    )
    from gatehouse.messages import (
        system as system,
    )
    from gatehouse.messages import (
        text as text,
    )
    from gatehouse.messages import (
        tool as tool,
    )
    from gatehouse.messages import (
        tool_result as tool_result,
    )
    from gatehouse.messages import (
        user as user,
    )
    from gatehouse.profile import Profile as Profile
    from gatehouse.profile import ProfileError as ProfileError

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Answer",
    "AnswerBuilder",
    "AsyncClient",
    "Cancelled",
    "Client",
    "DataLoss",
    "DeadlineExceeded",
    "Embeddings",
    "Event",
    "FailedPrecondition",
    "FieldViolation",
    "GatehouseError",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "PreconditionViolation",
    "Profile",
    "ProfileError",
    "QuotaViolation",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "assistant",
    "attachment",
    "audio",
    "document",
    "fold",
    "fold_async",
    "image",
    "json_schema",
    "mcp_tool_result",
    "mcp_tools",
    "system",
    "text",
    "tool",
    "tool_result",
    "user",
]

_MODULES = {
    "Answer": "answers",
    "AsyncClient": "aio",
    "Client": "client",
    "Embeddings": "answers",
    "Event": "answers",
    "Profile": "profile",
    "ProfileError": "profile",
    **dict.fromkeys(("AnswerBuilder", "fold", "fold_async"), "folding"),
    **dict.fromkeys(("attachment", "audio", "document", "image"), "media"),
    **dict.fromkeys(
        (
            "assistant",
            "json_schema",
            "mcp_tool_result",
            "mcp_tools",
            "system",
            "text",
            "tool",
            "tool_result",
            "user",
        ),
        "messages",
    ),
}


def __getattr__(name: str) -> object:
    """Load a public name's module when the name is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
