from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import pytest
from gatehouse.router.v1 import generation_pb2 as pb
from gatehouse.router.v1 import message_pb2

from libs.core.errors import InvalidArgument
from services.router.api.convert import generation
from services.router.domain.generation import NamedTool, Role, Text, ToolChoiceMode

TEXT = message_pb2.Part(text="hello")
USER = message_pb2.Message(role=message_pb2.ROLE_USER, parts=[TEXT])

UNKNOWN_ROLE = cast(message_pb2.Role.ValueType, 99)


def valid() -> pb.Generation:
    return pb.Generation(messages=[USER])


def wrong_fields(message: pb.Generation) -> list[str]:
    with pytest.raises(InvalidArgument) as refused:
        generation(message)
    return [each.field for each in refused.value.field_violations]


def test_a_plain_question_converts() -> None:
    converted = generation(valid())
    assert [(each.role, each.parts) for each in converted.messages] == [(Role.USER, (Text("hello"),))]
    assert (converted.temperature, converted.max_output_tokens, converted.fallback) == (None, None, True)


def test_naming_a_provider_or_model_turns_fallback_off_unless_asked_for() -> None:
    assert not generation(pb.Generation(messages=[USER], model="m")).fallback
    wanted = pb.Generation(messages=[USER], model="m", fallback=pb.FALLBACK_POLICY_ANY)
    assert generation(wanted).fallback


def test_zero_and_unset_are_told_apart() -> None:
    converted = generation(pb.Generation(messages=[USER], temperature=0, seed=0, parallel_tool_calls=False))
    assert (converted.temperature, converted.seed, converted.parallel_tool_calls) == (0.0, 0, False)


def _message(role: message_pb2.Role.ValueType, *parts: message_pb2.Part) -> Callable[[pb.Generation], None]:
    def change(message: pb.Generation) -> None:
        del message.messages[:]
        message.messages.add(role=role, parts=parts)

    return change


def _tool(**fields: object) -> Callable[[pb.Generation], None]:
    return lambda message: message.tools.extend([message_pb2.Tool(**{"name": "t", **fields})])  # type: ignore[arg-type]


def _set(**fields: object) -> Callable[[pb.Generation], None]:
    return lambda message: message.MergeFrom(pb.Generation(**fields))  # type: ignore[arg-type]


