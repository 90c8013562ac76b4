"""Keeps a page of large resources within what a gRPC client takes by default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

# Half a megabyte below the 4 MiB that clients take, for the frame around the messages.
MAX_PAGE_BYTES = 3_600_000


def fitting(messages: Sequence[M]) -> Sequence[M]:
    """The first of `messages`, as many as fit into one page; at least one if there is any."""
    left = MAX_PAGE_BYTES
    for count, message in enumerate(messages):
        left -= message.ByteSize()
        if left < 0:
            return messages[: max(count, 1)]
    return messages
