"""The answer to a question: made from the question alone, so the same question has the same answer, bit for bit."""

from __future__ import annotations

from itertools import chain, cycle, islice

from libs.sandbox.dialect import (
    Answer,
    EmbeddingAnswer,
    EmbeddingQuestion,
    Finish,
    Question,
    Refusal,
    Tool,
    ToolCall,
)
from libs.sandbox.directives import Directives, without_directives
from libs.sandbox.schema_values import NoValue, value_for
from libs.sandbox.tokens import split_tokens
from libs.sandbox.vectors import vector_for

_OPENING = split_tokens("Hello from the sandbox, the practice provider that comes with Gatehouse.")
_TRUTH = split_tokens(
    " No model thought about it: these words were put together on this machine,"
    " and the same question always gets the same answer."
)
_CLOSINGS = tuple(
    split_tokens(f" {text}")
    for text in (
        "Everything around the answer works as it would with a real provider.",
        "Add a real provider's key and the same call can go there instead.",
        "Ask something else and watch these words change.",
        "The tokens are counted by a simple rule, so that every bill can be checked.",
    )
)
_PADDING = split_tokens(" The sandbox has more to say when it is asked to, word after word after word.")
_REASONING = split_tokens(" The question is read, a sentence is picked by its digest, and the answer is written.")
_BEFORE_TOOLS = split_tokens("Let me ask a tool.")
_LONGEST_ECHO = 80


def make_answer(question: Question, directives: Directives, *, default_reasoning: int = 0) -> Answer:
    """The answer to `question` as `directives` want it.

    Raises Refusal (400) when a tool or schema of the question cannot be answered.
    """
    seed = question.digest.hex()
    wanted = default_reasoning if question.reasoning_tokens is None else question.reasoning_tokens
    reasoning = wanted if directives.reasoning is None else directives.reasoning
    room = question.max_tokens
    if room is not None:
        reasoning = min(reasoning, room)
        room -= reasoning
    calls = _tool_calls(question, directives, seed)
    stopped_by = None
    if calls:
        pieces = tuple(_BEFORE_TOOLS) if directives.text_before_tools else ()
    else:
        pieces, stopped_by = _until_stop(_text(question, directives, limit=room), question.stop)
    finish = Finish.TOOL_CALLS if calls else Finish.STOP
    if room is not None:
        kept_calls, kept_pieces = _fit(calls, pieces, room)
        if kept_calls != calls or len(kept_pieces) < len(pieces):
            finish, stopped_by = Finish.LENGTH, None
        calls, pieces = kept_calls, kept_pieces
    visible = len(pieces) + sum(call.tokens for call in calls)
    thought = tuple(islice(cycle(_REASONING), reasoning))
    shown = (directives.show_reasoning or question.show_reasoning) and not directives.redacted
    return Answer(
        answer_id=seed,
        finish=None if directives.no_finish else directives.finish or finish,
        prompt_tokens=question.prompt_tokens,
        completion_tokens=visible + reasoning,
        pieces=pieces,
        calls=calls,
        reasoning_tokens=reasoning,
        shown_reasoning=thought if shown else (),
        reasoning_text="".join(thought),
        redacted=directives.redacted and bool(thought),
        stop_sequence=stopped_by,
        cached_tokens=min(directives.cached, question.prompt_tokens),
        with_usage=not directives.no_usage,
    )


def make_embeddings(question: EmbeddingQuestion, directives: Directives) -> EmbeddingAnswer:
    """The vectors of `question`, as many as `directives` want."""
    vectors = [vector_for(text, question.dimensions) for text in question.inputs]
    if directives.vectors is not None:
        vectors = list(islice(cycle(vectors), directives.vectors))
    return EmbeddingAnswer(
        vectors=tuple(vectors), prompt_tokens=question.prompt_tokens, with_usage=not directives.no_usage
    )


