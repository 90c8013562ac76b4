"""From the wire to the domain: a call checked field by field."""

from __future__ import annotations

import math
import re
from functools import lru_cache

import jsonschema
import orjson
from gatehouse.router.v1 import generation_pb2, message_pb2
from jsonschema.validators import Draft202012Validator

from libs.core.validation import FieldChecks
from libs.rpc.context import RequestContext
from services.router.api.call_fields import check_call_fields
from services.router.api.messages import messages
from services.router.domain.call_context import CallContext
from services.router.domain.generation import (
    Generation,
    JsonFormat,
    JsonSchemaFormat,
    NamedTool,
    ResponseFormat,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)

MAX_TOOLS = 128
MAX_STOP = 4
MAX_STOP_LENGTH = 256
MAX_DESCRIPTION = 8192
MAX_SCHEMA = 100_000
MAX_TEMPERATURE = 2.0
MAX_OUTPUT_TOKENS = 10_000_000
MAX_SESSION = 128
REVISION_KEY = "gatehouse-revision"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_RULE = "must be 1 to 64 characters of a-z, A-Z, 0-9, '_', '-'"
_MODES = {
    message_pb2.TOOL_CHOICE_MODE_AUTO: ToolChoiceMode.AUTO,
    message_pb2.TOOL_CHOICE_MODE_REQUIRED: ToolChoiceMode.REQUIRED,
    message_pb2.TOOL_CHOICE_MODE_NONE: ToolChoiceMode.NONE,
}


def call_context(request: RequestContext) -> CallContext:
    """Who calls and when. Raises InvalidArgument for a malformed `gatehouse-revision`."""
    caller = request.caller
    if caller.tenant is None or caller.user is None or caller.token is None:
        raise AssertionError("authorization lets only callers of a tenant through")
    revision = request.metadata.get(REVISION_KEY)
    if revision is not None:
        with FieldChecks() as check:
            valid = revision.isascii() and revision.isdigit() and len(revision) <= _MAX_DIGITS
            check.that(valid, REVISION_KEY, "metadata must be a revision that a change returned, a whole number")
    return CallContext(
        tenant=caller.tenant,
        user=caller.user,
        plan=caller.plan or "",
        token=caller.token,
        arrived=request.arrived,
        deadline=request.deadline,
        revision=int(revision) if revision is not None else None,
    )


_MAX_DIGITS = 18


def generation(message: generation_pb2.Generation, *, messages_required: bool = True) -> Generation:
    """A validated call. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        conversation = messages(check, message.messages, required=messages_required)
        check_call_fields(check, "generation", message)
        tools = _tools(check, message) if message.tools else ()
        choice = _tool_choice(check, message, tools)
        shape = _response_format(check, message)
        _sampling(check, message)
        if message.session:
            valid = len(message.session) <= MAX_SESSION and message.session.isprintable()
            check.that(valid, "generation.session", f"must be at most {MAX_SESSION} printable characters")
    named = bool(message.provider or message.model)
    return Generation(
        messages=conversation,
        provider=message.provider,
        model=message.model,
        fallback=not named if not message.fallback else message.fallback == generation_pb2.FALLBACK_POLICY_ANY,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=message.parallel_tool_calls if message.HasField("parallel_tool_calls") else None,
        response_format=shape,
        max_output_tokens=message.max_output_tokens if message.HasField("max_output_tokens") else None,
        temperature=message.temperature if message.HasField("temperature") else None,
        top_p=message.top_p if message.HasField("top_p") else None,
        stop=tuple(message.stop),
        seed=message.seed if message.HasField("seed") else None,
        task=message.task,
        labels=dict(message.labels),
        request_id=message.request_id,
        session=message.session,
    )


def _sampling(check: FieldChecks, message: generation_pb2.Generation) -> None:
    if message.HasField("max_output_tokens"):
        in_range = 1 <= message.max_output_tokens <= MAX_OUTPUT_TOKENS
        check.that(in_range, "generation.max_output_tokens", f"must be 1 to {MAX_OUTPUT_TOKENS}")
    if message.HasField("temperature"):
        check.that(0 <= message.temperature <= MAX_TEMPERATURE, "generation.temperature", "must be 0 to 2")
    if message.HasField("top_p"):
        top_p = message.top_p
        check.that(math.isfinite(top_p) and 0 < top_p <= 1, "generation.top_p", "must be above 0, up to 1")
    if message.stop:
        check.count("generation.stop", message.stop, most=MAX_STOP)
        for index, text in enumerate(message.stop):
            check.text(f"generation.stop[{index}]", text, most=MAX_STOP_LENGTH, least=1)


def _tools(check: FieldChecks, message: generation_pb2.Generation) -> tuple[Tool, ...]:
    check.count("generation.tools", message.tools, most=MAX_TOOLS)
    names: set[str] = set()
    for index, tool in enumerate(message.tools):
        field = f"generation.tools[{index}]"
        check.that(_NAME.fullmatch(tool.name) is not None, f"{field}.name", _NAME_RULE)
        check.that(tool.name not in names, f"{field}.name", "must differ from the other tools' names")
        names.add(tool.name)
        check.text(f"{field}.description", tool.description, most=MAX_DESCRIPTION)
        if tool.parameters_schema_json:
            _schema(check, f"{field}.parameters_schema_json", tool.parameters_schema_json, of_object=True)
    return tuple(
        Tool(name=each.name, description=each.description, parameters_json=each.parameters_schema_json)
        for each in message.tools
    )


def _tool_choice(check: FieldChecks, message: generation_pb2.Generation, tools: tuple[Tool, ...]) -> ToolChoice | None:
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


def _response_format(check: FieldChecks, message: generation_pb2.Generation) -> ResponseFormat | None:
    if not message.HasField("response_format"):
        return None
    shape = message.response_format
    match shape.WhichOneof("format"):
        case "json":
            return JsonFormat()
        case "json_schema":
            wanted, field = shape.json_schema, "generation.response_format.json_schema"
            check.that(_NAME.fullmatch(wanted.name) is not None, f"{field}.name", _NAME_RULE)
            check.text(f"{field}.description", wanted.description, most=MAX_DESCRIPTION)
            if wanted.schema_json:
                _schema(check, f"{field}.schema_json", wanted.schema_json, of_object=False)
            else:
                check.fail(f"{field}.schema_json", "is required")
            return JsonSchemaFormat(
                name=wanted.name, description=wanted.description, schema_json=wanted.schema_json, strict=wanted.strict
            )
        case _:
            check.fail("generation.response_format", "must set json or json_schema")
    return None


def _schema(check: FieldChecks, field: str, text: str, *, of_object: bool) -> None:
    if len(text) > MAX_SCHEMA:
        check.fail(field, f"must have at most {MAX_SCHEMA} characters, has {len(text)}")
        return
    mistake = _schema_mistake(text, of_object)
    check.that(mistake is None, field, mistake or "")


# The same tools come with every call of a backend; checking a schema takes milliseconds, finding it here none.
@lru_cache(maxsize=1024)
def _schema_mistake(text: str, of_object: bool) -> str | None:
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"is not valid JSON: line {error.lineno}, column {error.colno}"
    if not isinstance(schema, dict):
        return "must be a JSON object"
    try:
        Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        return f"is not a valid JSON Schema at {error.json_path}"
    except RecursionError:
        return "is nested too deeply"
    if of_object and schema.get("type", "object") != "object":
        return 'must describe an object ("type": "object")'
    return None
