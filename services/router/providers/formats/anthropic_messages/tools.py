"""Tools on offer, and which of them the model is to call."""

from __future__ import annotations

from collections.abc import Iterable

from services.router.domain.generation import Generation, NamedTool, Tool, ToolChoiceMode
from services.router.providers.formats.anthropic_messages.content import CACHE_CONTROL, Json
from services.router.providers.formats.anthropic_messages.schemas import ANY_ARGUMENTS, NO_ARGUMENTS, input_schema


def tool_definition(tool: Tool) -> Json:
    """An entry of `tools`."""
    definition: Json = {"name": tool.name}
    if tool.description:
        definition["description"] = tool.description
    definition["input_schema"] = input_schema(tool.parameters_json) if tool.parameters_json else NO_ARGUMENTS
    if tool.cache_breakpoint:
        definition["cache_control"] = CACHE_CONTROL
    return definition


def called_tools(names: Iterable[str]) -> list[Json]:
    """Tools of which only the calls are left: the API wants every tool of a conversation defined."""
    return [{"name": name, "input_schema": ANY_ARGUMENTS} for name in names]


def forces_a_tool(request: Generation) -> bool:
    """Whether the model must call a tool."""
    return request.tool_choice is ToolChoiceMode.REQUIRED or isinstance(request.tool_choice, NamedTool)


def tool_choice(request: Generation) -> Json | None:
    """`tool_choice`, which also says whether several tools may be called; None where nothing has to be said."""
    choice: Json
    match request.tool_choice:
        case NamedTool(name):
            choice = {"type": "tool", "name": name}
        case ToolChoiceMode.REQUIRED:
            choice = {"type": "any"}
        case ToolChoiceMode.NONE:
            return {"type": "none"}
        case wanted:
            if wanted is None and request.parallel_tool_calls is not False:
                return None
            choice = {"type": "auto"}
    if request.parallel_tool_calls is False:
        choice["disable_parallel_tool_use"] = True
    return choice
