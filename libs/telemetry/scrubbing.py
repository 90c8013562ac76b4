"""The second net: whatever looks like a key, a token or a payload is masked on its way into a log or trace.

The first net is that secrets are `Secret` objects and payloads are never handed to a logger. This one is for what
slips through: a provider's error text, a library's message, a careless field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

MASK: Final = "[masked]"
MAX_TEXT = 4096
_MAX_ITEMS = 64
_MAX_DEPTH = 4
# Longer than any key a pattern has to see whole to recognise it.
_LOOKAHEAD = 512
# Three secrets glued together are looked for, more would be no accident.
_MOST_PASSES = 4

# Shapes of secrets, each with literals (lower case) of which one must be there for it to match at all: looking for
# those is what nearly every text costs, a tenth of running the expressions.
_SHAPES: Final = tuple(
    (literals, re.compile(pattern, re.DOTALL))
    for literals, pattern in (
        (("-----begin",), r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
        (("eyj",), r"\beyJ[\w-]{6,}\.[\w-]+(?:\.[\w-]*){0,3}"),  # JWT, JWE
        (("bearer ", "basic "), r"(?i:\b(?:bearer|basic) +)[\w.~+/=-]{6,}"),
        (
            ("sk", "pk", "rk", "xai", "pplx", "hf_", "r8_", "nvapi", "whsec", "gh", "glpat", "xox"),
            r"(?<![A-Za-z0-9])(?:g?sk|pk|rk|xai|pplx|hf|r8|nvapi|whsec|gh[pousr]|glpat|xox[abprs])[-_][\w-]{8,}",
        ),
        (("aiza", "ya29."), r"\b(?:AIza|ya29\.)[\w-]{8,}"),  # Google
        (("akia", "asia"), r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"),  # AWS
        (("hvs.", "hvb.", "hvr."), r"\bhv[sbr]\.[\w.-]{8,}"),  # Vault, OpenBao
        (("s.", "b.", "r."), r"\b[sbr]\.[A-Za-z0-9]{20,}"),  # their older form
        (("://",), r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),  # user:password in a URL
    )
)
# `api_key=…`, `"x-api-key": "…"`, `password: …`: the name stays, the value goes.
_SECRET_NAMES: Final = ("key", "token", "secret", "passw", "pwd", "authorization")
_NAMED_SECRET: Final = re.compile(
    r"""((?:api[_-]?key|authorization|secret(?:[_-]?(?:id|key))?|passw(?:or)?d|pwd|token|[?&]key)
        (?:\\?["'])?\s{0,4}[:=]\s{0,4}(?:b?\\?["'])?)
        (?!\[masked\])[^\s"',;&<>)}\]\\]{4,}""",
    re.VERBOSE | re.IGNORECASE,
)
# In text nobody here wrote, a long run of letters with digits is more likely a key than anything worth reading.
_LONG_RUN: Final = re.compile(r"[A-Za-z0-9_+=-]{20,}")
_DIGIT: Final = re.compile(r"[0-9]")
_LETTER: Final = re.compile(r"[A-Za-z]")

# Fields whose name alone says that the value is not for a log, whatever it looks like.
_PRIVATE_FIELD: Final = re.compile(
    r"(?:.*[._-])?(?:authorization|api_?key|secret(?:_?id|_?key)?|passw(?:or)?d|token|cookie|credentials?|private_?key"
    r"|material|prompt|completion|messages?_?content|messages|content|body|payload|arguments|stacktrace)",
    re.IGNORECASE,
)


def scrub_text(text: str) -> str:
    """`text` without what looks like a secret, at most 4,096 characters of it."""
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT + _LOOKAHEAD]
    lowered = text.lower()
    # Masking one secret may lay bare where the next one glued to it begins.
    for _ in range(_MOST_PASSES):
        before = text
        for literals, shape in _SHAPES:
            if any(literal in lowered for literal in literals):
                text = shape.sub(MASK, text)
        if text == before:
            break
    if ("=" in text or ":" in text) and any(name in lowered for name in _SECRET_NAMES):
        text = _NAMED_SECRET.sub(rf"\1{MASK}", text)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…"


def scrub_foreign_text(text: str) -> str:
    """Like `scrub_text`, for text written elsewhere (exceptions, libraries): any long opaque run goes too."""
    return _LONG_RUN.sub(_mask_opaque, scrub_text(text))


def _mask_opaque(run: re.Match[str]) -> str:
    return MASK if _DIGIT.search(run[0]) and _LETTER.search(run[0]) else run[0]


@lru_cache(maxsize=1024)
def is_private_field(name: str) -> bool:
    """Whether a field of this name is masked whole (`authorization`, `api_key`, `gen_ai.prompt`)."""
    return _PRIVATE_FIELD.fullmatch(name) is not None


def scrub_value(value: object, *, depth: int = 0) -> object:
    """A JSON-able stand-in for `value`.

    Numbers and truth values stay; texts are scrubbed; mappings and lists are scrubbed inside, at most 64 entries and
    four levels deep; of any other object (messages, requests, bytes) only the type's name is shown.
    """
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            # Also turns subclasses (enums) into plain text.
            return scrub_text(str(value))
        case BaseException():
            return f"{type(value).__name__}: {scrub_foreign_text(first_line(value))}"
        case Mapping() if depth < _MAX_DEPTH:
            return scrub_fields(value, depth=depth + 1)
        case list() | tuple() | set() | frozenset() if depth < _MAX_DEPTH:
            return [scrub_value(item, depth=depth + 1) for item in list(value)[:_MAX_ITEMS]]
        case _:
            return f"<{type(value).__name__}>"


def scrub_fields(fields: Mapping[object, object], *, depth: int = 0) -> dict[str, object]:
    """Every field of a record scrubbed, those with a telling name masked whole."""
    scrubbed: dict[str, object] = {}
    for count, (key, value) in enumerate(fields.items()):
        if count >= _MAX_ITEMS:
            break
        name = key if isinstance(key, str) else str(scrub_value(key))
        if value is not None and not isinstance(value, bool | int | float) and is_private_field(name):
            scrubbed[name] = MASK
        else:
            scrubbed[scrub_text(name) if depth else name] = scrub_value(value, depth=depth)
    return scrubbed


def first_line(error: BaseException) -> str:
    """The first line of an exception's text; what follows is mostly the data it failed on."""
    # Their first lines quote the offending value itself.
    if type(error).__module__.partition(".")[0] in _QUOTING_LIBRARIES:
        return ""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - a text that cannot be made must not hide the error it belongs to
        return f"<{type(broken).__name__} while reading the text>"
    return text.partition("\n")[0][:_MAX_ERROR_TEXT]


_QUOTING_LIBRARIES = frozenset({"jsonschema", "pydantic", "pydantic_core", "referencing"})
_MAX_ERROR_TEXT = 300
