"""Random conversations, written by every dialect and read back by code that knows nothing of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.domain.generation import Generation, Media, Part
from tests.contract.dialects.conversations import conversations
from tests.contract.dialects.read_back.transcript import Item, Transcript, of_generation
from tests.contract.dialects.variants import VARIANTS, Variant

_PLURALS = {"image": "images", "audio": "audio", "document": "documents"}


def written(variant: Variant, request: Generation, *, stream: bool = False) -> Transcript:
    """What the body says that a dialect makes of `request`."""
    encoded = variant.dialect.encode(
        request, provider_model_id=variant.model, output_limit=512, stream=stream, options=variant.options
    )
    return variant.reader(orjson.loads(encoded.body))


def comparable(transcript: Transcript) -> tuple[object, list[Item]]:
    """Without line ends between texts, and without the media types that a format has no place for."""
    items: list[Item] = []
    for item in transcript.items:
        if item[0] == "tool":
            _, number, text, failed, media = item
            items.append(("tool", number, _flat(text), failed, tuple(_untyped(each) for each in media)))
        elif item[1] == "text":
            items.append((item[0], "text", _flat(item[2])))
        else:
            items.append(_untyped(item))
    return _flat(transcript.system), items


def fetched(variant: Variant, request: Generation) -> Generation:
    """`request` as `encode` sees it: with the bytes of the media that the provider does not fetch itself."""
    taken = variant.dialect.takes_urls(request, variant.options, variant.model)

    def read(part: Part) -> Part:
        if isinstance(part, Media) and part.url is not None and type(part) not in taken:
            return replace(part, url=None, data=b"fetched")
        return part

    messages = tuple(replace(each, parts=tuple(map(read, each.parts))) for each in request.messages)
    return replace(request, messages=messages)


def media_first(transcript: tuple[object, list[Item]]) -> tuple[object, list[Item]]:
    """With what a user shows before what the user says in the same turn."""
    system, items = transcript
    ordered: list[Item] = []
    for user, turn in groupby(items, key=lambda item: item[0] == "user"):
        said = list(turn)
        if user:
            texts = [item[2] for item in said if item[1] == "text"]
            said = [item for item in said if item[1] != "text"]
            said += [("user", "text", "".join(texts))] if texts else []
        ordered += said
    return system, ordered


def _flat(text: object) -> object:
    if isinstance(text, dict):
        # Results that are JSON objects may go as such.
        return text
    # Providers that refuse an empty result of a failed tool are told so in a word.
    return str(text).replace("\n", "").replace("(nothing)", "")


def _untyped(item: Item) -> Item:
    return (item[0], item[1], item[3]) if item[1] == "image" else item


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_is_written_says_the_same(variant: Variant, data: st.DataObject) -> None:
    media = [name for name in ("images", "audio", "documents") if variant.can(name)]
    inside = [_PLURALS[kind] for kind in sorted(variant.result_media) if _PLURALS[kind] in media]
    request = data.draw(conversations(media, inside))
    request = fetched(variant, request)
    ours, theirs = comparable(of_generation(request)), comparable(written(variant, request))
    if variant.media_first:
        ours, theirs = media_first(ours), media_first(theirs)
    assert ours == theirs


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_a_stream_is_asked_for_in_the_same_words(variant: Variant, data: st.DataObject) -> None:
    request = data.draw(conversations())
    whole, stream = written(variant, request), written(variant, request, stream=True)
    assert whole == stream


def test_every_variant_is_under_test() -> None:
    assert len(VARIANTS) >= 2
