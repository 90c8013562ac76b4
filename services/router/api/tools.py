"""From the wire to the domain: tools, and whether they are called."""

from __future__ import annotations

import re

from gatehouse.router.v1 import generation_pb2, message_pb2

from libs.core.validation import FieldChecks
from services.router.api.mcp import tool_definition
from services.router.api.schemas import check_schema
from services.router.domain.generation import NamedTool, Tool, ToolChoice, ToolChoiceMode

MAX_TOOLS = 128
MAX_DESCRIPTION = 8192

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
NAME_RULE = "must be 1 to 64 characters of a-z, A-Z, 0-9, '_', '-'"
_MODES = {
    message_pb2.TOOL_CHOICE_MODE_AUTO: ToolChoiceMode.AUTO,
    message_pb2.TOOL_CHOICE_MODE_REQUIRED: ToolChoiceMode.REQUIRED,
    message_pb2.TOOL_CHOICE_MODE_NONE: ToolChoiceMode.NONE,
}


def tools_in(check: FieldChecks, message: generation_pb2.Generation) -> tuple[Tool, ...]:
    """The tools of a call, each of another name."""
    check.count("generation.tools", message.tools, most=MAX_TOOLS)
    tools = tuple(
        _tool(check, f"generation.tools[{index}]", each) for index, each in enumerate(message.tools[:MAX_TOOLS])
    )
    names: set[str] = set()
    for index, tool in enumerate(tools):
        field = "mcp_json" if message.tools[index].mcp_json else "name"
        unused = tool.name not in names
        check.that(unused, f"generation.tools[{index}].{field}", "must have another name than the other tools")
        names.add(tool.name)
    return tools


def _tool(check: FieldChecks, field: str, message: message_pb2.Tool) -> Tool:
    if message.mcp_json:
        for other in ("name", "description", "parameters_schema_json"):
            check.that(not getattr(message, other), f"{field}.{other}", "must be empty: mcp_json is set")
        name, description, schema = tool_definition(check, f"{field}.mcp_json", message.mcp_json)
        named = described = shaped = f"{field}.mcp_json"
        name_rule = f"name {NAME_RULE}, for that is what providers take"
    else:
        name, description, schema = message.name, message.description, message.parameters_schema_json
        named, described, shaped = f"{field}.name", f"{field}.description", f"{field}.parameters_schema_json"
        name_rule = NAME_RULE
    check.that(NAME.fullmatch(name) is not None, named, name_rule)
    check.text(described, description, most=MAX_DESCRIPTION)
    if schema:
        check_schema(check, shaped, schema, of_object=True)
    return Tool(name=name, description=description, parameters_json=schema, cache_breakpoint=message.cache_breakpoint)


def tool_choice_in(
    check: FieldChecks, message: generation_pb2.Generation, tools: tuple[Tool, ...]
) -> ToolChoice | None:
    """Whether and which of `tools` is called."""
    if not message.HasField("tool_choice"):
        return None
    choice, field = message.tool_choice, "generation.tool_choice"
    match choice.WhichOneof("choice"):
        case "tool":
            known = any(tool.name == choice.tool for tool in tools)
            check.that(known, f"{field}.tool", "must be the name of one of the tools")
            return NamedTool(choice.tool)
        case "mode" if choice.mode in _MODES:
            needs_tools = choice.mode == message_pb2.TOOL_CHOICE_MODE_REQUIRED
            check.that(bool(tools) or not needs_tools, f"{field}.mode", "REQUIRED needs tools to choose from")
            return _MODES[choice.mode]
        case "mode":
            check.fail(f"{field}.mode", "must be AUTO, REQUIRED or NONE")
        case _:
            check.fail(field, "must set mode or tool")
    return None
