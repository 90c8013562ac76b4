"""Answers in JSON: what a format is asked for, the provider sees to."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator
from orjson import loads

from services.router.domain.generation import FinishReason, Generation, JsonFormat, JsonSchemaFormat
from tests.live.asking import Asker, not_as_told

_SCHEMA = (
    '{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1,"maximum":30},'
    '"mood":{"type":"string","enum":["calm","wild"]},"stops":{"type":"array","items":{"type":"string"},"maxItems":3}},'
    '"required":["city","days","mood","stops"],"additionalProperties":false}'
)
_REFUSALS = ("response_format", "json", "schema", "format", "structured", "grammar", "mime")


@pytest.mark.live("json", *_REFUSALS)
async def test_json_is_json(asker: Asker) -> None:
    question = asker.said("Give the capital of France and its country as a small JSON object.")
    answer = await asker.ask(Generation(messages=(question,), response_format=JsonFormat()))
    if answer.finish_reason is FinishReason.LENGTH:
        not_as_told(answer)
    assert isinstance(loads(answer.text), dict)


@pytest.mark.live("json-schema", *_REFUSALS)
@pytest.mark.parametrize("strict", [True, False])
async def test_json_fits_its_schema(asker: Asker, strict: bool) -> None:
    wanted = JsonSchemaFormat(name="trip", description="A short trip", schema_json=_SCHEMA, strict=strict)
    question = asker.said("Plan a short trip. Answer in JSON.")
    answer = await asker.ask(Generation(messages=(question,), response_format=wanted))
    if answer.finish_reason is FinishReason.LENGTH:
        not_as_told(answer)
    assert answer.finish_reason is FinishReason.STOP
    Draft202012Validator(loads(_SCHEMA)).validate(loads(answer.text))
