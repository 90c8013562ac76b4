from __future__ import annotations

from pathlib import Path

import pytest
from gatehouse import attachment, audio, document, image, text, user
from gatehouse.media import Source
from gatehouse.router.v1.message_pb2 import Audio, Document, Image, Part

PNG = b"\x89PNG\r\n\x1a\n..."
PDF = b"%PDF-1.7 ..."
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
SOUNDS = {
    "audio/wav": WAV,
    "audio/ogg": b"OggS....",
    "audio/flac": b"fLaC....",
    "audio/mpeg": b"ID3\x04....",
    "audio/webm": b"\x1aE\xdf\xa3....",
    "audio/mp4": b"\x00\x00\x00\x20ftypM4A ",
    "audio/aac": b"\xff\xf1\x50\x80....",
}


@pytest.mark.parametrize(("media_type", "data"), SOUNDS.items())
def test_the_type_of_a_recording_is_recognised(tmp_path: Path, media_type: str, data: bytes) -> None:
    file = tmp_path / "recording"
    file.write_bytes(data)
    assert audio(data) == audio(file) == audio(str(file)) == Part(audio=Audio(data=data, media_type=media_type))
    assert attachment(file) == audio(data)


def test_frames_without_a_header_are_mp3_too() -> None:
    assert audio(b"\xff\xfb\x90\x64....").audio.media_type == "audio/mpeg"


def test_a_recording_by_url_has_its_type_by_its_name_or_said() -> None:
    assert audio("https://example.com/a.MP3?x=1").audio == Audio(
        url="https://example.com/a.MP3?x=1", media_type="audio/mpeg"
    )
    assert audio("https://example.com/a", media_type="audio/wav").audio.media_type == "audio/wav"
    with pytest.raises(ValueError, match="media_type"):
        audio("https://example.com/a")
    with pytest.raises(ValueError, match="media_type"):
        audio("https://example.com/a.pdf")
    with pytest.raises(ValueError, match="media_type"):
        audio(b"nothing of the kind")


def test_a_document_has_its_type_and_the_name_of_its_file(tmp_path: Path) -> None:
    pdf, notes = tmp_path / "report.pdf", tmp_path / "notes.md"
    pdf.write_bytes(PDF)
    notes.write_text("# Über", encoding="utf-8")
    assert document(pdf).document == Document(data=PDF, media_type="application/pdf", name="report.pdf")
    assert document(notes).document == Document(data="# Über".encode(), media_type="text/plain", name="notes.md")
    assert document(PDF, name="x").document.name == "x"
    assert document(PDF).document.name == ""
    assert document("https://example.com/x").document.media_type == "application/pdf"
    assert document("https://example.com/x.txt").document.media_type == "text/plain"
    with pytest.raises(ValueError, match="media_type"):
        document(PNG)
    assert document(PNG, media_type="application/pdf").document.data == PNG


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (PNG, "image"),
        (WAV, "audio"),
        (PDF, "document"),
        (b"plain words", "document"),
        ("https://example.com/cat", "image"),
        ("https://example.com/cat.png", "image"),
        ("https://example.com/a.ogg", "audio"),
        ("https://example.com/a.pdf", "document"),
    ],
)
def test_an_attachment_is_whatever_it_is(source: Source, kind: str) -> None:
    assert attachment(source).WhichOneof("content") == kind


def test_what_nobody_takes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither"):
        attachment(b"\x00\x01\x02")
    with pytest.raises(OSError, match="nowhere"):
        attachment(tmp_path / "nowhere")
    with pytest.raises(OSError, match="nowhere"):
        image(tmp_path / "nowhere")


def test_the_prompt_cache_may_end_at_any_part() -> None:
    parts = user(text("manual", cache=True), image(PNG, cache=True), document(PDF, cache=True), "ask").parts
    assert [part.cache_breakpoint for part in parts] == [True, True, True, False]
    assert text("plain") == Part(text="plain")
    assert audio(WAV, cache=True).cache_breakpoint
    assert image("https://example.com/x", cache=True) == Part(
        image=Image(url="https://example.com/x"), cache_breakpoint=True
    )
