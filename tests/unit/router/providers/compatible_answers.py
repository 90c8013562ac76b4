"""An answer of each server as it sends it, and what it is."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from libs.core.money import TokenCounts
from services.router.domain.generation import (
    AnswerPart,
    FinishReason,
    Reasoning,
    Signature,
    Text,
    ToolCall,
)
from tests.unit.router.providers.compatible_wire import call, chunk, usage, whole


@dataclass(frozen=True, kw_only=True)
class Fixture:
    """An answer as this server sends it, whole and streamed, and what it is."""

    server: str
    whole: dict[str, Any]
    chunks: list[dict[str, Any]]
    parts: tuple[AnswerPart, ...]
    usage: TokenCounts
    finish: FinishReason = FinishReason.STOP
    raw: str = "stop"
    done: bool = field(default=True)


LOOKED = ToolCall(id="t1", name="look", arguments_json='{"x":1}')
DETAILS = [
    {"type": "reasoning.text", "text": "Hmm.", "format": "anthropic-claude-v1", "index": 0, "signature": "sig"},
    {"type": "reasoning.encrypted", "data": "gAAA", "format": "openai-responses-v1", "index": 1, "id": "rs_1"},
]
FIXTURES = [
    Fixture(
        server="vllm",
        whole=whole(
            "stop",
            usage(9, 5, prompt_tokens_details=None),
            content="Yes.",
            reasoning="Hmm.",
            tool_calls=[],
            refusal=None,
            function_call=None,
        ),
        chunks=[
            chunk(role="assistant", content="") | {"usage": usage(9, 0)},
            chunk(reasoning="Hmm.") | {"usage": usage(9, 2)},
            chunk(content="Yes.") | {"usage": usage(9, 4)},
            chunk("stop", content="") | {"usage": usage(9, 5)},
            {"id": "c1", "choices": [], "usage": usage(9, 5)},
        ],
        parts=(Reasoning("Hmm."), Text("Yes.")),
        usage=TokenCounts(input_tokens=9, output_tokens=5),
    ),
    Fixture(
        server="llama_cpp",
        whole={
            **whole("tool_calls", usage(9, 5), content=None, reasoning_content="Hmm.", tool_calls=[call('{"x":1}')]),
            "timings": {"prompt_n": 9, "predicted_n": 5},
        },
        chunks=[
            chunk(role="assistant", content=None),
            chunk(reasoning_content="Hmm."),
            chunk(tool_calls=[call("{", index=0)]),
            chunk(tool_calls=[{"index": 0, "function": {"arguments": '"x":1}'}}]),
            chunk("tool_calls"),
            {"choices": [], "usage": usage(9, 5), "timings": {"prompt_n": 9}},
        ],
        parts=(Reasoning("Hmm."), LOOKED),
        usage=TokenCounts(input_tokens=9, output_tokens=5),
        finish=FinishReason.TOOL_CALLS,
        raw="tool_calls",
    ),
    Fixture(
        server="lm_studio",
        whole=whole("tool_calls", usage(9, 5), content="", tool_calls=[call('{"x":1}')]) | {"stats": {}},
        chunks=[
            chunk(role="assistant", tool_calls=[call("", index=0)]),
            chunk(tool_calls=[{"index": 0, "type": "function", "function": {"name": "", "arguments": '{"x":1}'}}]),
            chunk("tool_calls"),
            {"choices": [], "usage": usage(9, 5)},
        ],
        parts=(LOOKED,),
        usage=TokenCounts(input_tokens=9, output_tokens=5),
        finish=FinishReason.TOOL_CALLS,
        raw="tool_calls",
    ),
    Fixture(
        server="groq",
        whole=whole(
            "stop",
            usage(9, 5, queue_time=0.1, completion_tokens_details={"reasoning_tokens": 2}),
            content="Yes.",
            reasoning="Hmm.",
        )
        | {"x_groq": {"id": "req_1"}, "service_tier": "on_demand"},
        chunks=[
            chunk(role="assistant", content="") | {"x_groq": {"id": "req_1"}},
            chunk(reasoning="Hmm.", channel="analysis"),
            chunk(content="Yes."),
            chunk("stop")
            | {
                "x_groq": {
                    "id": "req_1",
                    "usage": usage(9, 5, queue_time=0.1, completion_tokens_details={"reasoning_tokens": 2}),
                }
            },
        ],
        parts=(Reasoning("Hmm."), Text("Yes.")),
        usage=TokenCounts(input_tokens=9, output_tokens=3, reasoning_tokens=2),
    ),
    Fixture(
        server="mistral",
        whole=whole(
            "model_length",
            usage(9, 5, num_cached_tokens=4),
            content=[
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hmm."}], "closed": True},
                {"type": "text", "text": "Yes."},
            ],
            tool_calls=None,
        ),
        chunks=[
            chunk(role="assistant", content=""),
            chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}]),
            chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "m."}]}]),
            chunk(content="Yes."),
            chunk("model_length", content="") | {"usage": usage(9, 5, num_cached_tokens=4)},
        ],
        parts=(Reasoning("Hmm."), Text("Yes.")),
        usage=TokenCounts(input_tokens=5, cache_read_tokens=4, output_tokens=5),
        finish=FinishReason.LENGTH,
        raw="model_length",
    ),
    Fixture(
        server="deepseek",
        whole=whole(
            "tool_calls",
            usage(
                9,
                5,
                prompt_cache_hit_tokens=4,
                prompt_cache_miss_tokens=5,
                completion_tokens_details={"reasoning_tokens": 2},
            ),
            content="",
            reasoning_content="Hmm.",
            tool_calls=[call('{"x":1}', index=0)],
        ),
        chunks=[
            chunk(role="assistant", content=None, reasoning_content=""),
            chunk(content=None, reasoning_content="Hm"),
            chunk(content=None, reasoning_content="m."),
            chunk(tool_calls=[call("", index=0)]),
            chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"x":1}'}}]),
            chunk("tool_calls", content="", reasoning_content=None)
            | {
                "usage": usage(
                    9,
                    5,
                    prompt_tokens_details={"cached_tokens": 4},
                    completion_tokens_details={"reasoning_tokens": 2},
                )
            },
        ],
        parts=(Reasoning("Hmm."), LOOKED, Reasoning("", Signature(b"Hmm."))),
        usage=TokenCounts(input_tokens=5, cache_read_tokens=4, output_tokens=3, reasoning_tokens=2),
        finish=FinishReason.TOOL_CALLS,
        raw="tool_calls",
    ),
    Fixture(
        server="xai",
        whole=whole(
            "stop",
            {
                "prompt_tokens": 9,
                "completion_tokens": 3,
                "total_tokens": 14,
                "prompt_tokens_details": {"text_tokens": 9, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
                "num_sources_used": 0,
            },
            content="Yes.",
            reasoning_content="Hmm.",
            refusal=None,
        ),
        chunks=[
            # It reports a running total with every chunk.
            chunk(role="assistant", reasoning_content="Hmm.")
            | {"usage": {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 11}},
            chunk(role="assistant", content="Yes.")
            | {"usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 12}},
            chunk("stop", content="", role="assistant"),
            {
                "choices": [],
                "usage": {
                    "prompt_tokens": 9,
                    "completion_tokens": 3,
                    "total_tokens": 14,
                    "prompt_tokens_details": {"cached_tokens": 4},
                    "completion_tokens_details": {"reasoning_tokens": 2},
                },
            },
        ],
        parts=(Reasoning("Hmm."), Text("Yes.")),
        usage=TokenCounts(input_tokens=5, cache_read_tokens=4, output_tokens=3, reasoning_tokens=2),
    ),
    Fixture(
        server="together",
        whole=whole("eos", usage(9, 5, cached_tokens=4), content="Yes.", reasoning="Hmm.", tool_calls=[])
        | {"prompt": []},
        chunks=[
            chunk(role="assistant", content="", reasoning="Hmm.", token_id=1),
            chunk(role="assistant", content="Yes.", token_id=2),
            chunk("eos", content="") | {"usage": usage(9, 5, cached_tokens=4)},
        ],
        parts=(Reasoning("Hmm."), Text("Yes.")),
        usage=TokenCounts(input_tokens=5, cache_read_tokens=4, output_tokens=5),
        raw="eos",
    ),
    Fixture(
        server="openrouter",
        whole=whole(
            "tool_calls",
            usage(
                9,
                5,
                cost=0.01,
                prompt_tokens_details={"cached_tokens": 4, "cache_write_tokens": 3},
                completion_tokens_details={"reasoning_tokens": 2},
            ),
            content="",
            reasoning="Hmm.",
            reasoning_details=DETAILS,
            tool_calls=[call('{"x":1}', index=0)],
        ),
        chunks=[
            chunk(role="assistant", content="", reasoning="H", reasoning_details=[DETAILS[0] | {"text": "H"}]),
            chunk(
                role="assistant",
                content="",
                reasoning="mm.",
                reasoning_details=[{"type": "reasoning.text", "text": "mm.", "index": 0, "signature": None}],
            ),
            chunk(role="assistant", content="", reasoning=None, reasoning_details=[DETAILS[1]]),
            chunk(role="assistant", content=None, tool_calls=[call('{"x":1}', index=0)]),
            chunk("tool_calls", role="assistant", content=""),
            {
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
                "usage": usage(
                    9,
                    5,
                    prompt_tokens_details={"cached_tokens": 4, "cache_write_tokens": 3},
                    completion_tokens_details={"reasoning_tokens": 2},
                ),
            },
        ],
        parts=(Reasoning("Hmm."), LOOKED, Reasoning("", Signature(orjson.dumps(DETAILS)))),
        usage=TokenCounts(
            input_tokens=2, cache_read_tokens=4, cache_write_tokens=3, output_tokens=3, reasoning_tokens=2
        ),
        finish=FinishReason.TOOL_CALLS,
        raw="tool_calls",
    ),
    Fixture(
        server="other",
        whole=whole("stop", usage(9, 5), content="Yes."),
        chunks=[chunk(content="Yes."), chunk("stop") | {"usage": usage(9, 5)}],
        parts=(Text("Yes."),),
        usage=TokenCounts(input_tokens=9, output_tokens=5),
        # Some end without the mark.
        done=False,
    ),
]
