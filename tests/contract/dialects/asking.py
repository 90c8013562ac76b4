"""Calls in the words of a variant, and what comes back both ways."""

from __future__ import annotations

from services.router.domain.errors import ProviderError
from services.router.domain.generation import Answer, Generation, Message, Role, Text
from services.router.domain.ports import Dispatch
from services.router.providers.http.session import HttpProviderSession
from tests.contract.dialects.folding import folded
from tests.contract.dialects.variants import Variant
from tests.integration.router_providers.wire import CANARY, dispatch, failure, streamed

OUTPUT_LIMIT = 2048
"""What a call that says none is sent with: a limit is always sent."""


def said(text: str) -> Message:
    """A message of a user."""
    return Message(Role.USER, (Text(text),))


def saying(text: str) -> Generation:
    """A call with one message."""
    return Generation(messages=(said(text),))


def sent(
    variant: Variant, base_url: str, request: Generation, *, model: str = "", key: str = CANARY
) -> Dispatch[Generation]:
    """A call as it goes to the variant's provider."""
    return dispatch(
        base_url,
        request,
        dialect=variant.type,
        options=variant.options,
        model=model or variant.model,
        key=key,
        output_limit=request.max_output_tokens or OUTPUT_LIMIT,
    )


async def both_ways(
    session: HttpProviderSession, base_url: str, variant: Variant, request: Generation, *, model: str = ""
) -> tuple[Answer, Answer]:
    """The answer in one piece, and the streamed one folded."""
    call = sent(variant, base_url, request, model=model)
    return await session.generate(call), folded(await streamed(session, call))


async def asked(
    session: HttpProviderSession, base_url: str, variant: Variant, request: Generation, *, model: str = ""
) -> Answer:
    """The answer, which is the same both ways."""
    whole, stream = await both_ways(session, base_url, variant, request, model=model)
    assert whole == stream
    return whole


async def failed(
    session: HttpProviderSession, base_url: str, variant: Variant, text: str, *, stream: bool
) -> ProviderError:
    """How a call with this text fails."""
    return await failure(session, sent(variant, base_url, saying(text)), stream=stream)
