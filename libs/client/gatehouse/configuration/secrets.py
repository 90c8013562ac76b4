"""Keys in clear, which have no place in a file: how they are recognised."""

from __future__ import annotations

import re

# What the keys of providers look like. Long enough that no id or model name is taken for one.
_KEY = re.compile(
    r"(?:sk-|sk_|gsk_|xai-|pplx-|hf_|r8_|nvapi-|fw_|csk-|AIza|Bearer |eyJ)[A-Za-z0-9_\-.=/+]{16,}", re.ASCII
)
_NAMES = frozenset(
    {
        "apikey",
        "accesskey",
        "accesstoken",
        "authtoken",
        "authorization",
        "bearertoken",
        "clientsecret",
        "masterkey",
        "password",
        "passwd",
        "privatekey",
        "secret",
        "secretkey",
        "token",
    }
)


def looks_like_key(text: str) -> bool:
    """Whether `text` is written as the keys of providers are."""
    return _KEY.search(text) is not None


def names_secret(key: str) -> bool:
    """Whether a field of this name would hold a secret: `api_key`, `openai_api_key`, `password`."""
    folded = re.sub(r"[^a-z]", "", key.lower())
    return any(folded == name or (folded.endswith(name) and len(name) > 5) for name in _NAMES)  # noqa: PLR2004 - "token" ends max_token
