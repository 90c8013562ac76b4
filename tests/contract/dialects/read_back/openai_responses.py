"""OpenAI's Responses."""

from __future__ import annotations

from tests.contract.dialects.read_back.transcript import Calls, Item, Json, Transcript, marked, media, of_data_url

_SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "max_output_tokens",
    "service_tier": "service_tier",
    "safety_identifier": "end_user",
    "prompt_cache_key": "prompt_cache_key",
    "parallel_tool_calls": "parallel_tool_calls",
}


def read(body: Json) -> Transcript:
    """The body of `POST …/responses`."""
    transcript = Transcript(system=body.get("instructions") or "")
    calls = Calls(transcript)
    given = body["input"]
    items: list[Json] = [{"role": "user", "content": given}] if isinstance(given, str) else given
    for item in items:
        _item(transcript, calls, item)
    transcript.settings = {ours: body[theirs] for theirs, ours in _SETTINGS.items() if theirs in body}
    if effort := (body.get("reasoning") or {}).get("effort"):
        transcript.settings["effort"] = effort
    if "tools" in body:
        transcript.settings["tools"] = [
            (each["name"], each.get("description", ""), each.get("parameters")) for each in body["tools"]
        ]
    if (choice := body.get("tool_choice")) is not None:
        transcript.settings["tool_choice"] = choice if isinstance(choice, str) else ("named", choice["name"])
    match (body.get("text") or {}).get("format"):
        case {"type": "json_object"}:
            transcript.settings["format"] = "json"
        case {"type": "json_schema", "name": name, "schema": schema}:
            transcript.settings["format"] = ("schema", name, schema)
    return transcript.normal()


def _item(transcript: Transcript, calls: Calls, item: Json) -> None:
    match item.get("type", "message"):
        case "message" if item["role"] in {"system", "developer"}:
            transcript.instruct("".join(part["text"] for part in _parts(item["content"])))
        case "message":
            for part in _parts(item["content"]):
                _part(transcript, item["role"], part)
        case "function_call":
            calls.made(item["name"], item["arguments"], item["call_id"])
        case "function_call_output":
            _result(calls, item)
        case "reasoning":
            text = "\n\n".join(each["text"] for each in item["summary"])
            transcript.items.append(("assistant", "reasoning", text))
        case _:
            raise AssertionError(item)


def _parts(content: str | list[Json]) -> list[Json]:
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else content


def _part(transcript: Transcript, role: str, part: Json) -> None:
    if part["type"] in ("input_text", "output_text"):
        transcript.say(role, part["text"])
    else:
        transcript.items.append(_media(part))


def _media(part: Json) -> Item:
    match part:
        case {"type": "input_image", "image_url": url}:
            return of_data_url("image", url)
        case {"type": "input_file", "file_url": url}:
            return media("document", "", url=url)
        case {"type": "input_file", "file_data": data}:
            return of_data_url("document", data)
        case _:
            raise AssertionError(part)


def _result(calls: Calls, item: Json) -> None:
    parts = _parts(item["output"])
    text, failed = marked("\n".join(part["text"] for part in parts if part["type"] == "input_text"))
    found = [_media(part) for part in parts if part["type"] != "input_text"]
    calls.answered(text, failed=failed, media=found, call_id=item["call_id"])
