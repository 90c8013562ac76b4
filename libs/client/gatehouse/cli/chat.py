"""`gatehouse chat`: asks a model, once or in a conversation."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from gatehouse.cli.call_inputs import RevisionOption, SessionOption, TaskOption, call_options, piped
from gatehouse.cli.command import command
from gatehouse.cli.conversation import Talk
from gatehouse.cli.failures import show_failure
from gatehouse.cli.inputs import LabelOption
from gatehouse.cli.model_options import (
    AttachOption,
    AudioOption,
    CacheKeyOption,
    CompatibilityOption,
    DocumentOption,
    EndUserOption,
    FallbackOption,
    FrequencyOption,
    ImageOption,
    JsonAnswerOption,
    OneToolOption,
    PresenceOption,
    ReasoningOption,
    SchemaOption,
    SeedOption,
    ServiceTierOption,
    StopOption,
    ThoughtsOption,
    ToolChoiceOption,
    ToolsOption,
    TopKOption,
    TopPOption,
    model_options,
    parts_of,
)
from gatehouse.cli.session import Owner, Session
from gatehouse.cli.terminal import note, printable, stdin_is_terminal
from gatehouse.errors import GatehouseError

_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    command(
        app,
        "chat",
        "gatehouse chat 'Why is the sky blue?'",
        "gatehouse chat --model gpt-4o-mini --system 'Answer in one sentence.' 'Why is the sky blue?'",
        "gatehouse chat --task support --session chat-42 'And then?'",
        "git diff | gatehouse chat --system 'Write a commit message.'",
        "gatehouse chat --attach invoice.pdf --schema invoice.schema.json 'What is on this invoice?'",
        "gatehouse chat --reasoning high 'How many primes are there below 100?'",
        "gatehouse chat --tools mcp-tools.json 'What time is it in Oslo?'",
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
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="0 to 2.", rich_help_panel="Sampling")
    ] = None,
    attach: AttachOption = None,
    image: ImageOption = None,
    audio: AudioOption = None,
    document: DocumentOption = None,
    tools: ToolsOption = None,
    tool_choice: ToolChoiceOption = None,
    one_tool: OneToolOption = False,
    json_answer: JsonAnswerOption = False,
    schema: SchemaOption = None,
    reasoning: ReasoningOption = None,
    thoughts: ThoughtsOption = True,
    top_p: TopPOption = None,
    top_k: TopKOption = None,
    seed: SeedOption = None,
    stop: StopOption = None,
    frequency_penalty: FrequencyOption = None,
    presence_penalty: PresenceOption = None,
    compatibility: CompatibilityOption = None,
    fallback: FallbackOption = None,
    service_tier: ServiceTierOption = None,
    end_user: EndUserOption = None,
    prompt_cache_key: CacheKeyOption = None,
    task: TaskOption = None,
    conversation: SessionOption = None,
    label: LabelOption = None,
    revision: RevisionOption = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds a whole answer may take.")] = 300,
) -> None:
    """Ask a model. The answer goes to standard output, who served it and what it cost to standard error.

    Tools that the model calls are told on standard output; in a conversation you are asked what they answer. Ctrl-C
    cancels the call: the provider stops and what was used until then is recorded.
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
    options |= model_options(
        tools=tools,
        tool_choice=tool_choice,
        one_tool=one_tool,
        json_answer=json_answer,
        schema=schema,
        reasoning=reasoning,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        seed=seed,
        stop=stop,
        frequency_penalty=frequency_penalty,
        presence_penalty=presence_penalty,
        compatibility=compatibility,
        fallback=fallback,
        service_tier=service_tier,
        end_user=end_user,
        prompt_cache_key=prompt_cache_key,
    )
    if reasoning is not None and not thoughts:
        options["hide_reasoning"] = True
    talk = Talk(
        session=session,
        options=options,
        stream=not no_stream,
        thoughts=thoughts,
        parts=parts_of(attach, image, audio, document),
    )
    if prompt is None and stdin_is_terminal():
        _converse(talk)
        return
    try:
        talk.ask(piped() if prompt is None else prompt)
    except KeyboardInterrupt:
        note("cancelled")
        raise typer.Exit(_INTERRUPTED) from None


def _converse(talk: Talk) -> None:
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
            while talk.open_calls:
                note("What do the tools answer?")
                talk.answer_tools([input(f"{printable(call.name)}> ") for call in talk.open_calls])
        except EOFError:
            note("")
            return
        except KeyboardInterrupt:
            note("cancelled")
        except GatehouseError as error:
            # A conversation outlives a failed turn.
            show_failure(error)
