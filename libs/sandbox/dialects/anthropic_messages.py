"""Reads the conversation of a Messages request, with Anthropic's rules for turns."""

from __future__ import annotations

from typing import Any

from libs.sandbox.dialect import Refusal
from libs.sandbox.dialects.anthropic_rules import (
    IMAGE_TYPES,
    TOOL_ID,
    base64_of,
    flag,
    json_object,
    only,
    text_of,
    url_of,
    wrong,
)
from libs.sandbox.prompt import Prompt
from libs.sandbox.sealing import unseal

Json = dict[str, Any]

_MAX_BREAKPOINTS = 4
_CACHED = frozenset({"type", "cache_control"})
_BLOCKS = {
    "user": frozenset({"text", "image", "document", "tool_result"}),
    "assistant": frozenset({"text", "thinking", "redacted_thinking", "tool_use"}),
    "system": frozenset({"text"}),
}
_IN_RESULTS = frozenset({"text", "image", "document"})
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


class Reading:
    """The messages and instructions of a request, checked and counted.

    `cached_to`: how many tokens of the prompt lie before the last breakpoint. `uses_tools`: whether tools were called.
    """

    def __init__(self, *, system_turns: bool, prefill: bool) -> None:
        self.prompt = Prompt()
        self.cached_to = 0
        self.uses_tools = False
        self._breakpoints = 0
        self._system_turns = system_turns
        self._prefill = prefill
        self._ids: set[str] = set()
        self._turns: list[tuple[str, list[Json], str]] = []

    def breakpoint(self, value: Json, where: str) -> None:
        """A mark up to which the prompt is kept, if there is one."""
        mark = value.get("cache_control")
        if mark is None:
            return
        found = json_object(mark, f"{where}.cache_control")
        only(found, f"{where}.cache_control", {"type", "ttl"})
        if found.get("type") != "ephemeral" or found.get("ttl", "5m") not in ("5m", "1h"):
            raise wrong(f"{where}.cache_control", "Input tag should be 'ephemeral', its ttl '5m' or '1h'")
        self._breakpoints += 1
        if self._breakpoints > _MAX_BREAKPOINTS:
            raise Refusal(400, "A maximum of 4 blocks with cache_control may be provided. Found 5.")
        self.cached_to = self.prompt.tokens

    def system(self, system: object) -> None:
        """The instructions at the top."""
        if system is None:
            return
        self.prompt.message()
        self._blocks(system, "system", "system")

    def messages(self, messages: object) -> None:
        """The conversation."""
        if not isinstance(messages, list):
            raise wrong("messages", "Field required")
        if not messages:
            raise wrong("messages", "at least one message is required")
        for at, message in enumerate(messages):
            self._message(message, f"messages.{at}")
        self._check_turns()

    def thinks_first(self) -> bool:
        """Whether what the assistant last began begins with its thoughts."""
        first = True
        for role, blocks, _ in reversed(self._turns):
            if role == "assistant":
                first = blocks[0]["type"] in _THOUGHTS
            elif blocks[0]["type"] != "tool_result":
                break
        return first

    def _message(self, message: object, where: str) -> None:
        found = json_object(message, where)
        only(found, where, {"role", "content"})
        role = text_of(found, "role", where)
        if role not in _BLOCKS:
            raise wrong(f"{where}.role", "Input should be 'user', 'assistant' or 'system'")
        self.prompt.message()
        blocks = self._blocks(found.get("content"), f"{where}.content", role)
        if not blocks:
            raise wrong(
                where, "all messages must have non-empty content except for the optional final assistant message"
            )
        if self._turns and self._turns[-1][0] == role:
            # Neighbours of one role are one turn.
            self._turns[-1][1].extend(blocks)
        else:
            self._turns.append((role, blocks, where))
        if role == "user":
            self._heard(blocks)

    def _heard(self, blocks: list[Json]) -> None:
        said = [block["text"] for block in blocks if block["type"] == "text"]
        others = [block for block in blocks if block["type"] not in {"text", "tool_result"}]
        for block in blocks:
            if block["type"] == "tool_result":
                content = block.get("content") or []
                inner = [{"type": "text", "text": content}] if isinstance(content, str) else content
                answer = "".join(each["text"] for each in inner if each["type"] == "text")
                self.prompt.answered(answer, failed=block.get("is_error", False))
        if said or others:
            self.prompt.said("".join(said))

    def _blocks(self, content: object, where: str, role: str) -> list[Json]:
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if not isinstance(content, list):
            raise wrong(where, "Input should be a valid list")
        for at, block in enumerate(content):
            self._block(json_object(block, f"{where}.{at}"), f"{where}.{at}", _BLOCKS[role])
        return content

    def _block(self, block: Json, where: str, allowed: frozenset[str]) -> None:
        kind = text_of(block, "type", where)
        if kind not in allowed:
            raise wrong(where, f"Input tag '{kind[:40]}' found using 'type' does not match any of the expected tags")
        getattr(self, f"_{kind}")(block, where)
        self.breakpoint(block, where)

    def _text(self, block: Json, where: str) -> None:
        only(block, where, {*_CACHED, "text", "citations"})
        said = text_of(block, "text", where)
        if not said:
            raise Refusal(400, "messages: text content blocks must be non-empty", param=where)
        if said.isspace():
            raise Refusal(400, "messages: text content blocks must contain non-whitespace text", param=where)
        self.prompt.text(said)

    def _image(self, block: Json, where: str) -> None:
        only(block, where, {*_CACHED, "source", "transformations"})
        source = json_object(block.get("source"), f"{where}.source")
        match source.get("type"):
            case "base64":
                base64_of(source, f"{where}.source", IMAGE_TYPES)
            case "url":
                url_of(source, f"{where}.source")
            case _:
                raise wrong(f"{where}.source", "Input tag should be 'base64', 'url' or 'file'")
        self.prompt.image()

    def _document(self, block: Json, where: str) -> None:
        only(block, where, {*_CACHED, "source", "title", "context", "citations"})
        source = json_object(block.get("source"), f"{where}.source")
        match source.get("type"):
            case "base64":
                base64_of(source, f"{where}.source", {"application/pdf"})
            case "url":
                url_of(source, f"{where}.source")
            case "text":
                only(source, f"{where}.source", {"type", "media_type", "data"})
                if text_of(source, "media_type", f"{where}.source") != "text/plain":
                    raise wrong(f"{where}.source.media_type", "Input should be 'text/plain'")
                self.prompt.text(text_of(source, "data", f"{where}.source"))
            case _:
                raise wrong(f"{where}.source", "Input tag should be 'base64', 'content', 'file', 'text' or 'url'")
        if block.get("title") is not None and not text_of(block, "title", where).strip():
            raise wrong(f"{where}.title", "title must contain at least one character")
        self.prompt.document()

    def _thinking(self, block: Json, where: str) -> None:
        only(block, where, {"type", "thinking", "signature"})
        thought, meant = text_of(block, "thinking", where), unseal(text_of(block, "signature", where))
        # Hidden thoughts come back empty; the signature holds them.
        if meant is None or thought not in {"", meant}:
            raise wrong(where, "Invalid `signature` in `thinking` block")
        self.prompt.text(meant)
        self.prompt.thoughts += 1

    def _redacted_thinking(self, block: Json, where: str) -> None:
        only(block, where, {"type", "data"})
        meant = unseal(text_of(block, "data", where))
        if meant is None:
            raise wrong(where, "Invalid `data` in `redacted_thinking` block")
        self.prompt.text(meant)
        self.prompt.thoughts += 1

    def _tool_use(self, block: Json, where: str) -> None:
        only(block, where, {*_CACHED, "id", "name", "input", "caller", "toolset_name"})
        call_id, name = text_of(block, "id", where), text_of(block, "name", where)
        if TOOL_ID.fullmatch(call_id) is None:
            raise wrong(f"{where}.id", f"String should match pattern '^{TOOL_ID.pattern}$'")
        if call_id in self._ids:
            raise Refusal(400, "messages: `tool_use` ids must be unique", param=where)
        self._ids.add(call_id)
        self.uses_tools = True
        json_object(block.get("input"), f"{where}.input")
        self.prompt.text(name)
        self.prompt.text(str(block["input"]))

    def _tool_result(self, block: Json, where: str) -> None:
        only(block, where, {*_CACHED, "tool_use_id", "content", "is_error", "toolset_name"})
        text_of(block, "tool_use_id", where)
        flag(block, "is_error", where)
        content = block.get("content")
        if not content and block.get("is_error"):
            raise wrong(where, "content cannot be empty if `is_error` is true")
        if isinstance(content, str):
            # The short form may be blank.
            self.prompt.text(content)
        elif content is not None:
            if not isinstance(content, list):
                raise wrong(f"{where}.content", "Input should be a valid list")
            for at, inner in enumerate(content):
                self._block(json_object(inner, f"{where}.content.{at}"), f"{where}.content.{at}", _IN_RESULTS)

    def _check_turns(self) -> None:
        if self._turns[0][0] != "user":
            raise Refusal(400, 'messages: first message must use the "user" role', param="messages")
        calls: list[str] = []
        for at, (role, blocks, where) in enumerate(self._turns):
            follower = self._turns[at + 1][0] if at + 1 < len(self._turns) else None
            if role == "system":
                self._check_system(where, self._turns[at - 1][0], follower)
                continue
            self._check_results(blocks, where, calls)
            calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
            if role == "assistant" and blocks[-1]["type"] in _THOUGHTS:
                raise wrong(where, "The final block in an assistant message cannot be `thinking`.")
        if calls:
            raise _unanswered(self._turns[-1][2], calls)
        role, blocks, _ = self._turns[-1]
        last = blocks[-1]
        if role == "assistant" and not self._prefill:
            raise Refusal(
                400,
                "This model does not support assistant message prefill. The conversation must end with a user message.",
            )
        if role == "assistant" and last["type"] == "text" and last["text"] != last["text"].rstrip():
            raise Refusal(400, "messages: final assistant content cannot end with trailing whitespace")

    def _check_system(self, where: str, before: str, after: str | None) -> None:
        if not self._system_turns:
            raise wrong(where, "role 'system' is not supported on this model")
        if before != "user":
            raise wrong(
                where,
                "role 'system' must follow a 'user' message or an 'assistant' message ending in a server tool result",
            )
        if after not in {None, "assistant"}:
            raise wrong(where, "role 'system' must precede an 'assistant' message or end the array")

    @staticmethod
    def _check_results(blocks: list[Json], where: str, calls: list[str]) -> None:
        """Each call of the turn before has its result, and these stand first."""
        results: list[str] = []
        for block in blocks:
            if block["type"] != "tool_result":
                break
            results.append(block["tool_use_id"])
        if missing := [call for call in calls if call not in results]:
            raise _unanswered(where, missing)
        for block in blocks:
            if block["type"] == "tool_result" and block["tool_use_id"] not in calls:
                raise wrong(
                    where,
                    f"unexpected `tool_use_id` found in `tool_result` blocks: {block['tool_use_id'][:80]}. Each"
                    " `tool_result` block must have a corresponding `tool_use` block in the previous message.",
                )
        if len(set(results)) < len(results):
            raise wrong(where, "each tool_use must have a single result. Found multiple `tool_result` blocks.")


def _unanswered(where: str, calls: list[str]) -> Refusal:
    return wrong(
        where,
        f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(calls)[:200]}. Each"
        " `tool_use` block must have a corresponding `tool_result` block in the next message.",
    )
