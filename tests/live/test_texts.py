"""Texts: what is said, how much of it, and how it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.router.domain.generation import FinishReason, Generation, Message, Reasoning, Role, Text
from tests.live.asking import STREAMED, WHOLE, Asker, not_as_told

_LIMIT = 16
_LONG = "Count from 1 to 200 in English words."


@pytest.mark.live("text")
async def test_a_question_is_answered(asker: Asker) -> None:
    answer = await asker.ask(Generation(messages=(asker.said("What is the capital of France? One word."),)))
    assert answer.parts
    assert answer.finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
    if "paris" not in answer.text.lower():
        not_as_told(answer)


@pytest.mark.live("unicode")
async def test_letters_of_all_kinds_go_both_ways(asker: Asker) -> None:
    letters = "Grüße, 你好, “¿qué?” 😀"
    answer = await asker.ask(Generation(messages=(asker.said(f"Repeat exactly, nothing else: {letters}"),)))
    if letters not in answer.text:
        not_as_told(answer)


@pytest.mark.live("instructions", "system", "instruction")
async def test_instructions_are_followed(asker: Asker) -> None:
    told = Message(Role.SYSTEM, (Text("Whatever you are asked, answer with the single word BANANA."),))
    answer = await asker.ask(Generation(messages=(told, asker.said("How are you?"))))
    if "banana" not in answer.text.lower():
        not_as_told(answer)


@pytest.mark.live("turns")
async def test_a_conversation_goes_on(asker: Asker) -> None:
    first = Message(Role.USER, (Text("My name is Ulrike."),))
    second = Message(Role.ASSISTANT, (Text("Nice to meet you."),))
    answer = await asker.ask(Generation(messages=(first, second, asker.said("What is my name? One word."))))
    if "ulrike" not in answer.text.lower():
        not_as_told(answer)


@pytest.mark.live("turns-again")
async def test_an_answer_is_taken_back_as_it_came(asker: Asker) -> None:
    question = asker.said("Name a colour. One word.")
    answer = await asker.ask(Generation(messages=(question,)))
    if not answer.text:
        not_as_told(answer)
    turns = (question, asker.kept(answer), asker.said("Which colour did you name? One word."))
    again = await asker.ask(Generation(messages=turns))
    if answer.text.strip(" .*").lower() not in again.text.lower():
        not_as_told(again)


@pytest.mark.live("output-limit")
async def test_the_output_limit_is_kept(asker: Asker) -> None:
    answer = await asker.ask(Generation(messages=(asker.said(_LONG),), max_output_tokens=_LIMIT))
    if answer.finish_reason is not FinishReason.LENGTH:
        not_as_told(answer)
    if answer.usage is not None:
        assert 0 < answer.usage.output_tokens + answer.usage.reasoning_tokens <= _LIMIT


@pytest.mark.live("stop", "stop")
async def test_a_stop_text_ends_the_answer(asker: Asker) -> None:
    question = asker.said("Write the numbers from 1 to 9 as digits, with a comma and a space between each two.")
    answer = await asker.ask(Generation(messages=(question,), stop=("5", "five")))
    assert "5" not in answer.text
    assert "five" not in answer.text
    if answer.finish_reason is not FinishReason.STOP or "4" not in answer.text:
        not_as_told(answer)


@pytest.mark.live("sampling", "temperature")
async def test_a_temperature_is_taken(asker: Asker) -> None:
    assert (await asker.ask(Generation(messages=(asker.said("Say hello."),), temperature=0.0))).parts


@pytest.mark.live("top-p", "top_p")
async def test_top_p_is_taken(asker: Asker) -> None:
    assert (await asker.ask(Generation(messages=(asker.said("Say hello."),), top_p=0.5))).parts


@pytest.mark.live("top-k", "top_k")
async def test_top_k_is_taken(asker: Asker) -> None:
    assert (await asker.ask(Generation(messages=(asker.said("Say hello."),), top_k=20))).parts


@pytest.mark.live("penalties", "penalt")
async def test_penalties_are_taken(asker: Asker) -> None:
    request = Generation(messages=(asker.said("Say hello."),), frequency_penalty=0.5, presence_penalty=0.5)
    assert (await asker.ask(request)).parts


@pytest.mark.live("seed", "seed")
async def test_the_same_seed_gives_the_same_answer(asker: Asker) -> None:
    request = Generation(messages=(asker.said("Make up a name for a ship."),), seed=7, max_output_tokens=256)
    first, second = await asker.ask(request), await asker.ask(request)
    if first.text != second.text:
        not_as_told(second)


@pytest.mark.live("usage")
async def test_usage_is_told_and_the_same_for_the_same_prompt(lone_asker: Asker) -> None:
    request = Generation(messages=(lone_asker.said("Say the word hello, nothing else."),))
    prompts = set()
    for way in (WHOLE, STREAMED):
        answer = await lone_asker.ask(request, way=way)
        usage = answer.usage
        assert usage is not None, f"no usage in an answer that is {way}"
        prompts.add(usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens)
        assert usage.output_tokens + usage.reasoning_tokens > 0
        # A token is a byte at least, and a few end the answer or mark what it is made of. Thoughts may be hidden.
        if not any(isinstance(part, Reasoning) for part in answer.parts):
            assert usage.output_tokens <= len(answer.text.encode()) + 64
    (prompt,) = prompts
    assert 5 <= prompt < 1000


@pytest.mark.live("usage-grows")
async def test_a_longer_prompt_costs_more(asker: Asker) -> None:
    short = Generation(messages=(asker.said("Say hello."),), max_output_tokens=64)
    long = replace(short, messages=(asker.said("Say hello. Never mind what comes next. " + "One two three. " * 100),))
    usages = [(await asker.ask(request)).usage for request in (short, long)]
    counts = [
        0 if each is None else each.input_tokens + each.cache_read_tokens + each.cache_write_tokens for each in usages
    ]
    assert counts[0] + 200 < counts[1]
