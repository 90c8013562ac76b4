"""Reads the tools of Gemini's requests, and which of them may be called."""

from __future__ import annotations

import re

import orjson

from libs.sandbox.dialect import Tool
from libs.sandbox.dialects.gemini_rules import Json, check_schema, checked, listed, text, wrong

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_ANY_OBJECT = b'{"type":"object"}'
_DECLARATION = frozenset({"name", "description", "parametersJsonSchema"})
_MODES = frozenset({"AUTO", "ANY", "NONE"})


def read_tools(request: Json) -> tuple[Tool, ...]:
    """The functions on offer. Raises Refusal."""
    tools: list[Tool] = []
    for index, each in enumerate(listed(request, "tools", "request")):
        where = f"tools[{index}]"
        fields = checked(each, where, {"functionDeclarations"})
        tools += [_tool(declaration, where) for declaration in listed(fields, "functionDeclarations", where)]
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        raise wrong("Duplicate function declaration found.")
    return tuple(tools)


def _tool(value: object, where: str) -> Tool:
    fields = checked(value, f"{where}.function_declarations", _DECLARATION)
    name = text(fields, "name", where)
    text(fields, "description", where, required=False)
    if _NAME.fullmatch(name) is None:
        raise wrong(f"Invalid function name '{name[:80]}'. Must start with a letter or an underscore.")
    schema = fields.get("parametersJsonSchema")
    if schema is None:
        return Tool(name=name, parameters=_ANY_OBJECT)
    check_schema(schema, f"{where}.{name}.parametersJsonSchema")
    if schema.get("type") != "object":
        raise wrong(f"functionDeclaration parameters schema of {name} should be of type OBJECT.")
    return Tool(name=name, parameters=orjson.dumps(schema))


def tool_choice(request: Json, tools: tuple[Tool, ...]) -> tuple[Tool | None, bool]:
    """The tool that must be called, and whether any may be. Raises Refusal."""
    config = checked(request.get("toolConfig", {}), "tool_config", {"functionCallingConfig"})
    where = "tool_config.function_calling_config"
    calling = checked(config.get("functionCallingConfig", {}), where, {"mode", "allowedFunctionNames"})
    mode = calling.get("mode", "AUTO")
    if mode not in _MODES:
        raise wrong(f"Invalid value at '{where}.mode'.")
    allowed = listed(calling, "allowedFunctionNames", where)
    by_name = {tool.name: tool for tool in tools}
    if not tools and config:
        raise wrong("Function calling config is set without function_declarations.")
    if allowed and (mode != "ANY" or any(name not in by_name for name in allowed)):
        raise wrong("Allowed function names should be set only with mode ANY, and be names of function declarations.")
    if mode != "ANY":
        return None, mode == "AUTO"
    return by_name[allowed[0]] if allowed else tools[0], True
