"""What `gatehouse chat` can ask of a model beside the prompt: content, tools, shape, reasoning, sampling, service."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from gatehouse.cli.files import read_file

if TYPE_CHECKING:
    from gatehouse.operations.generation import GenerationOptions
    from gatehouse.router.v1.message_pb2 import Part, Tool

_CONTENT, _ANSWER, _SAMPLING, _SERVICE = "Content", "Answer", "Sampling", "Service"


class Compatibility(StrEnum):
    """What happens with what a target cannot do."""

    STRICT = "strict"
    DROP = "drop"


class ServiceTier(StrEnum):
    """How urgent a call is."""

    AUTO = "auto"
    STANDARD = "standard"
    FLEX = "flex"
    PRIORITY = "priority"


def _content(name: str, text: str) -> Any:
    return typer.Option(name, metavar="FILE|URL", help=text, rich_help_panel=_CONTENT)


AttachOption = Annotated[
    list[str] | None,
    _content("--attach", "An image, a recording, a PDF or a text, by what it is. May be given more than once."),
]
ImageOption = Annotated[list[str] | None, _content("--image", "A PNG, JPEG, GIF or WebP image, by file or https URL.")]
AudioOption = Annotated[
    list[str] | None, _content("--audio", "A recording: WAV, MP3, Ogg, FLAC, AAC, MP4 or WebM, by file or https URL.")
]
DocumentOption = Annotated[list[str] | None, _content("--document", "A PDF or a text, by file or https URL.")]
ToolsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--tools",
        metavar="FILE",
        help="Tools the model may call, as JSON: what an MCP server's `tools/list` gives, or a list of objects with "
        "`name`, `description` and `parameters` (a JSON Schema); - is standard input.",
        rich_help_panel=_CONTENT,
    ),
]
ToolChoiceOption = Annotated[
    str | None,
    typer.Option(
        "--tool-choice",
        metavar="auto|required|none|NAME",
        help="Whether it calls tools, or the one it must call.",
        rich_help_panel=_CONTENT,
    ),
]
OneToolOption = Annotated[
    bool,
    typer.Option("--one-tool-at-a-time", help="Several tools are not called in one turn.", rich_help_panel=_CONTENT),
]
JsonAnswerOption = Annotated[
    bool, typer.Option("--json-answer", help="The answer is JSON of any shape.", rich_help_panel=_ANSWER)
]
SchemaOption = Annotated[
    Path | None,
    typer.Option(
        "--schema",
        metavar="FILE",
        help="The answer is JSON that fits the JSON Schema in this file; - is standard input.",
        rich_help_panel=_ANSWER,
    ),
]
ReasoningOption = Annotated[
    str | None,
    typer.Option(
        "--reasoning",
        metavar="none|low|medium|high|max|TOKENS",
        help="How much the model thinks before it answers.",
        rich_help_panel=_ANSWER,
    ),
]
ThoughtsOption = Annotated[
    bool,
    typer.Option(
        "--show-thoughts/--hide-thoughts",
        help="Whether what the model thinks is shown, on standard error, where its provider tells.",
        rich_help_panel=_ANSWER,
    ),
]
TopPOption = Annotated[float | None, typer.Option("--top-p", help="Above 0, up to 1.", rich_help_panel=_SAMPLING)]
TopKOption = Annotated[
    int | None,
    typer.Option("--top-k", help="Draw from the most likely so many tokens only.", rich_help_panel=_SAMPLING),
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", help="For the same answer again, where the provider can.", rich_help_panel=_SAMPLING),
]
StopOption = Annotated[
    list[str] | None,
    typer.Option("--stop", metavar="TEXT", help="Where the model stops. At most four.", rich_help_panel=_SAMPLING),
]
FrequencyOption = Annotated[
    float | None,
    typer.Option(
        "--frequency-penalty", help="-2 to 2: above 0, words come less often again.", rich_help_panel=_SAMPLING
    ),
]
PresenceOption = Annotated[
    float | None,
    typer.Option("--presence-penalty", help="-2 to 2: above 0, new words are preferred.", rich_help_panel=_SAMPLING),
]
CompatibilityOption = Annotated[
    Compatibility | None,
    typer.Option(
        "--compatibility",
        help="What happens with what a model or its provider cannot do: strict does not ask it and says why, drop "
        "leaves that out of the call and warns. Left out: strict.",
        rich_help_panel=_SERVICE,
    ),
]
FallbackOption = Annotated[
    bool | None,
    typer.Option(
        "--fallback/--no-fallback",
        help="Whether others may answer when what --model or --provider names cannot. Left out: only without them.",
        rich_help_panel=_SERVICE,
    ),
]
ServiceTierOption = Annotated[
    ServiceTier | None,
    typer.Option("--service-tier", help="How urgent the call is to its provider.", rich_help_panel=_SERVICE),
]
EndUserOption = Annotated[
    str | None,
    typer.Option(
        "--end-user",
        help="Who the call is for, in your own words but no personal data; the provider is told.",
        rich_help_panel=_SERVICE,
    ),
]
CacheKeyOption = Annotated[
    str | None,
    typer.Option(
        "--prompt-cache-key", help="Calls with the same key share a provider's prompt cache.", rich_help_panel=_SERVICE
    ),
]


def model_options(
    *,
    tools: list[Path] | None,
    tool_choice: str | None,
    one_tool: bool,
    json_answer: bool,
    schema: Path | None,
    reasoning: str | None,
    **given: object,
) -> GenerationOptions:
    """The options that were given; `given` are those that are passed on as they are. Raises BadParameter."""
    options = {name: value for name, value in given.items() if value is not None and value != []}
    if tools:
        options["tools"] = [each for file in tools for each in _tools(file)]
    if tool_choice is not None:
        options["tool_choice"] = tool_choice
    if one_tool:
        options["parallel_tool_calls"] = False
    if json_answer and schema is not None:
        raise typer.BadParameter("--schema already asks for JSON: leave --json-answer out", param_hint="--json-answer")
    if json_answer:
        options["response_format"] = "json"
    elif schema is not None:
        options["response_format"] = _json_object(schema, "--schema", 'a JSON Schema such as {"type": "object"}')
    if reasoning is not None:
        options["reasoning"] = _reasoning(reasoning)
    return cast("GenerationOptions", options)


def parts_of(
    attach: list[str] | None, image: list[str] | None, audio: list[str] | None, document: list[str] | None
) -> list[Part]:
    """What goes along with the prompt. Raises BadParameter."""
    from gatehouse import media

    kinds: Sequence[tuple[str, Callable[[str], Part], list[str] | None]] = (
        ("--attach", media.attachment, attach),
        ("--image", media.image, image),
        ("--audio", media.audio, audio),
        ("--document", media.document, document),
    )
    return [_part(build, source, hint) for hint, build, sources in kinds for source in sources or ()]


def _part(build: Callable[[str], Part], source: str, hint: str) -> Part:
    try:
        return build(source)
    except OSError as error:
        raise typer.BadParameter(f"{source} cannot be read: {error.strerror}", param_hint=hint) from None
    except ValueError as error:
        text = str(error).partition(": say its media_type")[0]
        raise typer.BadParameter(f"{source} is {text}", param_hint=hint) from None


def _reasoning(text: str) -> str | int:
    if text.isascii() and text.isdigit():
        return int(text)
    if text not in ("none", "low", "medium", "high", "max"):
        raise typer.BadParameter(
            f"{text!r} is neither none, low, medium, high or max nor a number of tokens", param_hint="--reasoning"
        )
    return text


def _json_object(file: Path, hint: str, what: str) -> dict[str, Any]:
    found = _json(file, hint)
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{file} does not hold {what}", param_hint=hint)
    return found


def _json(file: Path, hint: str) -> Any:
    try:
        return json.loads(read_file(file, hint))
    except ValueError as error:
        raise typer.BadParameter(f"{file} is no JSON: {error}", param_hint=hint) from None


def _tools(file: Path) -> list[Tool]:
    """The tools in a file: an MCP server's, ours, or those of OpenAI's requests."""
    from gatehouse.messages import mcp_tools, tool

    found = _json(file, "--tools")
    try:
        return mcp_tools(found)
    except ValueError:
        listed = found if isinstance(found, list) else [found]
    made = []
    for each in listed:
        function = each.get("function", each) if isinstance(each, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise typer.BadParameter(
                f"{file} does not hold what an MCP server's `tools/list` gives, nor a list of objects with `name`, "
                "`description` and `parameters`",
                param_hint="--tools",
            )
        made.append(tool(function["name"], str(function.get("description", "")), function.get("parameters")))
    return made
