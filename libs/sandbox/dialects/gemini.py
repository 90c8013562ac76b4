"""Gemini: generateContent whole and streamed, embeddings, lists of models, as the Gemini API and Vertex AI have them.

Source of the shapes: the types of the official `google-genai` package, which the contract tests use as the client.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import orjson

from libs.sandbox.dialect import (
    Answer,
    Call,
    Dialect,
    EmbeddingAnswer,
    EmbeddingQuestion,
    Endpoint,
    Finish,
    Frame,
    Part,
    Question,
    Refusal,
    Route,
    ToolCall,
)
from libs.sandbox.dialects.gemini_contents import signed_call, signed_text
from libs.sandbox.dialects.gemini_errors import message_for, status_of
from libs.sandbox.dialects.gemini_request import read_embedding, read_question
from libs.sandbox.dialects.gemini_rules import Json, wrong
from libs.sandbox.dialects.google_tokens import is_google_token
from libs.sandbox.sealing import sign

_PATH = re.compile(
    r"/gemini/(?:v1beta/|(v1(?:beta1)?)/projects/[^/]+/locations/[^/]+/publishers/google/)models/([^/]+):(\w+)"
)
# Vertex AI's list is not below the path of a project, so it cannot be told which sandbox dialect a caller has in mind.
_LIST = re.compile(r"/gemini/v1beta/models|(?:/gemini)?/v1beta1/publishers/google/models")
_CHAT = MappingProxyType({"generateContent": False, "streamGenerateContent": True})
_EMBEDDINGS = frozenset({"embedContent", "batchEmbedContents", "predict"})
_FINISHES = MappingProxyType({Finish.STOP: "STOP", Finish.LENGTH: "MAX_TOKENS", Finish.TOOL_CALLS: "STOP"})
# A finish that a directive asks for: the prompt is blocked, and there is no candidate.
_BLOCKED = "PROMPT_"
_PAGE = 50
_LONGEST_PAGE = 1000


class Gemini(Dialect):
    """The dialect; it has no state."""

    name = "gemini"
    prefix = "/gemini"
    request_id_header = None

    def route(self, method: str, path: str) -> Route | None:
        """Paths hold the model and what is to be done with it."""
        if _LIST.fullmatch(path):
            wanted, route = "GET", Route(endpoint=Endpoint.MODELS)
        else:
            match = _PATH.fullmatch(path)
            if match is None:
                return None
            version, model, action = match.groups()
            action = f"vertex:{action}" if version else action
            bare = action.rpartition(":")[2]
            if bare in _CHAT:
                route = Route(endpoint=Endpoint.CHAT, model=model, stream=_CHAT[bare], action=action)
            elif bare in _EMBEDDINGS:
                route = Route(endpoint=Endpoint.EMBEDDINGS, model=model, action=action)
            else:
                return None
            wanted = "POST"
        if method != wanted:
            raise self.unknown(method, path, 405)
        return route

    def key(self, headers: Mapping[str, str]) -> str:
        """`x-goog-api-key`, or an access token; empty when there is neither."""
        return headers.get("x-goog-api-key", "").strip() or super().key(headers)

    def read(self, call: Call) -> Question:
        """Understand a request. Raises Refusal."""
        _check_credential(call)
        return read_question(call)

    def whole(self, question: Question, answer: Answer) -> bytes:
        """One answer."""
        parts = [*_thoughts(answer), *_texts(answer), *_calls(answer)]
        return orjson.dumps(_response(question, answer, parts, answer.completion_tokens, end=True))

    def frames(self, question: Question, answer: Answer) -> Iterator[Frame]:
        """An answer for each piece and each call; the finish reason comes with the last."""
        hidden = 0 if answer.shown_reasoning else answer.reasoning_tokens
        tokens = hidden
        yield Frame(Part.OPEN, b"", hidden)
        calls = list(zip(_calls(answer), (call.tokens for call in answer.calls), strict=True))
        pieces = [({"text": piece, "thought": True}, 1) for piece in answer.shown_reasoning]
        last = len(answer.pieces) - 1
        pieces += [(_text(answer, piece, last=place == last), 1) for place, piece in enumerate(answer.pieces)]
        for part, cost in (*pieces, *calls):
            tokens += cost
            yield Frame(Part.CONTENT, _event(_response(question, answer, [part], tokens, end=False)), cost)
        yield Frame(Part.FINISH, _event(_response(question, answer, [], tokens, end=True)))
        yield Frame(Part.DONE, b"")

    def chunks(self, answer: Answer) -> int:
        """Calls come in one piece."""
        return len(answer.shown_reasoning) + len(answer.pieces) + len(answer.calls)

    def stream_error(self, refusal: Refusal) -> bytes:
        """An event with an error, in an array."""
        return b"data: [" + self.refusal(refusal) + b"]\n\n"

    def stream_garbage(self) -> bytes:
        """An event whose JSON never closes."""
        return b'data: {"candidates":[{"content":{"parts":[{"text":"half a wo\n\n'

    def read_embedding(self, call: Call) -> EmbeddingQuestion:
        """Understand a request. Raises Refusal (400)."""
        _check_credential(call)
        return read_embedding(call)

    def embeddings(self, question: EmbeddingQuestion, answer: EmbeddingAnswer) -> bytes:
        """The vectors in the shape of the method that was called."""
        action = question.details["action"]
        values: list[Json] = [{"values": vector} for vector in answer.vectors]
        if action.endswith("predict"):
            statistics = {"statistics": {"token_count": question.prompt_tokens // max(len(values), 1)}}
            shown = statistics if answer.with_usage else {}
            return orjson.dumps({"predictions": [{"embeddings": {**each, **shown}} for each in values]})
        body: Json = {"embeddings": values} if action.endswith("batchEmbedContents") else {"embedding": values[0]}
        if answer.with_usage:
            body["usageMetadata"] = {"promptTokenCount": answer.prompt_tokens}
        return orjson.dumps(body)

    def models(self, names: tuple[str, ...], call: Call) -> bytes:
        """A page of models."""
        size = call.query.get("pageSize", str(_PAGE))
        if not size.isdigit() or call.query.keys() - {"pageSize", "pageToken", "filter"}:
            raise wrong("Invalid value at 'page_size' (TYPE_INT32), or an unknown parameter.")
        shown = names[: min(int(size) or _PAGE, _LONGEST_PAGE)]
        if "publishers" in call.path:
            return orjson.dumps({"publisherModels": [{"name": f"publishers/google/models/{each}"} for each in shown]})
        return orjson.dumps({"models": [_model(name) for name in shown]})

    def refusal(self, refusal: Refusal) -> bytes:
        """`google.rpc.Status`, with its details."""
        return orjson.dumps({"error": status_of(refusal)})

    def refusal_headers(self, refusal: Refusal) -> Mapping[str, str]:
        """None: when to come back stands in the error."""
        return {}

    def standard_refusal(self, status: int, code: str | None, model: str) -> Refusal:
        """Google's words for `status`, or for `code` where it has more to say."""
        return Refusal(status, message_for(status, code).replace("{model}", model), code=code)

    def no_key(self) -> Refusal:
        """Who comes without a key is nobody that Google knows."""
        return Refusal(403, "Method doesn't allow unregistered callers (callers without established identity).")

    def wrong_key(self) -> Refusal:
        """Of a key that is none Google says that the request is wrong."""
        return self.standard_refusal(400, "API_KEY_INVALID", "")

    def unknown(self, method: str, path: str, status: int) -> Refusal:
        """A path or method that it does not know."""
        return Refusal(status, "Not Found" if status == 404 else "Method Not Allowed")  # noqa: PLR2004 - HTTP's


