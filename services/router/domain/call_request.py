"""What a call may ask of a model: an answer, or vectors."""

from __future__ import annotations

from typing import TypeVar

from services.router.domain.embedding import Embedding
from services.router.domain.generation import Generation

CallRequest = Generation | Embedding
"""Both say who may serve, what the call is for and what becomes of what a target cannot do, by the same names."""

RequestT = TypeVar("RequestT", Generation, Embedding)


def session_of(request: CallRequest) -> str:
    """The conversation a call belongs to; vectors belong to none."""
    return request.session if isinstance(request, Generation) else ""