def _text(question: Question, directives: Directives, *, limit: int | None) -> list[str]:
    if question.output_schema is not None:
        return split_tokens(_json_for(question.output_schema, 0, "response_format").decode())
    pieces = [*_OPENING, *split_tokens(_echo(question)), *_TRUTH]
    pieces += _CLOSINGS[question.digest[0] % len(_CLOSINGS)]
    if directives.tokens is not None:
        # One piece more than fits is enough to show that the answer was cut.
        wanted = directives.tokens if limit is None else min(directives.tokens, limit + 1)
        pieces = list(islice(chain(pieces, cycle(_PADDING)), wanted))
    return pieces


def _echo(question: Question) -> str:
    if question.tool_result is not None:
        verb = "failed" if question.tool_failed else "answered"
        return f" The tool {verb}: “{_shorten(question.tool_result)}”.{_received(question)}"
    asked = _shorten(without_directives(question.user_text))
    text = f" You asked: “{asked}”." if asked else " You asked nothing in words."
    return text + _received(question)


def _received(question: Question) -> str:
    """What else came along, a sentence for each kind."""
    kinds = {"image": question.images, "recording": question.audio, "document": question.documents}
    text = "".join(
        f" {number} {kind}{'s were' if number > 1 else ' was'} received and counted, not looked at."
        for kind, number in kinds.items()
        if number
    )
    if question.thoughts:
        text += f" {question.thoughts} thought{'s' if question.thoughts > 1 else ''} came back as given."
    return text


def _shorten(text: str) -> str:
    # The slice bounds the work on a very long text.
    flat = " ".join(text[: _LONGEST_ECHO * 20].split())
    return flat if len(flat) <= _LONGEST_ECHO else f"{flat[: _LONGEST_ECHO - 1].rstrip()}…"


def _until_stop(pieces: list[str], stops: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """What comes before the first stop sequence, and which that is."""
    text = "".join(pieces) if stops else ""
    found = [(place, stop) for stop in stops if (place := text.find(stop)) >= 0]
    if not found:
        return tuple(pieces), None
    place, stop = min(found)
    return tuple(split_tokens(text[:place])), stop


def _tool_calls(question: Question, directives: Directives, seed: str) -> tuple[ToolCall, ...]:
    wanted = 0
    if question.forced_tool is not None:
        wanted = max(1, directives.tools)
    elif directives.tools and question.tool_result is None:
        # Once a tool has answered, the directive that asked for it has been served.
        if not question.tools:
            raise Refusal(
                400, "Sandbox directive: tools=N needs tools in the request.", code="sandbox_directive_invalid"
            )
        wanted = directives.tools if question.tools_allowed else 0
    if wanted and not question.parallel_tool_calls:
        wanted = 1
    offered = (question.forced_tool,) if question.forced_tool is not None else question.tools
    return tuple(_call(tool, index, seed) for index, tool in enumerate(islice(cycle(offered), wanted)))


def _call(tool: Tool, index: int, seed: str) -> ToolCall:
    arguments = _json_for(tool.parameters, index, f"function '{tool.name}'").decode()
    return ToolCall(
        call_id=f"{seed[:21]}{index:03d}",
        name=tool.name,
        name_tokens=len(split_tokens(tool.name)),
        pieces=tuple(split_tokens(arguments)),
    )


def _json_for(schema: bytes, variant: int, where: str) -> bytes:
    try:
        return value_for(schema, variant)
    except NoValue as problem:
        raise Refusal(
            400, f"Invalid schema for {where}: {problem}.", code="invalid_function_parameters", param="schema"
        ) from None


def _fit(
    calls: tuple[ToolCall, ...], pieces: tuple[str, ...], room: int
) -> tuple[tuple[ToolCall, ...], tuple[str, ...]]:
    """What of the answer has room in `room` tokens."""
    said = pieces[: max(room, 0)]
    room -= len(pieces)
    kept: list[ToolCall] = []
    for call in calls:
        room -= call.name_tokens
        if room < 0:
            break
        kept.append(
            call
            if room >= len(call.pieces)
            else ToolCall(call_id=call.call_id, name=call.name, name_tokens=call.name_tokens, pieces=call.pieces[:room])
        )
        room -= len(call.pieces)
        if room < 0:
            break
    return tuple(kept), said
