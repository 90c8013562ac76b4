"""What models are shown."""

from __future__ import annotations

import pytest

from services.router.domain.generation import Document, Generation, Image
from tests.live.asking import Asker, not_as_told
from tests.live.exhibits import CODE_WORD, one_page, red_square


@pytest.mark.live("image", "image", "vision", "multimodal", "mmproj", "modalit", "content type")
async def test_the_colour_of_an_image_is_seen(asker: Asker) -> None:
    image = Image(data=red_square(), media_type="image/png")
    answer = await asker.ask(Generation(messages=(asker.said("Which colour is this? One word.", image),)))
    if "red" not in answer.text.lower():
        not_as_told(answer)


@pytest.mark.live("pdf", "document", "pdf", "file", "multimodal", "modalit", "content type")
async def test_a_pdf_is_read(asker: Asker) -> None:
    document = Document(data=one_page(), media_type="application/pdf", name="page.pdf")
    answer = await asker.ask(Generation(messages=(asker.said("What is the code word? One word.", document),)))
    if CODE_WORD not in answer.text.lower():
        not_as_told(answer)
