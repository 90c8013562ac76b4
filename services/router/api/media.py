"""From the wire to the domain: images, sounds and documents."""

from __future__ import annotations

from urllib.parse import urlsplit

from gatehouse.router.v1 import message_pb2

from libs.core.validation import FieldChecks
from services.router.domain.generation import Audio, Document, Image

MAX_MEDIA_BYTES = 20 * 1024 * 1024
MAX_URL = 8192
MAX_DOCUMENT_NAME = 256
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
AUDIO_TYPES = frozenset({"audio/wav", "audio/mpeg", "audio/ogg", "audio/flac", "audio/aac", "audio/mp4", "audio/webm"})
DOCUMENT_TYPES = frozenset({"application/pdf", "text/plain"})

_PbMedia = message_pb2.Image | message_pb2.Audio | message_pb2.Document


def image(check: FieldChecks, field: str, message: message_pb2.Image) -> Image:
    """An image; its type may be left out where it is given by URL."""
    data, url = _source(check, field, message)
    if message.media_type or url is None:
        _media_type(check, field, message.media_type, IMAGE_TYPES)
    return Image(data=data, url=url, media_type=message.media_type)


def audio(check: FieldChecks, field: str, message: message_pb2.Audio) -> Audio:
    """A sound."""
    data, url = _source(check, field, message)
    _media_type(check, field, message.media_type, AUDIO_TYPES)
    return Audio(data=data, url=url, media_type=message.media_type)


def document(check: FieldChecks, field: str, message: message_pb2.Document) -> Document:
    """A document."""
    data, url = _source(check, field, message)
    _media_type(check, field, message.media_type, DOCUMENT_TYPES)
    if message.media_type == "text/plain" and data is not None:
        check.that(is_utf8(data), f"{field}.data", "must be text in UTF-8, for its type is text/plain")
    check.text(f"{field}.name", message.name, most=MAX_DOCUMENT_NAME)
    return Document(data=data, url=url, media_type=message.media_type, name=message.name)


def _source(check: FieldChecks, field: str, message: _PbMedia) -> tuple[bytes | None, str | None]:
    match message.WhichOneof("source"):
        case "data":
            in_bounds = 1 <= len(message.data) <= MAX_MEDIA_BYTES
            check.that(in_bounds, f"{field}.data", f"must have 1 to {MAX_MEDIA_BYTES} bytes")
            return message.data, None
        case "url":
            right = _is_https(message.url)
            check.that(right, f"{field}.url", f"must be an https URL of at most {MAX_URL} characters")
            return None, message.url
        case _:
            check.fail(field, "must set data or url")
            return b"", None


def _media_type(check: FieldChecks, field: str, given: str, allowed: frozenset[str]) -> None:
    if given not in allowed:
        check.fail(f"{field}.media_type", f"must be one of {', '.join(sorted(allowed))}")


def _is_https(url: str) -> bool:
    try:
        return len(url) <= MAX_URL and urlsplit(url).scheme == "https" and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def is_utf8(data: bytes) -> bool:
    """Whether they are text in UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
