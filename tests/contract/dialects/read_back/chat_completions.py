"""Chat Completions."""

from __future__ import annotations

from tests.contract.dialects.read_back.transcript import Calls, Json, Transcript, marked, media, of_data_url

_SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "stop": "stop",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "effort",
    "service_tier": "service_tier",
    "safety_identifier": "end_user",
    "user": "end_user",
    "prompt_cache_key": "prompt_cache_key",
    "parallel_tool_calls": "parallel_tool_calls",
}


def read(body: Json) -> Transcript:
    """The body of `POST …/chat/completions`."""
    transcript = Transcript()
    calls = Calls(transcript)
    for message in body["messages"]:
        match message["role"]:
            case "system" | "developer":
                transcript.instruct(_text(message["content"]))
            case "user":
                _user(transcript, message["content"])
            case "assistant":
                transcript.say("assistant", _text(message.get("content") or ""))
                for call in message.get("tool_calls", ()):
                    calls.made(call["function"]["name"], call["function"]["arguments"], call["id"])
            case "tool":
                text, failed = marked(_text(message["content"]))
                calls.answered(text, failed=failed, call_id=message["tool_call_id"])
    transcript.settings = {ours: body[theirs] for theirs, ours in _SETTINGS.items() if theirs in body}
    if "tools" in body:
        transcript.settings["tools"] = [
            (each["function"]["name"], each["function"].get("description", ""), each["function"].get("parameters"))
            for each in body["tools"]
        ]
    if (choice := body.get("tool_choice")) is not None:
        transcript.settings["tool_choice"] = (
            choice if isinstance(choice, str) else ("named", choice["function"]["name"])
        )
    match body.get("response_format"):
        case {"type": "json_object"}:
            transcript.settings["format"] = "json"
        case {"type": "json_schema", "json_schema": schema}:
            transcript.settings["format"] = ("schema", schema["name"], schema["schema"])
    return transcript.normal()


def _text(content: str | list[Json]) -> str:
    if isinstance(content, str):
        return content
    assert all(part["type"] == "text" for part in content)
    return "".join(part["text"] for part in content)


def _user(transcript: Transcript, content: str | list[Json]) -> None:
    if isinstance(content, str):
        transcript.say("user", content)
        return
    for part in content:
        match part:
            case {"type": "text", "text": text}:
                transcript.say("user", text)
            case {"type": "image_url", "image_url": image}:
                transcript.items.append(of_data_url("image", image["url"]))
            case {"type": "input_audio", "input_audio": audio}:
                media_type = {"wav": "audio/wav", "mp3": "audio/mpeg"}[audio["format"]]
                transcript.items.append(media("audio", media_type, data=audio["data"]))
            case {"type": "file", "file": file}:
                transcript.items.append(of_data_url("document", file["file_data"]))
            case _:
                raise AssertionError(part)
