"""A conversation by the API's rules for turns.

- Instructions at the head of the conversation are its `system`. Later ones stay where they are: as a message of role
  `system` where the model knows that role and the API allows it there (after what the user says, before what the
  assistant does), else as a marked text in the user's turn. Moving them to the head would change what they speak of.
- User and assistant take turns, and the user begins: neighbours of one role become one turn. A conversation that would
  begin with the assistant, or with nobody, begins with a word from the user.
- Results of tools stand at the head of the turn that follows their calls, one for each call. A call that was never
  answered gets a result that says so; a result to no call of the turn before it becomes text.
- Ids of calls have a narrow alphabet and are used once: others are renamed, in the call and its result.
- No text is blank, no turn of the assistant ends with its thoughts, and the last one does not end with white space.
- Newer models do not go on with what the assistant said last: the user tells them to.
"""

from __future__ import annotations

import enum
import re
from collections import deque
from collections.abc import Sequence
from itertools import islice

from services.router.domain.generation import Message, Reasoning, Role, Text, ToolCall, ToolResult
from services.router.providers.formats.anthropic_messages import signatures
from services.router.providers.formats.anthropic_messages.content import (
    CACHE_CONTROL,
    Json,
    content_block,
    content_blocks,
    marked,
    shortened,
    text_block,
    tool_result_block,
    tool_use_block,
)

_BEGINNING = Text("Begin.")
_CONTINUATION = Text("Continue.")
_NOTHING = Text("(nothing)")
_NO_RESULT = "There is no result: the tool was not run."
_STRANGE = re.compile(r"[^a-zA-Z0-9_-]")
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


class Change(enum.Flag):
    """What is left out of a conversation, or becomes something else."""

    FOREIGN_THOUGHTS = enum.auto()
    IDLE_THOUGHTS = enum.auto()
    UNANSWERED_CALLS = enum.auto()
    STRAY_RESULTS = enum.auto()
    MARKED_INSTRUCTIONS = enum.auto()


UNCHANGED = Change(0)


