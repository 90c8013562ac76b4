"""Gemini's generateContent."""

from __future__ import annotations

from tests.contract.dialects.read_back.transcript import Calls, Item, Json, Transcript, media

_SETTINGS = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "seed": "seed",
    "stopSequences": "stop",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "maxOutputTokens": "max_output_tokens",
}
_CHOICES = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
# Its own name for one of them.
_TYPES = {"audio/mp3": "audio/mpeg"}
_KINDS = {"image": "image", "audio": "audio", "application": "document", "text": "document"}


def read(body: Json) -> Transcript:
    """The body of `POST …:generateContent`."""
    transcript = Transcript()
    for part in (body.get("systemInstruction") or {}).get("parts", ()):
        transcript.instruct(part["text"])
    calls = Calls(transcript)
    for content in body["contents"]:
        role = {"user": "user", "model": "assistant"}[content["role"]]
        for part in content["parts"]:
            _part(transcript, calls, role, part)
    given = body.get("generationConfig") or {}
    settings = transcript.settings = {ours: given[theirs] for theirs, ours in _SETTINGS.items() if theirs in given}
    if "serviceTier" in body:
        settings["service_tier"] = body["serviceTier"]
    if "responseJsonSchema" in given:
        settings["format"] = ("schema", "", given["responseJsonSchema"])
    elif given.get("responseMimeType") == "application/json":
        settings["format"] = "json"
    thinking = given.get("thinkingConfig") or {}
    if "thinkingBudget" in thinking:
        settings["budget_tokens"] = thinking["thinkingBudget"]
    if "thinkingLevel" in thinking:
        settings["effort"] = thinking["thinkingLevel"].lower()
    if "tools" in body:
        settings["tools"] = [
            (each["name"], each.get("description", ""), each.get("parametersJsonSchema"))
            for tool in body["tools"]
            for each in tool["functionDeclarations"]
        ]
    if choice := (body.get("toolConfig") or {}).get("functionCallingConfig"):
        names = choice.get("allowedFunctionNames")
        settings["tool_choice"] = ("named", *names) if names else _CHOICES[choice["mode"]]
    return transcript.normal()


def _part(transcript: Transcript, calls: Calls, role: str, part: Json) -> None:
    match part:
        case {"thought": True}:
            transcript.items.append(("assistant", "reasoning", part.get("text", "")))
        case {"functionCall": call}:
            calls.made(call["name"], call.get("args") or {}, call.get("id"))
        case {"functionResponse": answer}:
            _result(calls, answer)
        case {"text": ""}:
            transcript.items.append(("assistant", "reasoning", ""))
        case {"text": text} if text.startswith("Document: "):
            # The name of the document that comes next: the format has no field for it.
            pass
        case {"text": text}:
            transcript.say(role, text)
        case _:
            transcript.items.append(_media(part))


def _media(part: Json) -> Item:
    match part:
        case {"inlineData": {"mimeType": media_type, "data": data}}:
            return media(_KINDS[media_type.split("/")[0]], _TYPES.get(media_type, media_type), data=data)
        case {"fileData": file}:
            return media(_KINDS[file.get("mimeType", "image/").split("/")[0]], "", url=file["fileUri"])
        case _:
            raise AssertionError(part)


def _result(calls: Calls, answer: Json) -> None:
    response = answer["response"]
    failed = set(response) == {"error"}
    text = response["error"] if failed else response.get("output", response)
    found = [_media(part) for part in answer.get("parts", ())]
    known = answer.get("id") in calls.ids
    calls.answered(text, failed=failed, media=found, call_id=answer["id"] if known else None, name=answer["name"])
