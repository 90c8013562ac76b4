"""Anchors sent to a URL: a log collector or an object store that takes what is posted and gives nothing back."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp

from libs.core.audit_anchors import Anchor, encode_anchor

_TIMEOUT_S = 10.0


class AnchorUrl:
    """Posts anchors as JSON lines. They cannot be read back: hold them against an exported chain where they went."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def append(self, anchors: Sequence[Anchor]) -> None:
        """See `AnchorStore`. Raises OSError unless the answer is 2xx."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        failure = ""
        try:
            async with (
                # No proxy and no credentials from the environment.
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
                session.post(
                    self._url,
                    data=b"".join(map(encode_anchor, anchors)),
                    headers={"Content-Type": "application/x-ndjson"},
                    allow_redirects=False,
                ) as response,
            ):
                if response.status // 100 != 2:  # noqa: PLR2004 - any success
                    failure = f"answered {response.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            failure = f"could not be reached ({type(error).__name__})"
        if failure:
            # The address may hold a credential: it is not repeated.
            raise OSError(f"the URL for audit anchors {failure}")

    async def read(self, scope: str) -> list[Anchor]:  # noqa: ARG002 - the port's
        """None: see the class."""
        return []
