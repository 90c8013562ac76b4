"""Keeps a page of large resources within what a gRPC client takes by default."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

# Half a megabyte below the 4 MiB that clients take, for the frame around the messages.
MAX_PAGE_BYTES = 3_600_000


def fitting(messages: Iterable[M], size: int) -> tuple[Sequence[M], bool]:
    """Up to `size` of the first `messages`, as many as fit into one page, at least one; and whether there are more.

    Of `messages`, the one after the page is the last that is looked at: they may be made one by one.
    """
    page: list[M] = []
    left = MAX_PAGE_BYTES
    for message in messages:
        left -= message.ByteSize()
        if page and (left < 0 or len(page) == size):
            return page, True
        page.append(message)
    return page, False