def _check_credential(call: Call) -> None:
    """Vertex AI takes access tokens, and the Gemini API keys. Raises Refusal (401)."""
    has_key = bool(call.headers.get("x-goog-api-key"))
    token = call.headers.get("Authorization", "").removeprefix("Bearer ")
    if call.route.action.startswith("vertex:") == has_key or not (has_key or is_google_token(token)):
        raise Refusal(401, message_for(401, None))


def _event(document: Json) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\r\n\r\n"


def _response(question: Question, answer: Answer, parts: list[Json], tokens: int, *, end: bool) -> Json:
    response: Json = {}
    finish = answer.finish_word(_FINISHES) if end else None
    if finish is not None and finish.startswith(_BLOCKED):
        response["promptFeedback"] = {"blockReason": finish.removeprefix(_BLOCKED)}
    else:
        candidate: Json = {"content": {"parts": parts or [{"text": ""}], "role": "model"}, "index": 0}
        if finish is not None:
            candidate["finishReason"] = finish
        response["candidates"] = [candidate]
    if answer.with_usage:
        response["usageMetadata"] = _usage(answer, tokens)
    return response | {"modelVersion": question.model, "responseId": answer.answer_id[:16]}


def _usage(answer: Answer, tokens: int) -> dict[str, int]:
    thoughts = min(answer.reasoning_tokens, tokens)
    counts = {
        "promptTokenCount": answer.prompt_tokens,
        "candidatesTokenCount": tokens - thoughts,
        "totalTokenCount": answer.prompt_tokens + tokens,
        "cachedContentTokenCount": answer.cached_tokens,
        "thoughtsTokenCount": thoughts,
    }
    # As protobuf does it: a count of zero is left out.
    return {name: count for name, count in counts.items() if count}


def _thoughts(answer: Answer) -> list[Json]:
    return [{"text": "".join(answer.shown_reasoning), "thought": True}] if answer.shown_reasoning else []


def _texts(answer: Answer) -> list[Json]:
    """What is said, of which the last piece has the signature of what was thought before."""
    if not answer.pieces:
        return []
    signed = _text(answer, answer.pieces[-1], last=True)
    if "thoughtSignature" not in signed:
        return [{"text": "".join(answer.pieces)}]
    head = "".join(answer.pieces[:-1])
    return [*([{"text": head}] if head else []), signed]


def _text(answer: Answer, piece: str, *, last: bool) -> Json:
    part: Json = {"text": piece}
    if last and answer.reasoning_tokens and not answer.calls:
        part["thoughtSignature"] = sign(signed_text(piece))
    return part


def _calls(answer: Answer) -> list[Json]:
    """The calls, of which the first has the signature. There are no ids, as the older models have it."""
    return [_call(call, signed=bool(answer.reasoning_tokens) and not place) for place, call in enumerate(answer.calls)]


def _call(call: ToolCall, *, signed: bool) -> Json:
    arguments = _object_of("".join(call.pieces))
    part: Json = {"functionCall": {"name": call.name, "args": arguments}}
    if signed:
        part["thoughtSignature"] = sign(signed_call(call.name, arguments))
    return part


def _object_of(arguments: str) -> Any:
    """A call that was cut by the limit on tokens still has an object."""
    try:
        return orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return {}


def _model(name: str) -> Json:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
