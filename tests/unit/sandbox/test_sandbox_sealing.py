from hypothesis import given
from hypothesis import strategies as st

from libs.sandbox.sealing import is_signed, seal, sign, unseal

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS, TEXTS)
def test_a_signature_fits_its_text_alone(text: str, other: str) -> None:
    assert is_signed(text, sign(text))
    assert is_signed(other, sign(text)) == (other == text)
    assert sign(text) == sign(text)


@given(TEXTS)
def test_what_was_sealed_can_be_unsealed(text: str) -> None:
    assert unseal(seal(text)) == text


def test_a_sealed_text_cannot_be_read_or_changed() -> None:
    sealed = seal("The question is read.")
    assert "question" not in sealed
    changed = ("B" if sealed[40] == "A" else "A").join((sealed[:40], sealed[41:]))
    assert unseal(changed) is None
    for nothing in ("", "é", "====", "AAAA", sealed[:-4]):
        assert unseal(nothing) is None
