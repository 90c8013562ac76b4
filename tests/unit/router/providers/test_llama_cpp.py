"""What llama.cpp's server does that no other does, as it was recorded from one."""

from __future__ import annotations

import pytest

from services.router.domain.errors import Reason
from services.router.domain.generation import FinishReason, Generation, Message, Reasoning, Role, Text
from services.router.providers.registry import DIALECTS
from tests.contract.dialects.folding import folded

COMPATIBLE = DIALECTS["openai_compatible"]
HELLO = Generation(messages=(Message(Role.USER, (Text("Hello"),)),))


@pytest.mark.parametrize(
    ("status", "body", "reason", "said"),
    [
        (
            500,
            (
                b'{"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may '
                b'need to provide the mmproj","type":"server_error"}}'
            ),
            Reason.PROVIDER_INVALID_REQUEST,
            "image input is not supported",
        ),
        (
            501,
            (
                b'{"error":{"code":501,"message":"This server does not support embeddings. Start it with `--embeddings`'
                b'","type":"not_supported_error"}}'
            ),
            Reason.PROVIDER_INVALID_REQUEST,
            "does not support embeddings",
        ),
        (
            400,
            (
                b'{"error":{"code":400,"message":"request (9019 tokens) exceeds the available context size (8192 '
                b'tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9019,"n_ctx":8192}}'
            ),
            Reason.CONTEXT_TOO_LONG,
            "9019 tokens",
        ),
        (
            500,
            b'{"error":{"code":500,"message":"the model ran out of luck","type":"server_error"}}',
            Reason.PROVIDER_ERROR,
            "",
        ),
    ],
)
def test_what_the_server_cannot_do_is_the_requests_fault(status: int, body: bytes, reason: Reason, said: str) -> None:
    error = COMPATIBLE.classify(status, {}, body)
    assert error.reason is reason
    assert said in error.message


@pytest.mark.parametrize(
    ("server", "stream", "closes"),
    [("llama_cpp", True, True), ("llama_cpp", False, False), ("vllm", True, False), ("other", True, False)],
)
def test_only_its_streams_have_connections_of_their_own(server: str, stream: bool, closes: bool) -> None:
    encoded = COMPATIBLE.encode(HELLO, provider_model_id="m", output_limit=9, stream=stream, options={"server": server})
    assert (encoded.headers.get("Connection") == "close") is closes


def test_blocks_of_its_messages_api_end_all_at_once_with_an_empty_signature() -> None:
    stream = (
        (
            b'{"type":"message_start","message":{"id":"chatcmpl-1","type":"message","role":"assistant","content":[],'
            b'"model":"babble","stop_reason":null,"stop_sequence":null,'
            b'"usage":{"cache_read_input_tokens":1,"input_tokens":20,"output_tokens":0}}}'
        ),
        b'{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}}',
        b'{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"HM"}}',
        b'{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}',
        b'{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"so."}}',
        b'{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":""}}',
        b'{"type":"content_block_stop","index":0}',
        b'{"type":"content_block_stop","index":1}',
        b'{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":27}}',
        b'{"type":"message_stop"}',
    )
    encoded = DIALECTS["anthropic"].encode(HELLO, provider_model_id="m", output_limit=9, stream=True)
    decoder = encoded.answers.stream_decoder()
    answer = folded([event for data in stream for event in decoder.feed(data)])
    assert answer.parts == (Reasoning("HM"), Text("so."))
    assert answer.finish_reason is FinishReason.STOP
    assert answer.usage is not None
    assert answer.usage.total == 48
