from __future__ import annotations

import json
from typing import Any

import pytest
from gatehouse import image, mcp_tool_result, mcp_tools, text, tool, tool_result
from gatehouse.router.v1.message_pb2 import ROLE_TOOL, Part, ToolCall, ToolResult, ToolResultPart

PNG = b"\x89PNG\r\n\x1a\n..."
CLOCK = {"name": "clock", "description": "tells", "inputSchema": {"type": "object"}, "annotations": {"title": "é"}}


class Listed:
    """As the MCP SDK's objects are."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def model_dump(self, *, mode: str, by_alias: bool, exclude_none: bool) -> dict[str, Any]:
        assert (mode, by_alias, exclude_none) == ("json", True, True)
        return self._fields


@pytest.mark.parametrize(
    "listed",
    [
        {"tools": [CLOCK]},
        {"jsonrpc": "2.0", "id": 1, "result": {"tools": [CLOCK], "nextCursor": "x"}},
        [CLOCK],
        CLOCK,
        json.dumps({"tools": [CLOCK]}),
        Listed(tools=[CLOCK]),
        [Listed(**CLOCK)],
        Listed(**CLOCK),
    ],
)
def test_tools_of_an_mcp_server_are_taken_as_they_are(listed: object) -> None:
    (found,) = mcp_tools(listed)
    assert json.loads(found.mcp_json) == CLOCK
    assert (found.name, found.parameters_schema_json) == ("", "")
    assert "é" in found.mcp_json


@pytest.mark.parametrize("listed", [{"error": {"code": 1}}, "[1]", "nonsense", {"tools": [{"name": "x"}]}, 7])
def test_what_is_no_list_of_tools_is_refused(listed: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of JSON or of ours
        mcp_tools(listed)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError, match="no object of the MCP SDK"):
        mcp_tools(object())


def test_no_tools_are_no_tools() -> None:
    assert mcp_tools({"tools": []}) == []


@pytest.mark.parametrize("result", [{"content": []}, '{"content": []}', Listed(content=[])])
def test_a_result_of_an_mcp_server_is_taken_as_it_is(result: object) -> None:
    message = mcp_tool_result(ToolCall(id="c1"), result)
    assert message.role == ROLE_TOOL
    assert message.parts[0].tool_result == ToolResult(tool_call_id="c1", mcp_json='{"content": []}')


def test_a_tool_answers_with_texts_and_media_in_order() -> None:
    picture = image(PNG)
    result = tool_result("c1", ["see", picture, text("there")]).parts[0].tool_result
    assert result == ToolResult(
        tool_call_id="c1",
        parts=[ToolResultPart(text="see"), ToolResultPart(image=picture.image), ToolResultPart(text="there")],
    )
    assert tool_result("c1", picture).parts[0].tool_result.parts[0].image.data == PNG


def test_lists_of_anything_else_are_json() -> None:
    assert tool_result("c1", ["a", "b"]).parts[0].tool_result.content == '["a", "b"]'
    assert tool_result("c1", []).parts[0].tool_result.content == "[]"


def test_a_tool_cannot_answer_with_calls_of_tools() -> None:
    with pytest.raises(ValueError, match="tool_call"):
        tool_result("c1", Part(tool_call=ToolCall(id="x")))
    with pytest.raises(TypeError):
        tool_result("c1", [image(PNG), 7])


def test_the_prompt_cache_may_end_after_a_tool() -> None:
    assert tool("clock", cache=True).cache_breakpoint
    assert not tool("clock").cache_breakpoint
