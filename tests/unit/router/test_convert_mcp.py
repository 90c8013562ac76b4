"""Tools and results as MCP servers give them."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from gatehouse.router.v1 import generation_pb2 as pb
from gatehouse.router.v1 import message_pb2 as m
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.core.errors import InvalidArgument
from services.router.api.convert import generation
from services.router.api.mcp import MAX_VALUES
from services.router.domain.generation import Audio, Document, Image, ResultPart, Text, Tool, ToolResult
from tests.steps import steps

DATA = base64.b64encode(b"bytes").decode()
CALL = m.Message(role=m.ROLE_ASSISTANT, parts=[m.Part(tool_call=m.ToolCall(id="c", name="t"))])


def tools(*given_tools: m.Tool) -> tuple[Tool, ...]:
    user = m.Message(role=m.ROLE_USER, parts=[m.Part(text="hi")])
    return generation(pb.Generation(messages=[user], tools=given_tools)).tools


def tool(listed: object) -> Tool:
    (only,) = tools(m.Tool(mcp_json=orjson.dumps(listed).decode()))
    return only


def result(text: str, *, is_error: bool = False) -> ToolResult:
    part = m.Part(tool_result=m.ToolResult(tool_call_id="c", mcp_json=text, is_error=is_error))
    message = m.Message(role=m.ROLE_TOOL, parts=[part])
    (only,) = generation(pb.Generation(messages=[CALL, message])).messages[1].parts
    assert isinstance(only, ToolResult)
    return only


def answer(*content: object, **fields: object) -> ToolResult:
    return result(orjson.dumps({"content": content, **fields}).decode())


def refusal(work: Any, *arguments: object) -> str:
    with pytest.raises(InvalidArgument) as refused:
        work(*arguments)
    (violation,) = refused.value.field_violations
    assert violation.field in {"generation.tools[0].mcp_json", "generation.messages[1].parts[0].tool_result.mcp_json"}
    return violation.description


def test_a_tool_is_taken_as_a_server_lists_it() -> None:
    listed = {
        "name": "get_weather",
        "title": "Weather",
        "description": "Tells the weather.",
        "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "outputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True},
        "icons": [],
        "_meta": {"x": 1},
    }
    assert tool(listed) == Tool(
        name="get_weather",
        description="Tells the weather.",
        parameters_json='{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
    )


def test_a_tool_can_do_without_description_and_arguments() -> None:
    assert tool({"name": "ping"}) == Tool(name="ping", description="", parameters_json="")
    assert tool({"name": "ping", "description": None, "inputSchema": None}).parameters_json == ""


@pytest.mark.parametrize(
    ("listed", "wrong"),
    [
        ([], "must be a JSON object"),
        ({}, "name must be a string"),
        ({"name": 3}, "name must be a string"),
        ({"name": "admin.reset"}, "name must be 1 to 64 characters"),
        ({"name": "t", "description": 3}, "description must be a string"),
        ({"name": "t", "description": "x" * 8193}, "must have at most 8192 characters"),
        ({"name": "t", "inputSchema": []}, "inputSchema must be an object"),
        ({"name": "t", "inputSchema": {"type": "array"}}, 'must describe an object ("type": "object")'),
        ({"name": "t", "inputSchema": {"type": 3}}, "is not a valid JSON Schema"),
    ],
)
def test_a_tool_that_is_none_is_refused(listed: object, wrong: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        tool(listed)
    violations = refused.value.field_violations
    assert {each.field for each in violations} == {"generation.tools[0].mcp_json"}
    assert violations[0].description.startswith(wrong)


def test_a_tool_has_one_description_only_and_a_name_of_its_own() -> None:
    listed = '{"name":"t"}'
    both = m.Tool(mcp_json=listed, name="t", description="d", parameters_schema_json="{}")
    with pytest.raises(InvalidArgument) as refused:
        tools(both, m.Tool(mcp_json=listed))
    assert [each.field.partition("].")[2] for each in refused.value.field_violations] == [
        "name",
        "description",
        "parameters_schema_json",
        "mcp_json",
    ]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"type": "text", "text": "42", "annotations": {"audience": ["user"]}}, Text("42")),
        ({"type": "image", "data": DATA, "mimeType": "image/png"}, Image(data=b"bytes", media_type="image/png")),
        ({"type": "image", "data": DATA, "mimeType": "image/jpg"}, Image(data=b"bytes", media_type="image/jpeg")),
        ({"type": "audio", "data": DATA, "mimeType": "audio/x-wav"}, Audio(data=b"bytes", media_type="audio/wav")),
        (
            {"type": "audio", "data": DATA, "mimeType": "Audio/OGG; codecs=opus"},
            Audio(data=b"bytes", media_type="audio/ogg"),
        ),
        (
            {"type": "image", "data": DATA, "mimeType": "image/tiff"},
            Text("[5 bytes of 'image/tiff' were left out here.]"),
        ),
        ({"type": "resource", "resource": {"uri": "file:///a.txt", "text": "said"}}, Text("said")),
        (
            {
                "type": "resource",
                "resource": {"uri": "file:///d/a.pdf", "blob": DATA, "mimeType": "application/pdf"},
            },
            Document(data=b"bytes", media_type="application/pdf", name="a.pdf"),
        ),
        (
            {"type": "resource", "resource": {"uri": "file:///a.txt", "blob": DATA, "mimeType": "text/plain"}},
            Document(data=b"bytes", media_type="text/plain", name="a.txt"),
        ),
        (
            {"type": "resource", "resource": {"uri": "file:///a.png", "blob": DATA, "mimeType": "image/png"}},
            Image(data=b"bytes", media_type="image/png"),
        ),
        (
            {"type": "resource", "resource": {"uri": "file:///a.bin", "blob": DATA}},
            Text("[5 bytes of 'application/octet-stream' were left out here.]"),
        ),
        (
            {"type": "resource_link", "uri": "file:///a.rs", "name": "a.rs", "description": "Entry point"},
            Text("[A resource: file:///a.rs (a.rs, Entry point)]"),
        ),
        ({"type": "resource_link", "uri": "file:///a.rs"}, Text("[A resource: file:///a.rs]")),
    ],
)
def test_every_kind_of_content_is_taken(content: object, part: ResultPart) -> None:
    assert answer(content) == ToolResult(tool_call_id="c", name="t", parts=(part,))


def test_content_keeps_its_order_and_no_empty_text() -> None:
    parts = answer(
        {"type": "text", "text": "a"},
        {"type": "text", "text": ""},
        {"type": "image", "data": DATA, "mimeType": "image/png"},
        {"type": "text", "text": "b"},
    ).parts
    assert parts == (Text("a"), Image(data=b"bytes", media_type="image/png"), Text("b"))


def test_structured_content_is_taken_where_there_is_no_other() -> None:
    assert answer(structuredContent={"degrees": 21.5}).parts == (Text('{"degrees":21.5}'),)
    assert result('{"structuredContent":{"a":1}}').parts == (Text('{"a":1}'),)
    both = answer({"type": "text", "text": "warm"}, structuredContent={"degrees": 21.5})
    assert both.parts == (Text("warm"),)
    assert answer().parts == ()


def test_a_failure_is_one_whoever_says_so() -> None:
    assert answer({"type": "text", "text": "no"}, isError=True).is_error
    assert not answer({"type": "text", "text": "yes"}, isError=False).is_error
    assert result('{"content":[]}', is_error=True).is_error


DEEP = 300


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("no json", "is not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"jsonrpc":"2.0","id":1,"result":{"content":[]}}', "must be the `result` of tools/call"),
        ('{"content":{}}', "content must be a list"),
        ('{"content":[],"isError":"no"}', "isError must be true or false"),
        ('{"content":[3]}', "content[0] must be an object"),
        ('{"content":[{}]}', "content[0].type must be"),
        ('{"content":[{"type":"tool_use"}]}', "content[0].type must be"),
        ('{"content":[{"type":["text"]}]}', "content[0].type must be"),
        ('{"content":[{"type":"text"}]}', "content[0].text must be a string"),
        ('{"content":[{"type":"text","text":{}}]}', "content[0].text must be a string"),
        ('{"content":[{"type":"image","data":"!","mimeType":"image/png"}]}', "content[0].data is not valid base64"),
        ('{"content":[{"type":"image","data":"","mimeType":"image/png"}]}', "content[0].data must have 1 to"),
        ('{"content":[{"type":"image","data":3,"mimeType":"image/png"}]}', "content[0].data must be a string"),
        ('{"content":[{"type":"image","data":"eA=="}]}', "content[0].data: mimeType must be a string"),
        ('{"content":[{"type":"resource"}]}', "content[0].resource must be an object"),
        ('{"content":[{"type":"resource","resource":{}}]}', "content[0].resource.text must be a string"),
        ('{"content":[{"type":"resource","resource":{"blob":"?"}}]}', "content[0].resource.blob is not valid base64"),
        ('{"content":[{"type":"resource_link"}]}', "content[0].uri must be a string"),
        ('{"structuredContent":' + "[" * DEEP + "]" * DEEP + "}", "structuredContent is nested too deeply"),
        ('{"content":' + "[" * 5000 + "]" * 5000 + "}", "is not valid JSON"),
        ('{"content":[' + ",".join(["0"] * 1025) + "]}", "content must have at most 1024 entries"),
    ],
)
def test_a_result_that_is_none_is_refused_and_the_place_is_named(text: str, wrong: str) -> None:
    assert refusal(result, text).startswith(wrong)


def test_a_schema_that_is_nested_too_deeply_is_refused() -> None:
    schema = '{"not":' * DEEP + "{}" + "}" * DEEP
    text = f'{{"name":"t","inputSchema":{schema}}}'
    assert "nested too deeply" in refusal(tools, m.Tool(mcp_json=text))


KEYS = [
    *("content", "structuredContent", "isError", "type", "text", "data", "mimeType", "resource", "uri", "blob"),
    *("name", "title", "description", "inputSchema"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner | st.sampled_from(["text", "image", "audio", "resource", "resource_link", "image/png", DATA]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(JSON | JSON.map(lambda value: {"content": [value]}))
def test_whatever_json_a_server_sends_is_taken_or_refused(value: object) -> None:
    text = orjson.dumps(value).decode()
    for work in (lambda: result(text), lambda: tools(m.Tool(mcp_json=text))):
        try:
            work()
        except InvalidArgument as refused:
            assert all(each.field.endswith("mcp_json") for each in refused.field_violations)  # noqa: PT017


@pytest.mark.parametrize(
    "text",
    [
        '{"content":[],"structuredContent":[' + "[]," * MAX_VALUES + "[]]}",
        '{"content":[{"type":"text","text":"a"}],"_meta":[' + "{}," * MAX_VALUES + "{}]}",
        # Neither are the strings looked for over and over again, nor believed to end.
        '{"content":[' + "[]," * MAX_VALUES + '"' + '\\"' * MAX_VALUES,
    ],
    ids=["content", "elsewhere", "cut"],
)
def test_more_values_than_memory_is_for_are_refused_unread(text: str) -> None:
    def refused() -> None:
        assert refusal(result, text) == f"must have at most {MAX_VALUES} values"

    # The JSON is not even read, value by value.
    assert steps(refused) < MAX_VALUES // 10


def test_what_stands_in_texts_are_no_values() -> None:
    rows = 'a,"b",[c]\\\n' * 150_000
    assert answer({"type": "text", "text": rows}).parts == (Text(rows),)


def test_bytes_in_several_pieces_come_whole() -> None:
    data = bytes(range(256)) * 30_000
    encoded = base64.b64encode(data).decode()
    image = {"type": "image", "mimeType": "image/png"}
    assert answer({**image, "data": encoded}).parts == (Image(data=data, media_type="image/png"),)
    padded = "A" * (4 * 1024 * 1024 - 2) + "==" + "AAAA"
    assert refusal(result, orjson.dumps({"content": [{**image, "data": padded}]}).decode()).endswith(
        "is not valid base64"
    )
