"""`gatehouse chat`: asks a model, once or in a conversation."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.call_inputs import RevisionOption, SessionOption, TaskOption, call_options, piped
from gatehouse.cli.command import command
from gatehouse.cli.failures import show_failure
from gatehouse.cli.inputs import LabelOption
from gatehouse.cli.output import as_document, cost, milliseconds, print_json, short
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import console, note, printable, stdin_is_terminal
from gatehouse.errors import GatehouseError

if TYPE_CHECKING:
    from gatehouse.operations.generation import GenerationOptions
    from gatehouse.router.v1.generation_pb2 import Outcome
    from gatehouse.router.v1.message_pb2 import Message

_INTERRUPTED = 130


@dataclass(kw_only=True)
class _Talk:
    """A conversation: how each call is made, and what was said so far."""

    session: Session
    options: GenerationOptions
    stream: bool
    history: list[Message] = field(default_factory=list)

    def ask(self, prompt: str) -> None:
        """One turn. An interrupted or failed one leaves no trace in the history."""
        from gatehouse.messages import assistant, user

        options: GenerationOptions = {**self.options, "messages": self.history}
        if self.session.as_json:
            answer = self.session.client.generate(prompt, **options)
            print_json(
                {
                    "text": answer.text,
                    "tool_calls": [as_document(call) for call in answer.tool_calls],
                    "outcome": as_document(answer.outcome),
                }
            )
            return
        text, outcome = self._streamed(prompt, options) if self.stream else self._whole(prompt, options)
        self.history += [user(prompt), assistant(text)] if text else []
        if outcome is not None:
            _show_outcome(outcome)

    def _streamed(self, prompt: str, options: GenerationOptions) -> tuple[str, Outcome | None]:
        pieces: list[str] = []
        outcome = None
        try:
            with contextlib.closing(self.session.client.stream(prompt, **options)) as events:
                for event in events:
                    if event.text:
                        pieces.append(event.text)
                        _write(event.text)
                    outcome = event.outcome or outcome
        finally:
            # What follows, be it an error or the shell's prompt, begins on a line of its own.
            if pieces:
                typer.echo()
        return "".join(pieces), outcome

    def _whole(self, prompt: str, options: GenerationOptions) -> tuple[str, Outcome | None]:
        answer = self.session.client.generate(prompt, **options)
        _write(answer.text + "\n")
        return answer.text, answer.outcome


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(
        app,
        "chat",
        "gatehouse chat 'Why is the sky blue?'",
        "gatehouse chat --model gpt-4o-mini --system 'Answer in one sentence.' 'Why is the sky blue?'",
        "gatehouse chat --task support --session chat-42 'And then?'",
        "git diff | gatehouse chat --system 'Write a commit message.'",
        "gatehouse chat  (a conversation; Ctrl-D ends it)",
    )(chat)


def chat(
    session: Session,
    *,
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="[PROMPT]", help="What to ask; left out: standard input, on a terminal a conversation."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The model's id. Left out: the provider's default.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", help="The provider's id or resource name. Left out: Gatehouse chooses.")
    ] = None,
    system: Annotated[str | None, typer.Option("--system", help="Instructions that stand above.")] = None,
    no_stream: Annotated[bool, typer.Option("--no-stream", help="Print the answer when it is whole.")] = False,
    max_output_tokens: Annotated[int | None, typer.Option("--max-output-tokens", min=1, help="At most.")] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", help="0 to 2.")] = None,
    task: TaskOption = None,
    conversation: SessionOption = None,
    label: LabelOption = None,
    revision: RevisionOption = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds a whole answer may take.")] = 300,
) -> None:
    """Ask a model. The answer goes to standard output, who served it and what it cost to standard error.

    Ctrl-C cancels the call: the provider stops and what was used until then is recorded.
    """
    options = call_options(
        session.parent(Owner.TENANT),
        model=model,
        provider=provider,
        task=task,
        session=conversation,
        system=system,
        max_output_tokens=max_output_tokens,
        revision=revision,
        label=label,
    )
    options["timeout"] = timeout
    if temperature is not None:
        options["temperature"] = temperature
    talk = _Talk(session=session, options=options, stream=not no_stream)
    if prompt is None and stdin_is_terminal():
        _converse(talk)
        return
    try:
        talk.ask(piped() if prompt is None else prompt)
    except KeyboardInterrupt:
        note("cancelled")
        raise typer.Exit(_INTERRUPTED) from None


def _converse(talk: _Talk) -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - line editing and history for input()
    note("A conversation: Ctrl-C stops an answer, Ctrl-D ends it.")
    while True:
        try:
            prompt = input("> ").strip()
        except EOFError:
            note("")
            return
        except KeyboardInterrupt:
            note("")
            raise typer.Exit(_INTERRUPTED) from None
        if not prompt:
            continue
        try:
            talk.ask(prompt)
        except KeyboardInterrupt:
            note("cancelled")
        except GatehouseError as error:
            # A conversation outlives a failed turn.
            show_failure(error)


def _write(text: str) -> None:
    # A pipe gets what the model wrote; a terminal only what cannot steer it.
    typer.echo(printable(text) if sys.stdout.isatty() else text, nl=False)


def _show_outcome(outcome: Outcome) -> None:
    from rich.text import Text

    from gatehouse.answers import cost_nano_usd
    from gatehouse.router.v1.generation_pb2 import (
        FINISH_REASON_CONTENT_FILTER,
        FINISH_REASON_LENGTH,
        FINISH_REASON_REFUSAL,
    )

    ends = {
        FINISH_REASON_LENGTH: "cut off at the output limit",
        FINISH_REASON_CONTENT_FILTER: "cut off by the provider's filter",
        FINISH_REASON_REFUSAL: "the model refused",
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
