"""The shapes of a call: answered at once, read page by page, streamed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from gatehouse.profile import Service

T = TypeVar("T")
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[T]):
    """One call. `method` is the full name; `pick` takes the result out of a response (of a streamed call: out of each).

    `timeout` is in seconds, None means the client's own; `revision` is the configuration revision the router waits for.
    """

    service: Service
    method: str
    request: Message
    response: type[Message]
    # Its argument is a `response`; `operation` checks that the two belong together.
    pick: Callable[[Any], T]
    timeout: float | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list read page by page: `first` asks for the first page; its request and response carry page tokens."""

    first: Operation[Page[T]]

    def after(self, page: Page[T]) -> Operation[Page[T]] | None:
        """The call for the page after `page`, None when it was the last."""
        if not page.next_page_token:
            return None
        request = type(self.first.request)()
        request.CopyFrom(self.first.request)
        request.page_token = page.next_page_token  # type: ignore[attr-defined]  # every list request has it
        return Operation(
            service=self.first.service,
            method=self.first.method,
            request=request,
            response=self.first.response,
            pick=self.first.pick,
            timeout=self.first.timeout,
            revision=self.first.revision,
        )


@dataclass(frozen=True, slots=True)
class Stream(Generic[T]):
    """A streamed call whose responses hold several items each."""

    parts: Operation[Sequence[T]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    next_page_token: str


def operation(
    service: Service,
    method: str,
    request: Message,
    response: type[M],
    pick: Callable[[M], T],
    *,
    timeout: float | None = None,
    revision: int | None = None,
) -> Operation[T]:
    """An Operation whose `pick` fits its `response`."""
    return Operation(
        service=service,
        method=method,
        request=request,
        response=response,
        pick=pick,
        timeout=timeout,
        revision=revision,
    )


def whole(response: M) -> M:
    """A `pick` that takes all of the response."""
    return response


def nothing(response: Message) -> None:
    """A `pick` for responses that hold nothing."""


def split_name(name: str, collection: str) -> tuple[str, str]:
    """`tenants/acme/keys/openai` with `keys` -> (`tenants/acme`, `openai`).

    Raises ValueError when the name is not of this collection; everything else about it is the server's to judge.
    """
    parent, found, resource_id = name.rpartition(f"/{collection}/")
    if not found or not parent or not resource_id or "/" in resource_id:
        raise ValueError(f"{name!r} is not a name like {{owner}}/{collection}/{{id}}")
    return parent, resource_id
