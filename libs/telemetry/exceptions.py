"""An exception as a log field: what it is, where in our code it came from, and no data."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from libs.core.errors import GatehouseError
from libs.telemetry.scrubbing import first_line, scrub_foreign_text, scrub_text

_ROOT = Path(__file__).resolve().parents[2]
_OUR_FOLDERS = tuple(f"{_ROOT / folder}/" for folder in ("libs", "services", "deploy"))
_MAX_FRAMES = 20
_MAX_LINKS = 5


def describe(error: BaseException) -> dict[str, object]:
    """`type`, `text` (scrubbed, one line), `frames` of Gatehouse's own files, and `causes` likewise.

    Source lines and local variables are left out: they are where secrets and prompts live.
    """
    description = _describe_one(error)
    causes: list[dict[str, object]] = []
    seen = {id(error)}
    pending = _linked(error)
    while pending and len(causes) < _MAX_LINKS:
        cause = pending.pop(0)
        if id(cause) not in seen:
            seen.add(id(cause))
            causes.append(_describe_one(cause))
            pending += _linked(cause)
    if causes:
        description["causes"] = causes
    return description


def _describe_one(error: BaseException) -> dict[str, object]:
    # Our own errors are worded for callers; only other people's may quote anything.
    text = scrub_text(error.message) if isinstance(error, GatehouseError) else scrub_foreign_text(first_line(error))
    description: dict[str, object] = {"type": type(error).__qualname__}
    if text:
        description["text"] = text
    if isinstance(error, GatehouseError):
        description["reason"] = error.reason
    frames = _own_frames(error.__traceback__)
    if frames:
        description["frames"] = frames
    return description


def _linked(error: BaseException) -> list[BaseException]:
    inner = list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []
    link = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return inner + ([link] if link is not None else [])


def _own_frames(trace: TracebackType | None) -> list[str]:
    frames: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename.startswith(_OUR_FOLDERS):
            frames.append(f"{code.co_filename[len(str(_ROOT)) + 1 :]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return frames[-_MAX_FRAMES:]
