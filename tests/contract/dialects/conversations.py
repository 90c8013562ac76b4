"""Random conversations that every provider has to take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson
from hypothesis import strategies as st

from services.router.domain.generation import (
    Audio,
    Document,
    Generation,
    Image,
    Message,
    Part,
    ResultPart,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

# Letters at both ends: some providers refuse texts that are blank or end in blanks.
_TEXTS = st.builds(
    lambda first, middle, last: f"{first}{middle}{last}",
    st.sampled_from("aZé語😀{"),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
    st.sampled_from("aZé語😀}"),
)
_BYTES = st.binary(min_size=1, max_size=20)
_MEDIA: Mapping[str, st.SearchStrategy[Image] | st.SearchStrategy[Audio] | st.SearchStrategy[Document]] = {
    "images": st.builds(Image, data=_BYTES, media_type=st.sampled_from(["image/png", "image/jpeg"]))
    | st.builds(Image, url=st.just("https://example.com/cat.png"), media_type=st.just("image/png")),
    "audio": st.builds(Audio, data=_BYTES, media_type=st.sampled_from(["audio/wav", "audio/mpeg"])),
    "documents": st.builds(
        Document, data=_BYTES, media_type=st.just("application/pdf"), name=st.sampled_from(["a.pdf", "b.pdf"])
    ),
}
_TOOLS = ("get_weather", "get_time", "x-1_Y")
_IDS = st.sampled_from(["call_0", "toolu_01A", "call 1", "fc:é/2", "x" * 256]) | st.text(min_size=1, max_size=8)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
_ARGUMENTS = st.dictionaries(st.text("abc", min_size=1, max_size=3), _VALUES, max_size=3)


@st.composite
def conversations(draw: st.DrawFn, media: Sequence[str] = (), result_media: Sequence[str] = ()) -> Generation:
    """A call with `media` (names of features) in what the user says, and `result_media` in what tools answer."""
    messages: list[Message] = []
    if draw(st.booleans()):
        messages.append(Message(Role.SYSTEM, tuple(draw(st.lists(st.builds(Text, _TEXTS), min_size=1, max_size=2)))))
    said: st.SearchStrategy[Part] = st.one_of(st.builds(Text, _TEXTS), *(_MEDIA[each] for each in media))
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message(Role.USER, tuple(draw(st.lists(said, min_size=1, max_size=3)))))
        if draw(st.booleans()):
            messages += draw(_answers(result_media))
    if messages[-1].role is Role.ASSISTANT:
        # What comes last is asked; not every provider lets its answer be begun for it.
        messages.append(Message(Role.USER, (Text("And then?"),)))
    return Generation(messages=tuple(messages), tools=tuple(_tool(name) for name in _TOOLS))


def _tool(name: str) -> Tool:
    return Tool(name=name, description=f"About {name}", parameters_json='{"type":"object","properties":{}}')


@st.composite
def _answers(draw: st.DrawFn, result_media: Sequence[str]) -> list[Message]:
    """What a model says, and what the tools answer that it calls, if any; in any order."""
    texts = draw(st.lists(st.builds(Text, _TEXTS), max_size=1))
    ids = draw(st.lists(_IDS, max_size=3, unique=True))
    if not texts and not ids:
        texts = [Text("Well.")]
    calls = [
        ToolCall(
            id=call_id,
            name=draw(st.sampled_from(_TOOLS)),
            arguments_json=orjson.dumps(draw(_ARGUMENTS)).decode(),
        )
        for call_id in ids
    ]
    answered = Message(Role.ASSISTANT, (*texts, *calls))
    if not calls:
        return [answered]
    piece: st.SearchStrategy[ResultPart] = st.one_of(st.builds(Text, _TEXTS), *(_MEDIA[each] for each in result_media))
    results = [
        ToolResult(
            tool_call_id=call.id,
            name=call.name,
            parts=tuple(draw(st.lists(piece, max_size=2))),
            is_error=draw(st.booleans()),
        )
        for call in draw(st.permutations(calls))
    ]
    cut = draw(st.integers(1, len(results)))
    return [
        answered,
        *(Message(Role.TOOL, tuple(group)) for group in (results[:cut], results[cut:]) if group),
    ]
