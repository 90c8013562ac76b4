"""Images, sound and documents as parts of a message: by an https URL, a file or bytes; and what type they are."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TypeAlias

from gatehouse.router.v1.message_pb2 import Audio, Document, Image, Part

Source: TypeAlias = str | PathLike[str] | bytes
"""An https URL, a file, or the bytes themselves."""

_IMAGES = (
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("image/gif", b"GIF8"),
)
_SOUNDS = (
    ("audio/ogg", b"OggS"),
    ("audio/flac", b"fLaC"),
    ("audio/mpeg", b"ID3"),
    ("audio/webm", b"\x1aE\xdf\xa3"),
)
# Frames of MPEG audio begin with eleven set bits; the layer is none for ADTS, which holds AAC.
_FRAME, _LAYER = 0xFFE0, 0x0006
# What has no mark of its own at its start is known by the end of its name.
_SUFFIXES = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".flac": "audio/flac",
    ".aac": "audio/aac",
    ".m4a": "audio/mp4",
    ".mp4": "audio/mp4",
    ".webm": "audio/webm",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".md": "text/plain",
}


def image(source: Source, *, media_type: str = "", cache: bool = False) -> Part:
    """An image by its https URL, its file or its bytes.

    `media_type` is recognised for PNG, JPEG, GIF and WebP. `cache`: see `gatehouse.text`. Raises OSError when the file
    cannot be read, ValueError when the type must be said.
    """
    if url := _url(source):
        return Part(image=Image(url=url, media_type=media_type), cache_breakpoint=cache)
    data = _bytes(source)
    found = media_type or _image_type(data)
    if not found:
        raise ValueError("not a PNG, JPEG, GIF or WebP image: say its media_type")
    return Part(image=Image(data=data, media_type=found), cache_breakpoint=cache)


def audio(source: Source, *, media_type: str = "", cache: bool = False) -> Part:
    """Speech or other sound, as `image`. The type is recognised for WAV, MP3, Ogg, FLAC, AAC, MP4 and WebM."""
    if url := _url(source):
        media_type = media_type or _by_name(url, "audio/")
        if not media_type:
            raise ValueError(f"what kind of sound is at {url}? Say its media_type")
        return Part(audio=Audio(url=url, media_type=media_type), cache_breakpoint=cache)
    data = _bytes(source)
    media_type = media_type or _sound_type(data) or _by_name(source, "audio/")
    if not media_type:
        raise ValueError("not a WAV, MP3, Ogg, FLAC, AAC, MP4 or WebM recording: say its media_type")
    return Part(audio=Audio(data=data, media_type=media_type), cache_breakpoint=cache)


def document(source: Source, *, media_type: str = "", name: str = "", cache: bool = False) -> Part:
    """A PDF or a plain text, as `image`. `name` is for the model; of a file it is the file's unless said."""
    if url := _url(source):
        media_type = media_type or _by_name(url, "") or "application/pdf"
        return Part(document=Document(url=url, media_type=media_type, name=name), cache_breakpoint=cache)
    data = _bytes(source)
    media_type = media_type or _document_type(data)
    if not media_type:
        raise ValueError("neither a PDF nor text in UTF-8: say its media_type")
    name = name or ("" if isinstance(source, bytes) else Path(source).name)
    return Part(document=Document(data=data, media_type=media_type, name=name), cache_breakpoint=cache)


def attachment(source: Source) -> Part:
    """An image, sound or document, whichever it is by its first bytes or its name. Raises as `image` does."""
    if url := _url(source):
        media_type = _by_name(url, "")
        if media_type.startswith("audio/"):
            return audio(url)
        return document(url) if media_type else image(url)
    data = _bytes(source)
    if _image_type(data):
        return image(data)
    if sound := _sound_type(data) or _by_name(source, "audio/"):
        return audio(data, media_type=sound)
    name = "" if isinstance(source, bytes) else Path(source).name
    if not _document_type(data):
        raise ValueError("neither an image, a recording, a PDF nor text in UTF-8")
    return document(data, name=name)


def _url(source: Source) -> str:
    """The URL that `source` is; empty for a file or bytes."""
    return source if isinstance(source, str) and source.lower().startswith(("https://", "http://")) else ""


def _bytes(source: Source) -> bytes:
    return source if isinstance(source, bytes) else Path(source).read_bytes()


def _image_type(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for media_type, mark in _IMAGES if data.startswith(mark)), "")


def _sound_type(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio/wav"
    if data[4:8] == b"ftyp":
        return "audio/mp4"
    start = int.from_bytes(data[:2], "big") if len(data) > 1 else 0
    if start & _FRAME == _FRAME:
        return "audio/mpeg" if start & _LAYER else "audio/aac"
    return next((media_type for media_type, mark in _SOUNDS if data.startswith(mark)), "")


def _document_type(data: bytes) -> str:
    if data.startswith(b"%PDF-"):
        return "application/pdf"
    try:
        data.decode()
    except UnicodeDecodeError:
        return ""
    return "text/plain" if b"\x00" not in data else ""


def _by_name(source: Source, kind: str) -> str:
    if isinstance(source, bytes):
        return ""
    path = str(source).partition("?")[0].partition("#")[0]
    media_type = _SUFFIXES.get(Path(path).suffix.lower(), "")
    return media_type if media_type.startswith(kind) else ""
