"""From the wire to the domain: the conversation, checked part by part."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from gatehouse.router.v1 import message_pb2

from libs.core.errors import InvalidArgument
from libs.core.resource_names import KeyName, ProviderName
from libs.core.validation import FieldChecks
from services.router.api.mcp import tool_answer
from services.router.api.media import audio, document, image
from services.router.domain.generation import (
    Message,
    Part,
    Reasoning,
    ResultPart,
    Role,
    Signature,
    Text,
    ToolCall,
    ToolResult,
)

MAX_MESSAGES = 2048
MAX_PARTS = 256
MAX_ALL_PARTS = 16_384
"""Of all messages together: a hundred times as many would keep the router busy for seconds."""
MAX_TEXT = 4_000_000
MAX_ARGUMENTS = 1_000_000
MAX_CALL_ID = 256
MAX_TOOL_NAME = 64
MAX_RESULT_PARTS = 64
MAX_SIGNATURE = 4_000_000
MAX_BREAKPOINTS = 4

_ROLES = {
    message_pb2.ROLE_SYSTEM: Role.SYSTEM,
    message_pb2.ROLE_USER: Role.USER,
    message_pb2.ROLE_ASSISTANT: Role.ASSISTANT,
    message_pb2.ROLE_TOOL: Role.TOOL,
}
_ALLOWED = {
    Role.SYSTEM: frozenset({"text"}),
    Role.USER: frozenset({"text", "image", "audio", "document"}),
    Role.ASSISTANT: frozenset({"text", "reasoning", "tool_call"}),
    Role.TOOL: frozenset({"tool_result"}),
}


def messages(
    check: FieldChecks, given: Sequence[message_pb2.Message], *, required: bool, breakpoints: int = 0
) -> tuple[Message, ...]:
    """The conversation; what is wrong with it goes to `check`. `breakpoints`: how many the tools have."""
    check.count("generation.messages", given, most=MAX_MESSAGES, least=1 if required else 0)
    if sum(len(each.parts) for each in given[:MAX_MESSAGES]) > MAX_ALL_PARTS:
        check.fail("generation.messages", f"must have at most {MAX_ALL_PARTS} parts together")
        return ()
    conversation = _Conversation(check, breakpoints)
    return tuple(
        conversation.message(f"generation.messages[{index}]", each) for index, each in enumerate(given[:MAX_MESSAGES])
    )


class _Conversation:
    """Reads the messages of one conversation in their order: what a result answers must have been called before."""

    __slots__ = ("_breakpoints", "_called", "_check")

    def __init__(self, check: FieldChecks, breakpoints: int) -> None:
        self._check = check
        self._breakpoints = breakpoints
        # The names of the tools called so far, by the id of the call.
        self._called: dict[str, str] = {}

    def message(self, field: str, message: message_pb2.Message) -> Message:
        """One turn."""
        check = self._check
        role = _ROLES.get(message.role)
        if role is None:
            check.fail(f"{field}.role", "must be ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT or ROLE_TOOL")
            return Message(Role.USER, ())
        parts = message.parts
        if len(parts) == 1 and role is not Role.TOOL:
            # Nearly every message is one text.
            only = parts[0]
            if only.WhichOneof("content") == "text" and not only.cache_breakpoint:
                text = only.text
                if not 1 <= len(text) <= MAX_TEXT:
                    check.fail(f"{field}.parts[0].text", f"must have 1 to {MAX_TEXT} characters, has {len(text)}")
                return Message(role, (Text(text),))
        check.count(f"{field}.parts", parts, most=MAX_PARTS, least=1)
        converted: list[Part] = []
        breakpoints: list[int] = []
        for index, each in enumerate(parts[:MAX_PARTS]):
            place = f"{field}.parts[{index}]"
            part = self._part(place, role, each)
            if part is None:
                continue
            if each.cache_breakpoint and not isinstance(part, Reasoning):
                self._breakpoints += 1
                few = self._breakpoints <= MAX_BREAKPOINTS
                rule = f"at most {MAX_BREAKPOINTS} in a call may be set, those of tools included"
                check.that(few, f"{place}.cache_breakpoint", rule)
                breakpoints.append(len(converted))
            converted.append(part)
        return Message(role, tuple(converted), tuple(breakpoints))

    def _part(self, field: str, role: Role, part: message_pb2.Part) -> Part | None:  # noqa: PLR0911 - by kind
        check = self._check
        kind = part.WhichOneof("content")
        if kind is None:
            check.fail(field, "must set its content")
            return None
        if kind not in _ALLOWED[role]:
            allowed = " or ".join(sorted(_ALLOWED[role]))
            check.fail(f"{field}.{kind}", f"does not belong in a message of role {role.name}; it takes {allowed}")
            return None
        match kind:
            case "text":
                check.length(f"{field}.text", part.text, most=MAX_TEXT, required=True)
                return Text(part.text)
            case "image":
                return image(check, f"{field}.image", part.image)
            case "audio":
                return audio(check, f"{field}.audio", part.audio)
            case "document":
                return document(check, f"{field}.document", part.document)
            case "reasoning":
                check.length(f"{field}.reasoning.text", part.reasoning.text, most=MAX_TEXT)
                return Reasoning(part.reasoning.text, _signature(check, f"{field}.reasoning", part.reasoning))
            case "tool_call":
                return self._tool_call(f"{field}.tool_call", part.tool_call)
            case _:
                return self._tool_result(f"{field}.tool_result", part.tool_result)

    def _tool_call(self, field: str, call: message_pb2.ToolCall) -> ToolCall:
        check = self._check
        check.length(f"{field}.id", call.id, most=MAX_CALL_ID, required=True)
        check.length(f"{field}.name", call.name, most=MAX_TOOL_NAME, required=True)
        check.length(f"{field}.arguments_json", call.arguments_json, most=MAX_ARGUMENTS)
        if call.arguments_json and len(call.arguments_json) <= MAX_ARGUMENTS:
            try:
                is_object = isinstance(orjson.loads(call.arguments_json), dict)
            except orjson.JSONDecodeError:
                is_object = False
            check.that(is_object, f"{field}.arguments_json", "must be a JSON object as text")
        self._called[call.id] = call.name
        return ToolCall(
            id=call.id,
            name=call.name,
            arguments_json=call.arguments_json or "{}",
            signature=_signature(check, field, call),
        )

    def _tool_result(self, field: str, result: message_pb2.ToolResult) -> ToolResult:
        check, call_id = self._check, result.tool_call_id
        name = self._called.get(call_id)
        if not call_id or len(call_id) > MAX_CALL_ID:
            check.length(f"{field}.tool_call_id", call_id, most=MAX_CALL_ID, required=True)
        elif name is None:
            check.fail(f"{field}.tool_call_id", "must be the id of a tool call before it in the conversation")
        given = [each for each in ("content", "parts", "mcp_json") if getattr(result, each)]
        for more in given[1:]:
            check.fail(f"{field}.{more}", f"must not be set beside {given[0]}")
        parts, failed = self._answer(field, result)
        return ToolResult(tool_call_id=call_id, name=name or "", parts=parts, is_error=result.is_error or failed)

    def _answer(self, field: str, result: message_pb2.ToolResult) -> tuple[tuple[ResultPart, ...], bool]:
        """What a tool answered, and whether that says that it failed."""
        check = self._check
        if result.mcp_json:
            return tool_answer(check, f"{field}.mcp_json", result.mcp_json)
        if not result.parts:
            check.length(f"{field}.content", result.content, most=MAX_TEXT)
            return (Text(result.content),) if result.content else (), False
        check.count(f"{field}.parts", result.parts, most=MAX_RESULT_PARTS)
        parts = (
            _result_part(check, f"{field}.parts[{index}]", each)
            for index, each in enumerate(result.parts[:MAX_RESULT_PARTS])
        )
        return tuple(part for part in parts if part is not None), False


def _result_part(check: FieldChecks, field: str, part: message_pb2.ToolResultPart) -> ResultPart | None:
    """A piece of a tool's answer; None for an empty text."""
    match part.WhichOneof("content"):
        case "text":
            check.length(f"{field}.text", part.text, most=MAX_TEXT)
            return Text(part.text) if part.text else None
        case "image":
            return image(check, f"{field}.image", part.image)
        case "audio":
            return audio(check, f"{field}.audio", part.audio)
        case "document":
            return document(check, f"{field}.document", part.document)
        case _:
            check.fail(field, "must set its content")
            return None


def _signature(check: FieldChecks, field: str, part: message_pb2.Reasoning | message_pb2.ToolCall) -> Signature | None:
    if not part.HasField("signature"):
        return None
    given, field = part.signature, f"{field}.signature"
    in_bounds = 1 <= len(given.data) <= MAX_SIGNATURE
    check.that(in_bounds, f"{field}.data", f"must have 1 to {MAX_SIGNATURE} bytes")
    try:
        ProviderName.parse(given.provider, field=f"{field}.provider")
        if given.key:
            KeyName.parse(given.key, field=f"{field}.key")
    except InvalidArgument as wrong:
        for each in wrong.field_violations:
            check.fail(each.field, each.description)
    return Signature(given.data, given.provider, given.key)
