"""Azure OpenAI: OpenAI's shapes under Azure's paths, with Azure's keys, filter results and errors.

Sources: Microsoft's reference of the data plane, `openai.AsyncAzureOpenAI`, which the contract tests use as the client,
and the error bodies in Microsoft's guides "content filtering" and "quotas and limits".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from libs.sandbox.dialect import Answer, Call, EmbeddingQuestion, Endpoint, Frame, Part, Question, Refusal, Route
from libs.sandbox.dialects.openai_chat import OpenAIChat
from libs.sandbox.dialects.openai_embeddings import read_embedding
from libs.sandbox.dialects.openai_request import PARAMETERS, read_question

_ENDPOINTS: Mapping[str, Endpoint] = {"chat/completions": Endpoint.CHAT, "embeddings": Endpoint.EMBEDDINGS}
_DEPLOYMENTS = "/azure/openai/deployments/"
_V1 = "/azure/openai/v1/"
# Newer than the versions with a date that are generally available.
_NEWER_PARAMETERS = PARAMETERS - {"safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"}
# By the specification of 2024-10-21, the newest that is generally available.
_OLDER_PARAMETERS = _NEWER_PARAMETERS - {
    *("max_completion_tokens", "reasoning_effort", "metadata", "store", "verbosity", "modalities", "audio"),
    *("prediction", "web_search_options"),
}
_FIRST_TO_REASON = "2024-12-01"
_SAFE: Mapping[str, Any] = {
    name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")
}
_PROMPT_RESULTS = [{"prompt_index": 0, "content_filter_results": _SAFE}]

# Azure's words for a status: code and message. Anything else is OpenAI's.
_ERRORS: Mapping[int, tuple[str, str]] = {
    401: (
        "401",
        (
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for"
            " an active subscription and use a correct regional API endpoint for your resource."
        ),
    ),
    403: ("403", "Public access is disabled. Please configure private endpoint."),
    404: (
        "DeploymentNotFound",
        (
            "The API deployment for this resource does not exist. If you created the deployment within the last 5"
            " minutes, please wait a moment and try again."
        ),
    ),
    408: ("Timeout", "The operation was timeout."),
    429: (
        "429",
        (
            "Requests to the ChatCompletions_Create Operation under Azure OpenAI API have exceeded call rate limit of"
            " your current OpenAI S0 pricing tier. Please retry after some seconds."
        ),
    ),
    500: ("InternalServerError", "The server had an error while processing your request."),
    503: ("ServiceUnavailable", "The service is temporarily unable to process your request. Please try again later."),
}


class AzureOpenAI(OpenAIChat):
    """The dialect; it has no state."""

    name = "azure_openai"
    prefix = "/azure"
    request_id_header = "apim-request-id"

    def route(self, method: str, path: str) -> Route | None:
        """By deployment, or as OpenAI has it under `v1`."""
        if not path.startswith("/azure/"):
            return None
        if path in ("/azure/openai/models", f"{_V1}models"):
            return self._checked(method, "GET", path, Route(endpoint=Endpoint.MODELS))
        if path.startswith(_V1) and (endpoint := _ENDPOINTS.get(path.removeprefix(_V1))) is not None:
            return self._checked(method, "POST", path, Route(endpoint=endpoint, action="v1"))
        deployment, _, operation = path.removeprefix(_DEPLOYMENTS).partition("/")
        if path.startswith(_DEPLOYMENTS) and deployment and (endpoint := _ENDPOINTS.get(operation)) is not None:
            return self._checked(method, "POST", path, Route(endpoint=endpoint, model=deployment))
        return None

    def _checked(self, method: str, wanted: str, path: str, route: Route) -> Route:
        if method != wanted:
            raise self.unknown(method, path, 405)
        return route

    def key(self, headers: Mapping[str, str]) -> str:
        """The resource's key, or a token of Entra's as bearer."""
        return headers.get("api-key", "") or super().key(headers)

    def read(self, call: Call) -> Question:
        """Understand a request. Raises Refusal (400) naming the parameter."""
        _check_version(call)
        known = PARAMETERS
        if not call.route.action:
            older = call.query["api-version"] < _FIRST_TO_REASON
            known = _OLDER_PARAMETERS if older else _NEWER_PARAMETERS
        return read_question(call.body, model=call.route.model, parameters=known)

    def read_embedding(self, call: Call) -> EmbeddingQuestion:
        """Understand a request for vectors. Raises Refusal (400) naming the parameter."""
        _check_version(call)
        return read_embedding(call.body, model=call.route.model)

    def models(self, names: tuple[str, ...], call: Call) -> bytes:
        """The list of models."""
        if not call.path.startswith(_V1):
            _check_version(call)
        return super().models(names, call)

    def whole(self, question: Question, answer: Answer) -> bytes:
        """A `chat.completion` with the results of the filters."""
        document = orjson.loads(super().whole(question, answer))
        for choice in document["choices"]:
            choice["content_filter_results"] = _SAFE
        return orjson.dumps({**document, "prompt_filter_results": _PROMPT_RESULTS})

    def frames(self, question: Question, answer: Answer) -> Iterator[Frame]:
        """Before everything else a chunk without choices: what the filters say of the prompt."""
        first = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        ahead = b"data: " + orjson.dumps({**first, "prompt_filter_results": _PROMPT_RESULTS}) + b"\n\n"
        for frame in super().frames(question, answer):
            yield frame._replace(data=ahead + frame.data) if frame.part is Part.OPEN else frame

    def stream_at_once(self, question: Question, answer: Answer) -> bytes:
        """The data of all frames, joined."""
        return b"".join(frame.data for frame in self.frames(question, answer))

    def refusal(self, refusal: Refusal) -> bytes:
        """`{"error": {code, message}}`, with an `innererror` from the content filter."""
        if refusal.code != "content_filter" and refusal.param is not None:
            return super().refusal(refusal)
        error: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
        if refusal.code == "content_filter":
            error |= {
                "param": "prompt",
                "type": None,
                "status": refusal.status,
                "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _SAFE},
            }
        return orjson.dumps({"error": error})

    def standard_refusal(self, status: int, code: str | None, model: str) -> Refusal:
        """Azure's words for `status`, OpenAI's where it has none of its own."""
        known = _ERRORS.get(status)
        if known is None or code is not None:
            return super().standard_refusal(status, code, model)
        return Refusal(status, known[1], code=known[0])

    def no_key(self) -> Refusal:
        """As for a wrong one."""
        return self.standard_refusal(401, None, "")

    def unknown(self, method: str, path: str, status: int) -> Refusal:
        """Azure names neither path nor method."""
        return Refusal(status, "Resource not found", code=str(status))


def _check_version(call: Call) -> None:
    if not call.query.get("api-version") and not call.route.action:
        raise Refusal(404, "Resource not found", code="404")