class Conversation:
    """The messages of a call as turns of `model`.

    `system_turns`: whether it knows messages of role `system`; `continues`: whether it goes on with what the assistant
    said last. `tools` are the names of the tools that were called, in order; `changes` what is not as it was said.
    """

    __slots__ = (
        "_continues",
        "_model",
        "_open",
        "_results",
        "_system_turns",
        "_used",
        "_waiting",
        "changes",
        "system",
        "tools",
        "turns",
    )

    def __init__(self, messages: Sequence[Message], *, model: str, system_turns: bool, continues: bool = True) -> None:
        self._continues = continues
        self._model = model
        self._system_turns = system_turns
        self.system: list[Json] = []
        self.turns: list[Json] = []
        self.tools: dict[str, None] = {}
        self.changes = UNCHANGED
        # The ids in use, with the number that the last one made from each has.
        self._used: dict[str, int] = {}
        # Those of the turn before that wait for a result; the same by what the caller calls them.
        self._open: dict[str, None] = {}
        self._waiting: dict[str, deque[str]] = {}
        # How many results the user's last turn begins with.
        self._results = 0
        head = next((at for at, each in enumerate(messages) if each.role is not Role.SYSTEM), len(messages))
        for message in messages[:head]:
            self.system += _instructions(message)
        for at, message in enumerate(islice(messages, head, None), head):
            self._add(message, _next_role(messages, at))
        self._end()

    @property
    def opens_with_thoughts(self) -> bool:
        """Whether what the assistant last began, tool calls and their results included, begins with its thoughts.

        Models that think by a budget insist on it. True when the assistant has begun nothing.
        """
        first = True
        for turn in reversed(self.turns):
            content = turn["content"]
            kind = content[0]["type"] if isinstance(content, list) else "text"
            if turn["role"] == "assistant":
                first = kind in _THOUGHTS
            elif kind != "tool_result":
                break
        return first

    def _add(self, message: Message, follower: Role | None) -> None:
        match message.role:
            case Role.ASSISTANT:
                self._assistant(message)
            case Role.SYSTEM:
                self._later_instructions(message, follower)
            case Role.USER:
                content = self._user_turn()
                for at, part in enumerate(message.parts):
                    if not isinstance(part, Reasoning | ToolCall | ToolResult):
                        _append(content, content_block(part), cached=at in message.breakpoints)
            case Role.TOOL:
                content = self._user_turn()
                for at, part in enumerate(message.parts):
                    if isinstance(part, ToolResult):
                        self._result(content, part, cached=at in message.breakpoints)

    def _assistant(self, message: Message) -> None:
        blocks: list[Json] = []
        begun: list[tuple[str, str]] = []
        for at, part in enumerate(message.parts):
            cached = at in message.breakpoints
            match part:
                case Text(said):
                    _append(blocks, text_block(said), cached=cached)
                case Reasoning():
                    block = signatures.block_of(part, self._model)
                    _append(blocks, block, cached=False)
                    if block is None and part.signature is not None:
                        self.changes |= Change.FOREIGN_THOUGHTS
                case ToolCall():
                    sent = self._new_id(part.id)
                    begun.append((sent, part.id))
                    self.tools[part.name] = None
                    _append(blocks, tool_use_block(part, sent), cached=cached)
                case _:
                    pass
        if not blocks:
            return
        if self._last_role() != "assistant":
            self._answer_open_calls()
            self._begin("assistant")
        self.turns[-1]["content"] += blocks
        for sent, given in begun:
            self._open[sent] = None
            self._waiting.setdefault(given, deque()).append(sent)

    def _new_id(self, given: str) -> str:
        wanted = _STRANGE.sub("_", given) or "_"
        sent, number = wanted, self._used.get(wanted, 0) + 1
        while sent in self._used:
            sent = f"{wanted}_{number}"
            number += 1
        self._used[wanted] = max(number - 1, 1)
        self._used.setdefault(sent, 1)
        return sent

    def _result(self, content: list[Json], result: ToolResult, *, cached: bool) -> None:
        waiting = self._waiting.get(result.tool_call_id)
        if not waiting:
            self.changes |= Change.STRAY_RESULTS
            verb = "failed" if result.is_error else "answered"
            said = Text(f"The tool {result.name} {verb}:")
            for block in content_blocks((said, *(result.parts or (_NOTHING,)))):
                _append(content, block, cached=False)
            _append(content, None, cached=cached)
            return
        call_id = waiting.popleft()
        del self._open[call_id]
        block = tool_result_block(result, call_id)
        if cached:
            block["cache_control"] = CACHE_CONTROL
        self._insert_result(content, block)

    def _answer_open_calls(self) -> None:
        """The calls of the assistant's last turn that nothing answered."""
        if not self._open:
            return
        self.changes |= Change.UNANSWERED_CALLS
        content = self._user_turn()
        for call_id in self._open:
            block = {"type": "tool_result", "tool_use_id": call_id, "content": _NO_RESULT, "is_error": True}
            self._insert_result(content, block)
        self._open.clear()
        self._waiting.clear()

    def _insert_result(self, content: list[Json], block: Json) -> None:
        """After the results that are there, before all else."""
        content.insert(self._results, block)
        self._results += 1

    def _later_instructions(self, message: Message, follower: Role | None) -> None:
        blocks = _instructions(message)
        if not blocks:
            return
        if self._last_role() == "system":
            self.turns[-1]["content"] += blocks
        elif self._system_turns and follower in {Role.ASSISTANT, None} and self._user_has_spoken():
            self._answer_open_calls()
            self._begin("system")
            self.turns[-1]["content"] += blocks
        else:
            self.changes |= Change.MARKED_INSTRUCTIONS
            self._user_turn().extend(map(marked, blocks))

    def _user_has_spoken(self) -> bool:
        return self._last_role() == "user" and bool(self.turns[-1]["content"])

    def _user_turn(self) -> list[Json]:
        """The content of the user's turn that is under way, or begins now."""
        if self._last_role() == "assistant":
            self._close_assistant()
        if self._last_role() == "system":
            # What the assistant said after it came to nothing, so it may not stand here.
            blocks: list[Json] = self.turns.pop()["content"]
            self.changes |= Change.MARKED_INSTRUCTIONS
            self.turns[-1]["content"].extend(map(marked, blocks))
        if self._last_role() != "user":
            self._begin("user")
        content: list[Json] = self.turns[-1]["content"]
        return content

    def _close_assistant(self) -> None:
        content = self.turns[-1]["content"]
        while content and content[-1]["type"] in _THOUGHTS:
            self.changes |= Change.IDLE_THOUGHTS
            content.pop()
        if not content:
            self.turns.pop()

    def _begin(self, role: str) -> None:
        if self.turns and not self.turns[-1]["content"]:
            # The user said nothing that can be sent.
            self.turns.pop()
            if self._last_role() == role:
                return
        if role == "assistant" and not self.turns:
            self.turns.append({"role": "user", "content": content_blocks((_BEGINNING,))})
        self.turns.append({"role": role, "content": []})
        if role == "user":
            self._results = 0

    def _last_role(self) -> str:
        return str(self.turns[-1]["role"]) if self.turns else ""

    def _end(self) -> None:
        if self._last_role() == "assistant":
            self._close_assistant()
        self._answer_open_calls()
        if not self.turns:
            self.turns.append({"role": "user", "content": content_blocks((_BEGINNING,))})
        elif not self.turns[-1]["content"]:
            self.turns[-1]["content"] += content_blocks((_NOTHING,))
        last = self.turns[-1]
        if last["role"] == "assistant" and not self._continues:
            self.turns.append({"role": "user", "content": content_blocks((_CONTINUATION,))})
        elif last["role"] == "assistant" and last["content"][-1]["type"] == "text":
            last["content"][-1]["text"] = last["content"][-1]["text"].rstrip()
        for turn in self.turns:
            turn["content"] = shortened(turn["content"])


def _next_role(messages: Sequence[Message], at: int) -> Role | None:
    """Who speaks next, instructions passed over."""
    if messages[at].role is not Role.SYSTEM:
        return None
    return next((each.role for each in islice(messages, at + 1, None) if each.role is not Role.SYSTEM), None)


def _instructions(message: Message) -> list[Json]:
    blocks: list[Json] = []
    for at, part in enumerate(message.parts):
        if isinstance(part, Text):
            _append(blocks, text_block(part.text), cached=at in message.breakpoints)
    return blocks


def _append(blocks: list[Json], block: Json | None, *, cached: bool) -> None:
    """With a breakpoint on it; one on what is not sent goes to what stands before it."""
    if block is not None:
        blocks.append(block)
    if cached and blocks and blocks[-1]["type"] not in _THOUGHTS:
        blocks[-1]["cache_control"] = CACHE_CONTROL
