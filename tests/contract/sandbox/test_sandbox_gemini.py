"""The sandbox keeps Gemini's rules for turns."""

import aiohttp
import pytest

from libs.sandbox import Sandbox

CALL = {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {}}}]}
RESULT = {"role": "user", "parts": [{"functionResponse": {"name": "look", "response": {"output": "rain"}}}]}
ASKS = {"role": "user", "parts": [{"text": "How is the weather?"}]}
SAYS = {"role": "model", "parts": [{"text": "I will look."}]}


async def answered(*contents: object) -> tuple[int, str]:
    async with Sandbox() as sandbox, aiohttp.ClientSession() as http:
        url = f"{sandbox.url}/gemini/v1beta/models/sandbox-small:generateContent"
        body = {"contents": contents, "tools": [{"functionDeclarations": [{"name": "look"}]}]}
        async with http.post(url, json=body, headers={"x-goog-api-key": "sk-sandbox-x"}) as response:
            return response.status, await response.text()


async def test_a_call_after_the_user_s_turn_or_after_results_is_taken() -> None:
    status, _ = await answered(ASKS, CALL, RESULT, CALL, RESULT)
    assert status == 200


@pytest.mark.parametrize("contents", [(CALL, RESULT), (ASKS, SAYS, CALL, RESULT)])
async def test_a_call_that_nobody_asked_for_is_refused(contents: tuple[object, ...]) -> None:
    status, text = await answered(*contents)
    assert status == 400
    assert "function call turn comes immediately after a user turn" in text
