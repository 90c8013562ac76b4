"""Where a key may be sent: a scheme, a host and a port."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from libs.core.validation import origin_of

MOST_CHARACTERS = 300

# After normalising. Names outside ASCII have a spelling inside it (xn--), which is unambiguous.
_NORMALISED = re.compile(r"https?://([a-z0-9][a-z0-9._-]*|\[[0-9a-f:.]+\]):[0-9]{1,5}")


def origin_alone(text: str) -> str | None:
    """`text` normalised (`https://host:443`) when it is an origin and nothing else, otherwise None."""
    origin = normalised_origin(text)
    if origin is None or "?" in text or "#" in text or urlsplit(text).path not in ("", "/"):
        return None
    return origin


def normalised_origin(url: str) -> str | None:
    """The origin of a URL, which may have a path; None when it has none or too long a one."""
    if not url.isascii() or not url.isprintable():
        return None
    origin = origin_of(url)
    if origin is None or len(origin) > MOST_CHARACTERS or not _NORMALISED.fullmatch(origin):
        return None
    return origin
