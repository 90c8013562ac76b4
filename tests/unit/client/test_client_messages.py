from __future__ import annotations

from pathlib import Path

import pytest
from gatehouse import assistant, image, json_schema, system, tool, tool_result, user
from gatehouse.router.v1.message_pb2 import (
    ROLE_ASSISTANT,
    ROLE_SYSTEM,
    ROLE_TOOL,
    ROLE_USER,
    Message,
    Part,
    ToolCall,
    ToolResult,
)

PNG = b"\x89PNG\r\n\x1a\n..."


def test_each_role_has_its_helper() -> None:
    assert system("a") == Message(role=ROLE_SYSTEM, parts=[Part(text="a")])
    assert assistant("a") == Message(role=ROLE_ASSISTANT, parts=[Part(text="a")])
    assert user("a", "b") == Message(role=ROLE_USER, parts=[Part(text="a"), Part(text="b")])


def test_a_tool_result_answers_a_call() -> None:
    expected = Part(tool_result=ToolResult(tool_call_id="c1", content='{"hour": 7}'))
    assert tool_result(ToolCall(id="c1"), {"hour": 7}) == Message(role=ROLE_TOOL, parts=[expected])
    failed = tool_result("c1", "no clock", is_error=True).parts[0].tool_result
    assert (failed.content, failed.is_error) == ("no clock", True)


def test_a_tool_takes_a_schema_in_either_form() -> None:
    assert tool("clock").parameters_schema_json == ""
    assert tool("clock", "tells", {"type": "object"}).parameters_schema_json == '{"type": "object"}'
    assert tool("clock", parameters='{"a":1}').parameters_schema_json == '{"a":1}'
    assert json_schema("shape", {"type": "object"}, strict=False).json_schema.strict is False


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8", "image/webp"),
    ],
)
def test_the_type_of_an_image_is_recognised(tmp_path: Path, data: bytes, media_type: str) -> None:
    file = tmp_path / "picture"
    file.write_bytes(data)
    assert image(data).image.media_type == media_type
    assert (image(file).image.data, image(str(file)).image.media_type) == (data, media_type)


def test_an_image_can_be_a_url_or_of_a_said_type() -> None:
    assert image("https://example.com/cat.png").image.url == "https://example.com/cat.png"
    assert image(b"??", media_type="image/png").image.media_type == "image/png"
    with pytest.raises(ValueError, match="media_type"):
        image(b"??")
    assert user("What is this?", image(PNG)).parts[1].image.data == PNG
