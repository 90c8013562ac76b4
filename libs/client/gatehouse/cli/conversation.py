"""A conversation with a model: how each call is made, what is shown of its answer, and what was said so far."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from gatehouse.cli.output import as_document, cost, milliseconds, print_json, short
from gatehouse.cli.session import Session
from gatehouse.cli.terminal import console, note, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gatehouse.answers import Answer
    from gatehouse.operations.generation import GenerationOptions
    from gatehouse.router.v1.generation_pb2 import Outcome
    from gatehouse.router.v1.message_pb2 import Message, Part, ToolCall

_NO_ANSWER = "The user gave no answer."


@dataclass(kw_only=True)
class Talk:
    """A conversation: how each call is made, and what was said so far."""

    session: Session
    options: GenerationOptions
    stream: bool
    thoughts: bool
    parts: Sequence[Part] = ()
    """What goes along with the first prompt."""
    history: list[Message] = field(default_factory=list)
    open_calls: list[ToolCall] = field(default_factory=list)
    """Tools that the model called last and nobody has answered for."""

    def ask(self, prompt: str) -> None:
        """One turn. An interrupted or failed one leaves no trace in the history."""
        from gatehouse.messages import tool_result, user

        # No provider goes on before its calls have been answered.
        unanswered = [tool_result(call, _NO_ANSWER, is_error=True) for call in self.open_calls]
        self._turn([*unanswered, user(*self.parts, prompt)])
        self.parts = ()

    def answer_tools(self, results: Sequence[str]) -> None:
        """One turn: what the tools answered that the model called last, in their order."""
        from gatehouse.messages import tool_result

        self._turn([tool_result(call, result) for call, result in zip(self.open_calls, results, strict=True)])

    def _turn(self, said: list[Message]) -> None:
        options: GenerationOptions = {**self.options, "messages": [*self.history, *said]}
        if self.session.as_json:
            self._print_document(self.session.client.generate(**options))
            return
        message, outcome = self._streamed(options) if self.stream else self._whole(options)
        # As it came, with the thoughts and marks that its provider wants to see again.
        self.history += [*said, message] if message.parts else []
        self.open_calls = [part.tool_call for part in message.parts if part.HasField("tool_call")]
        for call in self.open_calls:
            typer.echo(_on_screen(f"calls {call.name} {call.arguments_json or '{}'}"))
        if outcome is not None:
            show_outcome(outcome)

    def _print_document(self, answer: Answer) -> None:
        print_json(
            {
                "text": answer.text,
                "reasoning": answer.reasoning,
                "tool_calls": [as_document(call) for call in answer.tool_calls],
                "message": as_document(answer.message),
                "outcome": as_document(answer.outcome),
            }
        )

    def _streamed(self, options: GenerationOptions) -> tuple[Message, Outcome | None]:
        from gatehouse.folding import AnswerBuilder

        builder, screen = AnswerBuilder(), _Screen(thoughts=self.thoughts)
        try:
            with contextlib.closing(self.session.client.stream(**options)) as events:
                for event in events:
                    builder.add(event)
                    screen.show(event.reasoning, event.text)
        finally:
            screen.end()
        return builder.message, builder.outcome

    def _whole(self, options: GenerationOptions) -> tuple[Message, Outcome]:
        answer, screen = self.session.client.generate(**options), _Screen(thoughts=self.thoughts)
        for part in answer.message.parts:
            screen.show(part.reasoning.text, part.text)
        screen.end()
        return answer.message, answer.outcome


class _Screen:
    """Text on standard output, thoughts on standard error; each begins on a line of its own."""

    def __init__(self, *, thoughts: bool) -> None:
        self._thoughts = thoughts
        self._open = ""

    def show(self, thought: str, text: str) -> None:
        if thought and self._thoughts:
            begins = self._open != "thoughts"
            self._begin("thoughts")
            typer.echo(printable(thought.lstrip() if begins else thought), nl=False, err=True)
        if text:
            self._begin("text")
            typer.echo(_on_screen(text), nl=False)

    def end(self) -> None:
        """What follows, be it an error or the shell's prompt, begins on a line of its own."""
        if self._open:
            typer.echo(err=self._open == "thoughts")
        self._open = ""

    def _begin(self, what: str) -> None:
        if self._open == what:
            return
        self.end()
        self._open = what
        if what == "thoughts":
            note("thinking:")


def _on_screen(text: str) -> str:
    # A pipe gets what the model wrote; a terminal only what cannot steer it.
    return printable(text) if sys.stdout.isatty() else text


def show_outcome(outcome: Outcome) -> None:
    """Who served and what it took, on standard error; warnings below."""
    from rich.text import Text

    from gatehouse.answers import cost_nano_usd
    from gatehouse.router.v1 import generation_pb2 as pb

    ends = {
        pb.FINISH_REASON_LENGTH: "cut off at the output limit",
        pb.FINISH_REASON_CONTENT_FILTER: "cut off by the provider's filter",
        pb.FINISH_REASON_REFUSAL: "the model refused",
        pb.FINISH_REASON_PAUSED: "paused by the provider: go on to have the rest",
        pb.FINISH_REASON_CONTEXT_EXCEEDED: "cut off: the model's context is full",
        pb.FINISH_REASON_MALFORMED_TOOL_CALL: "the model wrote a tool call that its provider could not read",
        pb.FINISH_REASON_ERROR: "the provider says that something went wrong",
    }
    served, usage, latency = outcome.served_by, outcome.usage, outcome.latency
    tokens = "tokens unknown"
    if outcome.HasField("usage"):
        taken = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        tokens = f"{taken:,} in, {usage.output_tokens + usage.reasoning_tokens:,} out"
    attempts = len(outcome.attempts)
    gateway, provider = latency.gateway.ToNanoseconds(), latency.provider.ToNanoseconds()
    facts = [
        f"{short(served.provider)} / {served.model}",
        f"key {short(served.key)}" if served.key else "no key",
        tokens,
        cost(cost_nano_usd(outcome)),
        f"gateway {milliseconds(gateway)}, provider {milliseconds(provider)}",
        f"{attempts} attempt{'' if attempts == 1 else 's'}",
        *filter(None, [ends.get(outcome.finish_reason, "")]),
    ]
    err = console(stderr=True)
    err.print(Text(printable(" · ".join(facts)), style="dim"), soft_wrap=True)
    for warning in outcome.warnings:
        err.print(Text(printable(f"warning: {warning}"), style="yellow"), soft_wrap=True)
