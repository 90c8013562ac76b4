"""What bytes from somewhere are: whether they are the image, sound or document that a caller said."""

from __future__ import annotations

import codecs
import re
from dataclasses import replace

from services.router.domain.generation import Audio, Document, Image

Item = Image | Audio | Document
"""What can be fetched."""

_UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_WRITTEN = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})
_PDF_BEGINS_WITHIN = 1024
# By Python's names. It has other text encodings, some of which take hours for a long text.
_CHARSETS = re.compile(
    r"ascii|utf-(8|8-sig|16|16-le|16-be|32|32-le|32-be)|iso8859-\d+|cp125\d|koi8-[ru]|mac-roman"
    r"|shift_jis|euc_jp|iso2022_jp|gb2312|gbk|gb18030|big5|euc_kr|cp949|cp932"
)


def checked(media: Item, data: bytes, content_type: str) -> Item:
    """`media` with `data`, sent as `content_type`, in the place of its URL. Raises ValueError saying what is wrong.

    The type of an image is what its bytes say, for servers often know no better; the caller's word counts for the
    others. `media` is not named in the error, which continues a sentence: "The image …".
    """
    declared, _, parameters = content_type.partition(";")
    declared = declared.strip().lower()
    match media:
        case Image():
            found = _image_type(data)
            if not found:
                raise ValueError(f"is no PNG, JPEG, GIF or WebP{_sent_as(declared)}")
            return replace(media, url=None, data=data, media_type=found)
        case Audio():
            if not (declared in _UNTOLD or declared.startswith(("audio/", "video/")) or declared == "application/ogg"):
                raise ValueError(f"is no sound{_sent_as(declared)}")
        case Document() if media.media_type == "text/plain":
            if not (declared in _UNTOLD | _WRITTEN or declared.startswith("text/")) or declared == "text/html":
                raise ValueError(f"is no plain text{_sent_as(declared)}")
            data = _as_utf8(data, parameters)
        case Document():
            if b"%PDF-" not in data[:_PDF_BEGINS_WITHIN]:
                raise ValueError(f"is no PDF{_sent_as(declared)}")
    return replace(media, url=None, data=data)


def _sent_as(declared: str) -> str:
    # The word of a stranger: as much of it as a type has, and nothing that is none.
    known = declared.isascii() and declared.isprintable() and len(declared) <= len("application/") + 64
    return f" but {declared}" if declared not in _UNTOLD and known else ""


def _image_type(data: bytes) -> str:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return ""


def _as_utf8(data: bytes, parameters: str) -> bytes:
    """`data` in UTF-8, from the charset that was named with its type."""
    charset = "utf-8-sig"
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip("\"'")
    try:
        if _CHARSETS.fullmatch(codecs.lookup(charset).name) is not None:
            return data.decode(charset).encode()
    except (ValueError, LookupError):
        pass
    raise ValueError("is no text in the charset it says, or in UTF-8")
