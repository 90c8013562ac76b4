"""Items, answers and events in the Responses format, and what our decoders make of them."""

from typing import Any

import orjson

from services.router.domain.generation import Answer, Finished, ProviderEvent
from services.router.providers.formats.openai_responses.response import decode_answer
from services.router.providers.formats.openai_responses.stream import ResponsesStreamDecoder

Json = dict[str, Any]


def message(*texts: str, refusal: str = "", **fields: Any) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    if refusal:
        content.append({"type": "refusal", "refusal": refusal})
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": content, **fields}


def reasoning(*summary: str, sealed: str | None = "c2VhbGVk", **fields: Any) -> Json:
    item = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": each} for each in summary]}
    return {**item, **({"encrypted_content": sealed} if sealed else {}), **fields}


def function_call(arguments: str = "{}", call_id: str = "call_a", **fields: Any) -> Json:
    item = {"id": f"fc_{call_id}", "type": "function_call", "call_id": call_id, "name": "f", "arguments": arguments}
    return {**item, **fields}


def response(*output: Any, status: Any = "completed", **fields: Any) -> Json:
    return {"id": "resp_1", "object": "response", "status": status, "output": list(output), "usage": None, **fields}


def decoded(*output: Any, **fields: Any) -> Answer:
    return decode_answer(orjson.dumps(response(*output, **fields)))


def delta(kind: str, text: str, index: int = 0, **fields: Any) -> Json:
    return {
        "type": f"response.{kind}.delta",
        "item_id": f"item_{index}",
        "output_index": index,
        "delta": text,
        **fields,
    }


def added(item: Json, index: int = 0) -> Json:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(item: Json, index: int = 0) -> Json:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def completed(*output: Any, status: str = "completed", **fields: Any) -> Json:
    return {"type": f"response.{status}", "response": response(*output, status=status, **fields)}


def streamed(answer: Json, size: int = 3) -> list[Json]:
    """The events by which a server streams `answer`, with deltas of `size` characters."""
    events: list[Json] = [{"type": "response.created", "response": {**answer, "status": "in_progress", "output": []}}]
    for index, item in enumerate(answer["output"]):
        empty: dict[str, Json] = {
            "message": {"content": []},
            "reasoning": {"summary": []},
            "function_call": {"arguments": ""},
        }
        events.append(added({**item, **empty.get(item["type"], {})}, index))
        events += _deltas(item, index, size)
        events.append(done(item, index))
    return [*events, {"type": f"response.{answer['status']}", "response": answer}]


def _deltas(item: Json, index: int, size: int) -> list[Json]:
    match item["type"]:
        case "message":
            return [
                delta("refusal" if "refusal" in part else "output_text", text, index, content_index=place)
                for place, part in enumerate(item["content"])
                for text in _cut(part.get("text") or part.get("refusal") or "", size)
            ]
        case "reasoning":
            return [
                delta("reasoning_summary_text", text, index, summary_index=place)
                for place, part in enumerate(item["summary"])
                for text in _cut(part["text"], size)
            ]
        case "function_call":
            return [delta("function_call_arguments", text, index) for text in _cut(item["arguments"], size)]
        case _:
            return []


def _cut(text: str, size: int) -> list[str]:
    return [text[place : place + size] for place in range(0, len(text), size)]


def events(*wire: Any) -> list[ProviderEvent]:
    decoder = ResponsesStreamDecoder()
    data = [each if isinstance(each, bytes) else orjson.dumps(each) for each in wire]
    return [event for each in data for event in decoder.feed(each)] + decoder.end()


def content(*wire: Any) -> list[ProviderEvent]:
    """The events of a stream that ends as it should, without its end."""
    *before, last = events(*wire, completed())
    assert isinstance(last, Finished)
    return before