CALL = message_pb2.ToolCall(id="c", name="t", arguments_json="{}")
RESULT = message_pb2.ToolResult(tool_call_id="c", content="42")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda message: message.ClearField("messages"), "generation.messages"),
        (_message(message_pb2.ROLE_UNSPECIFIED, TEXT), "generation.messages[0].role"),
        (_message(UNKNOWN_ROLE, TEXT), "generation.messages[0].role"),
        (_message(message_pb2.ROLE_USER), "generation.messages[0].parts"),
        (_message(message_pb2.ROLE_USER, message_pb2.Part(text="")), "generation.messages[0].parts[0].text"),
        (
            _message(message_pb2.ROLE_USER, message_pb2.Part(text="x" * 4_000_001)),
            "generation.messages[0].parts[0].text",
        ),
        (_message(message_pb2.ROLE_USER, message_pb2.Part()), "generation.messages[0].parts[0]"),
        (
            _message(message_pb2.ROLE_USER, message_pb2.Part(tool_call=CALL)),
            "generation.messages[0].parts[0].tool_call",
        ),
        (
            _message(message_pb2.ROLE_SYSTEM, message_pb2.Part(image=message_pb2.Image(url="https://x"))),
            "generation.messages[0].parts[0].image",
        ),
        (_message(message_pb2.ROLE_TOOL, TEXT), "generation.messages[0].parts[0].text"),
        (
            _message(message_pb2.ROLE_USER, message_pb2.Part(image=message_pb2.Image(url="http://x"))),
            "generation.messages[0].parts[0].image.url",
        ),
        (
            _message(
                message_pb2.ROLE_USER, message_pb2.Part(image=message_pb2.Image(data=b"x", media_type="image/svg"))
            ),
            "generation.messages[0].parts[0].image.media_type",
        ),
        (
            _message(
                message_pb2.ROLE_ASSISTANT,
                message_pb2.Part(tool_call=message_pb2.ToolCall(id="c", name="t", arguments_json="[1]")),
            ),
            "generation.messages[0].parts[0].tool_call.arguments_json",
        ),
        (
            _message(message_pb2.ROLE_TOOL, message_pb2.Part(tool_result=message_pb2.ToolResult(content="42"))),
            "generation.messages[0].parts[0].tool_result.tool_call_id",
        ),
        (_set(provider="x" * 513), "generation.provider"),
        (_set(fallback=9), "generation.fallback"),
        (_tool(name="no spaces"), "generation.tools[0].name"),
        (_tool(parameters_schema_json="{"), "generation.tools[0].parameters_schema_json"),
        (_tool(parameters_schema_json="[]"), "generation.tools[0].parameters_schema_json"),
        (_tool(parameters_schema_json='{"type": 3}'), "generation.tools[0].parameters_schema_json"),
        (_tool(parameters_schema_json='{"type": "array"}'), "generation.tools[0].parameters_schema_json"),
        (_set(tool_choice=message_pb2.ToolChoice(tool="absent")), "generation.tool_choice.tool"),
        (
            _set(tool_choice=message_pb2.ToolChoice(mode=message_pb2.TOOL_CHOICE_MODE_UNSPECIFIED)),
            "generation.tool_choice.mode",
        ),
        (
            _set(tool_choice=message_pb2.ToolChoice(mode=message_pb2.TOOL_CHOICE_MODE_REQUIRED)),
            "generation.tool_choice.mode",
        ),
        (_set(tool_choice=message_pb2.ToolChoice()), "generation.tool_choice"),
        (_set(response_format=message_pb2.ResponseFormat()), "generation.response_format"),
        (
            _set(
                response_format=message_pb2.ResponseFormat(
                    json_schema=message_pb2.JsonSchemaFormat(name="s", schema_json='{"type": "nope"}')
                )
            ),
            "generation.response_format.json_schema.schema_json",
        ),
        (_set(max_output_tokens=0), "generation.max_output_tokens"),
        (_set(max_output_tokens=-5), "generation.max_output_tokens"),
        (_set(temperature=2.1), "generation.temperature"),
        (_set(temperature=math.nan), "generation.temperature"),
        (_set(top_p=0), "generation.top_p"),
        (_set(top_p=math.inf), "generation.top_p"),
        (_set(stop=["a"] * 5), "generation.stop"),
        (_set(stop=[""]), "generation.stop[0]"),
        (_set(task="No Id"), "generation.task"),
        (_set(labels={"Bad": "x"}), "generation.labels['Bad']"),
        (_set(labels={f"k{n}": "x" for n in range(17)}), "generation.labels"),
        (_set(request_id="not-a-uuid"), "generation.request_id"),
        (_set(session="s" * 129), "generation.session"),
        (_set(session="tab\there"), "generation.session"),
    ],
)
def test_a_wrong_field_is_named(change: Callable[[pb.Generation], None], field: str) -> None:
    message = valid()
    change(message)
    assert field in wrong_fields(message)


def test_a_session_of_128_printable_characters_converts() -> None:
    assert generation(pb.Generation(messages=[USER], session="é" * 128)).session == "é" * 128


def test_all_wrong_fields_are_named_at_once() -> None:
    assert set(wrong_fields(pb.Generation(temperature=9, top_p=9))) == {
        "generation.messages",
        "generation.temperature",
        "generation.top_p",
    }


def test_tools_and_their_choice_convert() -> None:
    message = valid()
    message.tools.add(name="get_weather", parameters_schema_json='{"type": "object"}')
    message.tool_choice.tool = "get_weather"
    assert generation(message).tool_choice == NamedTool("get_weather")
    message.tool_choice.mode = message_pb2.TOOL_CHOICE_MODE_REQUIRED
    assert generation(message).tool_choice is ToolChoiceMode.REQUIRED


def test_two_tools_of_one_name_are_refused() -> None:
    message = valid()
    for _ in range(2):
        message.tools.add(name="same")
    assert wrong_fields(message) == ["generation.tools[1].name"]


def test_a_conversation_with_tool_calls_and_parallel_results_converts() -> None:
    message = valid()
    message.messages.add(role=message_pb2.ROLE_ASSISTANT, parts=[message_pb2.Part(tool_call=CALL)] * 2)
    message.messages.add(role=message_pb2.ROLE_TOOL, parts=[message_pb2.Part(tool_result=RESULT)] * 2)
    assert [len(each.parts) for each in generation(message).messages] == [1, 2, 2]
