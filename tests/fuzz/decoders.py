"""Feeds one dialect with mutated answers: `python -m tests.fuzz.decoders anthropic --runs 100000`.

Coverage-guided (atheris): it begins with what the sandbox answers in that dialect, whole, streamed, and failed, and
keeps what reaches new code. Nothing but a ProviderError may come out of a decoder, and what it gives must be what the
rest of the router can work with: a violation ends the run with the input that showed it, as a file of this folder.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=[
        "services.router.providers.dialects",
        "services.router.providers.formats",
        "services.router.providers.reading",
    ]
):
    from services.router.providers.registry import DIALECTS

import contextlib

from services.router.domain.errors import ProviderError
from services.router.domain.generation import (
    Answer,
    Finished,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolArgumentsDelta,
    ToolCall,
    ToolCallStarted,
)
from services.router.providers.base import AnswerFormat
from tests.contract.dialects.recording import asking, encoded, recorded
from tests.contract.dialects.variants import VARIANTS, Variant
from tests.fuzz.json_mutations import mutated

_STATUSES = (200, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529)
_OK = 200
_WORDS = (
    "",
    "tools=2",
    "reasoning=3 show_reasoning",
    "cached=3",
    "status=429 retry_after=2",
    "status=400",
    "error_after=2",
)
_FAILURE = 2
_MODES = 3


def main() -> None:
    """Fuzz until the runs or the time are used up."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.decoders", description=__doc__)
    parser.add_argument("variant", nargs="?", choices=sorted(VARIANTS), help="which way to speak to a provider")
    parser.add_argument("--list", action="store_true", help="list the ways to speak to a provider")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs to try (default: 100,000)")
    parser.add_argument("--seconds", type=int, default=600, help="at most so many seconds (default: 600)")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations: the same one makes the same inputs")
    options = parser.parse_args()
    if options.list or options.variant is None:
        print("\n".join(sorted(VARIANTS)))  # noqa: T201 - that is what was asked for
        return
    variant = VARIANTS[options.variant]
    formats = _formats(variant)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(asyncio.run(_seeds(variant))):
            (Path(corpus) / f"{number:02}").write_bytes(seed)
        arguments = [f"-runs={options.runs}", f"-max_total_time={options.seconds}", f"-seed={options.seed}"]
        atheris.Setup(
            [sys.argv[0], corpus, *arguments, "-max_len=8192", "-timeout=10", "-rss_limit_mb=2048"],
            lambda data: _one(variant, formats, data),
            custom_mutator=mutated,
        )
        atheris.Fuzz()


def _formats(variant: Variant) -> dict[bool, AnswerFormat]:
    return {stream: encoded(variant, asking(variant, ""), stream=stream).answers for stream in (False, True)}


async def _seeds(variant: Variant) -> list[bytes]:
    """What the sandbox answers, behind a byte that says how it is read."""
    seeds = []
    for words in _WORDS:
        for stream in (False, True):
            answer = await recorded(variant, asking(variant, f"{words} tokens=6"), stream=stream)
            mode = int(stream) if answer.status == _OK else _FAILURE
            seeds.append(bytes((mode, 0)) + answer.body)
    return seeds


def _one(variant: Variant, formats: dict[bool, AnswerFormat], data: bytes) -> None:
    if len(data) < 2:
        return
    mode, cut, body = data[0] % _MODES, data[1], data[2:]
    if mode == 0:
        _whole(formats[False], body)
    elif mode == 1:
        _stream(formats[True], body, cut)
    else:
        failure = variant.dialect.classify(
            _STATUSES[cut % len(_STATUSES)], {"retry-after": body[:8].decode("latin-1")}, body
        )
        assert isinstance(failure, ProviderError)
        assert failure.retry_after_s is None or 0 <= failure.retry_after_s <= 86_400
        with contextlib.suppress(ProviderError):
            assert all(isinstance(each, str) for each in variant.dialect.decode_models(body))


def _whole(answers: AnswerFormat, body: bytes) -> None:
    try:
        answer = answers.decode(body)
    except ProviderError:
        return
    assert isinstance(answer, Answer)
    for part in answer.parts:
        match part:
            case Text(text):
                assert isinstance(text, str)
                assert text
            case Reasoning(text):
                assert isinstance(text, str)
            case ToolCall():
                assert all(isinstance(each, str) for each in (part.id, part.name, part.arguments_json))
    _end(answer)


def _end(end: Answer | Finished) -> None:
    assert isinstance(end.raw_finish_reason, str)
    assert len(end.raw_finish_reason) <= 64
    assert end.usage is None or all(0 <= count <= 10**10 for count in _counts(end))


def _counts(end: Answer | Finished) -> tuple[int, ...]:
    usage = end.usage
    assert usage is not None
    return (
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
    )


def _stream(answers: AnswerFormat, body: bytes, cut: int) -> None:
    """Read in two chunks, cut anywhere."""
    reader, decoder = answers.stream_format.reader(), answers.stream_decoder()
    place = cut * len(body) // 255
    finished = 0
    calls = 0
    try:
        events = [
            event
            for chunk in (body[:place], body[place:])
            for data in reader.feed(chunk)
            for event in decoder.feed(data)
        ]
        events += [event for data in reader.end() for event in decoder.feed(data)]
        events += decoder.end()
    except ProviderError:
        return
    for event in events:
        assert not finished, "nothing follows the end"
        match event:
            case TextDelta(text):
                assert text
            case ReasoningDelta(text, signature):
                assert text or signature is not None
            case ToolCallStarted(index, call_id, name):
                assert index == calls
                assert isinstance(call_id, str)
                assert isinstance(name, str)
                calls += 1
            case ToolArgumentsDelta(index, arguments):
                assert 0 <= index < calls
                assert isinstance(arguments, str)
            case Finished():
                finished += 1
                _end(event)
    assert finished == 1


if __name__ == "__main__":
    assert DIALECTS
    main()
