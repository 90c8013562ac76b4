"""Ollama's /api/chat."""

from __future__ import annotations

import base64

from tests.contract.dialects.read_back.transcript import Calls, Json, Transcript, marked

_SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "stop": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "num_predict": "max_output_tokens",
}


def read(body: Json) -> Transcript:
    """The body of `POST /api/chat`."""
    transcript = Transcript()
    calls = Calls(transcript)
    for message in body["messages"]:
        match message["role"]:
            case "system":
                transcript.instruct(message["content"])
            case "user":
                transcript.say("user", message.get("content") or "")
                for image in message.get("images", ()):
                    transcript.items.append(("user", "image", None, base64.b64decode(image)))
            case "assistant":
                transcript.say("assistant", message.get("content") or "")
                for call in message.get("tool_calls", ()):
                    calls.made(call["function"]["name"], call["function"]["arguments"])
            case "tool":
                text, failed = marked(message["content"])
                calls.answered(text, failed=failed, name=message["tool_name"])
    given = body.get("options") or {}
    settings = transcript.settings = {ours: given[theirs] for theirs, ours in _SETTINGS.items() if theirs in given}
    match body.get("format"):
        case "json":
            settings["format"] = "json"
        case dict() as schema:
            settings["format"] = ("schema", "", schema)
    if "think" in body:
        settings["effort"] = body["think"]
    if "tools" in body:
        settings["tools"] = [
            (each["function"]["name"], each["function"].get("description", ""), each["function"].get("parameters"))
            for each in body["tools"]
        ]
    return transcript.normal()
