"""Anthropic's Messages."""

from __future__ import annotations

from tests.contract.dialects.read_back.transcript import Calls, Item, Json, Transcript, media

_SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop_sequences": "stop",
    "max_tokens": "max_output_tokens",
    "service_tier": "service_tier",
}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def read(body: Json) -> Transcript:
    """The body of `POST /v1/messages`."""
    transcript = Transcript()
    for part in _blocks(body.get("system") or []):
        transcript.instruct(part["text"])
    calls = Calls(transcript)
    for message in body["messages"]:
        for block in _blocks(message["content"]):
            _block(transcript, calls, message["role"], block)
    settings = transcript.settings = {ours: body[theirs] for theirs, ours in _SETTINGS.items() if theirs in body}
    if user := (body.get("metadata") or {}).get("user_id"):
        settings["end_user"] = user
    if "tools" in body:
        settings["tools"] = [
            (each["name"], each.get("description", ""), each["input_schema"]) for each in body["tools"]
        ]
    choice: Json = body.get("tool_choice") or {}
    if choice:
        kind = choice["type"]
        settings["tool_choice"] = ("named", choice["name"]) if kind == "tool" else _CHOICES[kind]
    if "disable_parallel_tool_use" in choice:
        settings["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    output = body.get("output_config") or {}
    if "format" in output:
        settings["format"] = ("schema", "", output["format"]["schema"])
    if "effort" in output:
        settings["effort"] = output["effort"]
    match body.get("thinking"):
        case {"type": "enabled", "budget_tokens": budget}:
            settings["budget_tokens"] = budget
        case {"type": "disabled"}:
            settings["effort"] = "none"
    settings["breakpoints"] = str(body).count("'cache_control'")
    return transcript.normal()


def _blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _block(transcript: Transcript, calls: Calls, role: str, block: Json) -> None:
    match block["type"]:
        case "text":
            transcript.say(role, block["text"])
        case "thinking":
            assert block["signature"]
            transcript.items.append(("assistant", "reasoning", block["thinking"]))
        case "redacted_thinking":
            transcript.items.append(("assistant", "reasoning", ""))
        case "tool_use":
            calls.made(block["name"], block["input"], block["id"])
        case "tool_result":
            content = _blocks(block.get("content") or [])
            text = "\n".join(each["text"] for each in content if each["type"] == "text")
            found = [_media(each) for each in content if each["type"] != "text"]
            calls.answered(text, failed=block.get("is_error", False), media=found, call_id=block["tool_use_id"])
        case _:
            transcript.items.append(_media(block))


def _media(block: Json) -> Item:
    match block["source"]:
        case {"type": "url", "url": url}:
            return media(block["type"], "", url=url)
        case {"type": "base64", "media_type": media_type, "data": data}:
            return media(block["type"], media_type, data=data)
        case {"type": "text", "data": text}:
            return ("user", "text document", text)
        case _:
            raise AssertionError(block)
