from typing import Any, get_args

import pytest
from openai.types.shared.responses_model import ResponsesModel

from services.router.domain import features
from services.router.domain.generation import (
    Audio,
    Document,
    Effort,
    Generation,
    Image,
    Message,
    Part,
    Reasoning,
    ReasoningRequest,
    Role,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)
from services.router.providers.dialects.openai import OPENAI
from services.router.providers.formats.openai_models import effort_word, facts_of

CHAT, RESPONSES = "/chat/completions", "/responses"
THINKING: dict[str, Any] = {"reasoning": ReasoningRequest(effort=Effort.LOW)}
PDF = Document(url="https://example.com/a.pdf", media_type="application/pdf")
SIGNED = Reasoning("Hm.", Signature(b'{"id":"rs_1","encrypted_content":"c2VhbGVk"}'))
CALLED = Message(Role.ASSISTANT, (ToolCall(id="c", name="f", arguments_json="{}"),))


def saying(*parts: Part, role: Role = Role.USER, **fields: Any) -> Generation:
    return Generation(messages=(Message(Role.USER, (Text("Hi"),)), Message(role, parts or (Text("Hi"),))), **fields)


def answering(*parts: Any) -> Generation:
    result = ToolResult(tool_call_id="c", name="f", parts=parts)
    return Generation(messages=(Message(Role.USER, (Text("Hi"),)), CALLED, Message(Role.TOOL, (result,))))


def path(request: Generation, model: str = "gpt-5.4", **options: object) -> str:
    return OPENAI.encode(request, provider_model_id=model, output_limit=9, stream=False, options=options).path


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (saying(), CHAT),
        (saying(**THINKING), RESPONSES),
        (saying(reasoning=ReasoningRequest(budget_tokens=99, hide=True)), RESPONSES),
        (saying(reasoning=ReasoningRequest(effort=Effort.NONE)), CHAT),
        (saying(SIGNED, Text("Hi"), role=Role.ASSISTANT), RESPONSES),
        (saying(PDF), RESPONSES),
        (saying(Document(data=b"%PDF", media_type="application/pdf")), CHAT),
        (saying(Image(url="https://example.com/a.png")), CHAT),
        (answering(Text("ok")), CHAT),
        (answering(Image(data=b"x", media_type="image/png")), RESPONSES),
        (answering(Document(data=b"x", media_type="application/pdf")), RESPONSES),
        # What only Chat Completions carry keeps a call there.
        (saying(seed=0, **THINKING), CHAT),
        (saying(stop=("END",), **THINKING), CHAT),
        (saying(frequency_penalty=0.0, **THINKING), CHAT),
        (saying(presence_penalty=0.0, **THINKING), CHAT),
        (saying(Audio(data=b"RIFF", media_type="audio/wav"), **THINKING), CHAT),
    ],
)
def test_a_call_goes_to_the_format_that_carries_all_it_asks_for(request_: Generation, expected: str) -> None:
    assert path(request_) == path(request_, api="auto") == expected
    assert path(request_, api="chat_completions") == CHAT
    assert path(request_, api="responses") == RESPONSES
    # Whoever takes documents by URL is sent them so.
    urls = OPENAI.takes_urls(request_, {}, "gpt-5.4")
    assert urls == frozenset({Image, Document} if expected == RESPONSES else {Image})


@pytest.mark.parametrize(
    "model", ["o3-pro", "gpt-5-pro", "gpt-5.1-codex-max", "o4-mini-deep-research", "codex-mini-latest"]
)
def test_a_model_of_responses_only_gets_them_and_promises_no_more_than_they_carry(model: str) -> None:
    assert path(saying(), model) == RESPONSES
    assert OPENAI.takes_urls(saying(), {}, model) == {Image, Document}
    carried = OPENAI.features({}, model)
    assert not carried & (features.SEED | features.STOP | features.PENALTIES | features.AUDIO | features.TOP_K)
    assert carried & features.REASONING
    # Somebody's own server may have it nevertheless.
    assert path(saying(), model, api="chat_completions") == CHAT


def test_what_is_promised_in_doubt_is_what_chat_completions_carry() -> None:
    either, chat, responses = (
        OPENAI.features(options, "gpt-5.4") for options in ({}, {"api": "chat_completions"}, {"api": "responses"})
    )
    assert either == chat
    assert responses & ~chat == 0
    assert (
        chat & (features.SEED | features.STOP | features.PENALTIES)
        == features.SEED | features.STOP | features.PENALTIES
    )
    assert not responses & (features.SEED | features.STOP | features.PENALTIES | features.AUDIO)


def test_a_model_that_never_reasons_cannot_be_asked_to() -> None:
    for options in ({}, {"api": "responses"}, {"api": "chat_completions"}):
        assert not OPENAI.features(options, "gpt-4o-mini") & features.REASONING


def test_the_sdk_s_own_list_of_responses_models_is_known() -> None:
    *_, only = get_args(ResponsesModel)
    assert [name for name in get_args(only) if not facts_of(name).responses_only] == []
    assert all(facts_of(name).responses_only for name in ("gpt-5.2-pro", "gpt-5.1-codex", "codex-mini-latest"))
    assert not any(facts_of(name).responses_only for name in ("gpt-5", "gpt-5.4-mini", "gpt-4o", "o3", "o4-mini"))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        # none, low, medium, high, max
        ("gpt-6-sol", "none low medium high max"),
        ("gpt-5.6-sol", "none low medium high max"),
        ("gpt-5.4-mini", "none low medium high xhigh"),
        ("gpt-5.1-2025-11-13", "none low medium high high"),
        ("gpt-5-mini", "minimal low medium high high"),
        ("gpt-5-codex", "low low medium high high"),
        ("gpt-5.1-codex-max", "low low medium high xhigh"),
        ("gpt-5-pro", "high high high high high"),
        ("gpt-5.5-pro", "medium medium medium high xhigh"),
        ("o3-deep-research", "medium medium medium medium medium"),
        ("o4-mini", "low low medium high high"),
        ("ft:o4-mini:acme::1", "low low medium high high"),
        ("somebody-s-deployment", "none low medium high high"),
    ],
)
def test_effort_is_said_in_the_nearest_word_the_model_takes(model: str, words: str) -> None:
    assert [effort_word(ReasoningRequest(effort=each), model) for each in Effort] == words.split()


@pytest.mark.parametrize(
    ("budget", "word"),
    [(1, "low"), (2048, "low"), (2049, "medium"), (16_384, "medium"), (16_385, "high"), (1_000_000, "high")],
)
def test_budgets_become_words(budget: int, word: str) -> None:
    assert effort_word(ReasoningRequest(budget_tokens=budget), "gpt-5.4") == word
