"""JSON that fits a schema: natively, by a tool on models that lack that, in words where a tool cannot carry it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from services.router.domain.generation import Generation, JsonSchemaFormat, ToolChoiceMode
from services.router.providers.formats.anthropic_messages.content import Json
from services.router.providers.formats.anthropic_messages.model_families import Family
from services.router.providers.formats.anthropic_messages.schemas import (
    input_schema,
    is_object_schema,
    narrows,
    output_schema,
)
from services.router.providers.formats.anthropic_messages.tools import forces_a_tool


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuredOutput:
    """What a request gets for it.

    `format` goes under `output_config`; `tool` is the tool whose input is the answer, `choice` the tool choice that
    makes the model call it; `words` go to the end of `system`. `weaker` says why nothing holds the model to the schema,
    or to all of it; empty where something does.
    """

    format: Json | None = None
    tool: Json | None = None
    choice: Json | None = None
    words: str = ""
    weaker: str = ""

    @property
    def answer_tool(self) -> str:
        """The tool's name; empty for none."""
        return "" if self.tool is None else str(self.tool["name"])


# Names have at most 64 characters.
_LONGEST_STEM = 60
_NOTHING = StructuredOutput()
_NARROWED = (
    "open parts of the JSON Schema left out: {} takes objects with named properties only, and no values of any kind"
)
_NO_OBJECT = "JSON Schema output asked for in words only: {} can be held to schemas of objects only"
_NOT_HELD = "JSON Schema output asked for in words only: {} cannot be held to a schema while it thinks"


def structured_output(
    request: Generation, family: Family, *, called: Collection[str], thinks: bool
) -> StructuredOutput:
    """How to get it.

    `called`: the tools the conversation has called. `thinks`: the model thinks by a budget, which goes with no forced
    tools.
    """
    wanted = request.response_format
    if not isinstance(wanted, JsonSchemaFormat):
        return _NOTHING
    if family.output_schemas:
        schema = output_schema(wanted.schema_json, wanted.description)
        return StructuredOutput(
            format={"type": "json_schema", "schema": schema},
            weaker=_NARROWED if narrows(wanted.schema_json) else "",
        )
    if forces_a_tool(request):
        # The answer will be a call of another tool.
        return _NOTHING
    is_object = is_object_schema(wanted.schema_json)
    if not is_object or (thinks and request.tools and request.tool_choice is ToolChoiceMode.NONE):
        described = f" ({wanted.description})" if wanted.description else ""
        return StructuredOutput(
            words=f"Answer with JSON{described} that fits this schema, and with nothing else:\n{wanted.schema_json}",
            weaker=_NOT_HELD if is_object else _NO_OBJECT,
        )
    name = _free_name(wanted.name, {*called, *(tool.name for tool in request.tools)})
    tool: Json = {
        "name": name,
        "description": wanted.description or "Gives the answer.",
        "input_schema": input_schema(wanted.schema_json),
    }
    if thinks:
        return StructuredOutput(
            tool=tool,
            words=f"Give the answer as input of the tool {name}, without other text.",
            weaker=_NOT_HELD,
        )
    others = bool(request.tools) and request.tool_choice is not ToolChoiceMode.NONE
    return StructuredOutput(tool=tool, choice={"type": "any"} if others else {"type": "tool", "name": name})


def _free_name(wanted: str, taken: Collection[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted[:_LONGEST_STEM]}_{number}"
    return name
