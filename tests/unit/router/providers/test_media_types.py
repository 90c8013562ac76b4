import contextlib

from hypothesis import given
from hypothesis import strategies as st

from services.router.domain.generation import Audio, Document, Image
from services.router.providers.http.media_types import checked

MEDIA = st.sampled_from(
    [
        Image(url="https://a/"),
        Audio(url="https://a/", media_type="audio/wav"),
        Document(url="https://a/", media_type="application/pdf"),
        Document(url="https://a/", media_type="text/plain"),
    ]
)
CHARSETS = st.sampled_from(["utf-8", "utf-16", "latin-1", "ascii", "punycode", "idna", "zip", "undefined", "mbcs"])
TYPES = st.text() | st.builds("text/plain; charset={}".format, CHARSETS | st.text())
BYTES = st.binary() | st.sampled_from([b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBP", b"GIF89a", b"\xff\xd8\xff", b"%PDF-1"])


@given(MEDIA, BYTES, TYPES)
def test_whatever_comes_is_what_was_said_or_refused(
    media: Image | Audio | Document, data: bytes, content_type: str
) -> None:
    with contextlib.suppress(ValueError):
        got = checked(media, data, content_type)
        assert (type(got), got.url) == (type(media), None)
        assert got.data is not None
        assert got.media_type.startswith("image/") if isinstance(media, Image) else got.media_type == media.media_type
        if got.media_type == "text/plain":
            got.data.decode()
