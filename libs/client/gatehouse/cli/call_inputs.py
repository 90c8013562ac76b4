"""What commands about a call are given, whether it is made or only looked at."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gatehouse.cli.inputs import labels_of, provider_of

if TYPE_CHECKING:
    from gatehouse.operations.generation import GenerationOptions

_MAX_PIPED = 4_000_000

PromptArgument = Annotated[
    str | None, typer.Argument(metavar="[PROMPT]", help="What would be asked; - is standard input.")
]
ModelOption = Annotated[str | None, typer.Option("--model", help="The model a call would name.")]
ProviderOption = Annotated[
    str | None,
    typer.Option("--provider", help="The provider a call would name: openai (the nearest), platform/openai."),
]
TaskOption = Annotated[
    str | None, typer.Option("--task", help="What the call is for: routes and preferences go by it.")
]
SessionOption = Annotated[
    str | None,
    typer.Option("--session", help="What conversation it belongs to: its calls stay with the target that served last."),
]
SystemOption = Annotated[str | None, typer.Option("--system", help="Instructions that stand above.")]
OutputTokensOption = Annotated[
    int | None, typer.Option("--max-output-tokens", min=1, help="Output tokens at most, as the call says.")
]
RevisionOption = Annotated[
    int | None, typer.Option("--revision", help="Wait until the router knows this configuration revision.")
]


def call_options(
    parent: str,
    *,
    model: str | None = None,
    provider: str | None = None,
    task: str | None = None,
    session: str | None = None,
    system: str | None = None,
    max_output_tokens: int | None = None,
    revision: int | None = None,
    label: list[str] | None = None,
) -> GenerationOptions:
    """The options that were given; `parent` is the tenant of `tenant/openai`. Raises BadParameter."""
    options: GenerationOptions = {"labels": labels_of(label)}
    if model is not None:
        options["model"] = model
    if provider is not None:
        options["provider"] = provider_of(provider, parent, "--provider")
    if task is not None:
        options["task"] = task
    if session is not None:
        options["session"] = session
    if system is not None:
        options["system"] = system
    if max_output_tokens is not None:
        options["max_output_tokens"] = max_output_tokens
    if revision is not None:
        options["revision"] = revision
    return options


def prompt_of(prompt: str | None) -> str | None:
    """The prompt; for `-` standard input. Raises BadParameter."""
    return piped() if prompt == "-" else prompt


def piped() -> str:
    """What standard input holds. Raises BadParameter when it is empty or too much."""
    text = sys.stdin.read(_MAX_PIPED + 1).strip()
    if not text:
        raise typer.BadParameter("say what to ask: gatehouse chat 'Why is the sky blue?'", param_hint="PROMPT")
    if len(text) > _MAX_PIPED:
        raise typer.BadParameter(f"standard input has more than {_MAX_PIPED:,} characters", param_hint="PROMPT")
    return text
