"""Calls of gatehouse.router.v1.GenerationService."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypedDict, Unpack

from gatehouse.answers import Answer, Event
from gatehouse.messages import json_schema, system, user
from gatehouse.operations.enum_words import named
from gatehouse.operations.operation import Listing, Operation, Page, operation, whole
from gatehouse.router.v1.generation_pb2 import (
    Compatibility,
    FallbackPolicy,
    Generation,
    ReasoningEffort,
    ReasoningRequest,
    ServiceTier,
)
from gatehouse.router.v1.generation_service_pb2 import (
    AvailableModel,
    EstimateCostRequest,
    EstimateCostResponse,
    ExplainRouteRequest,
    ExplainRouteResponse,
    GenerateRequest,
    GenerateResponse,
    ListModelsRequest,
    ListModelsResponse,
    StreamGenerateRequest,
    StreamGenerateResponse,
)
from gatehouse.router.v1.message_pb2 import JsonFormat, Message, ResponseFormat, Tool, ToolChoice, ToolChoiceMode

_SERVICE = "/gatehouse.router.v1.GenerationService"
DEFAULT_TIMEOUT_S = 60.0

Effort = Literal["none", "low", "medium", "high", "max"]
"""How much a model thinks, in words."""


class GenerationOptions(TypedDict, total=False):
    """Everything a call to a model can say; what is left out is Gatehouse's or the provider's choice.

    - `messages`: the conversation so far; a prompt given beside it is its last message. `system`: instructions, first.
    - `provider`, `model`: where to send it (ids or resource names). `fallback`: whether others may answer when those
      cannot; left out, only when neither is given.
    - `tools` (see `gatehouse.tool`), `tool_choice`: `auto`, `required`, `none` or the name of a tool,
      `parallel_tool_calls`.
    - `response_format`: `json`, a JSON Schema, or what `gatehouse.json_schema` gives.
    - `max_output_tokens`, `temperature`, `top_p`, `top_k`, `frequency_penalty`, `presence_penalty`, `stop`, `seed`:
      sampling, passed on as given.
    - `reasoning`: how much the model thinks first: `none`, `low`, `medium`, `high`, `max`, or a number of tokens;
      `hide_reasoning`: leave the thoughts out of the answer.
    - `compatibility`: what happens with what a target cannot do: `strict` (the usual) leaves the target out, `drop`
      leaves that out of the request and says so in `outcome.warnings`.
    - `service_tier`: how urgent: `auto`, `standard`, `flex` or `priority`. `prompt_cache_key`: calls with the same one
      share a provider's prompt cache. `end_user`: who it is for, in your own words but no personal data.
    - `task`: what it is for; routes and preferences go by it. `labels`, `request_id`: kept in the usage record.
    - `session`: what conversation it belongs to: its calls go to the target that served it last, so that the provider's
      prompt cache helps.
    - `timeout`: seconds for the whole call, a streamed one included; 60 unless said.
    - `revision`: wait until the router knows this configuration revision (a change's response has it).
    """

    messages: Sequence[Message]
    system: str
    provider: str
    model: str
    fallback: bool
    tools: Sequence[Tool]
    tool_choice: str
    parallel_tool_calls: bool
    response_format: Literal["json"] | Mapping[str, object] | ResponseFormat
    max_output_tokens: int
    temperature: float
    top_p: float
    stop: str | Sequence[str]
    seed: int
    top_k: int
    frequency_penalty: float
    presence_penalty: float
    reasoning: Effort | int
    hide_reasoning: bool
    compatibility: Literal["strict", "drop"]
    service_tier: Literal["auto", "standard", "flex", "priority"]
    end_user: str
    prompt_cache_key: str
    task: str
    session: str
    labels: Mapping[str, str]
    request_id: str
    timeout: float
    revision: int


def generate(prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> Operation[Answer]:
    """Call a model and take its whole answer."""
    return operation(
        "router",
        f"{_SERVICE}/Generate",
        GenerateRequest(generation=build(prompt, options)),
        GenerateResponse,
        lambda response: Answer(message=response.message, outcome=response.outcome),
        timeout=options.get("timeout", DEFAULT_TIMEOUT_S),
        revision=options.get("revision"),
    )


def stream(prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> Operation[Event]:
    """Call a model and take its answer event by event."""
    return operation(
        "router",
        f"{_SERVICE}/StreamGenerate",
        StreamGenerateRequest(generation=build(prompt, options)),
        StreamGenerateResponse,
        Event,
        timeout=options.get("timeout", DEFAULT_TIMEOUT_S),
        revision=options.get("revision"),
    )


def explain(prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> Operation[ExplainRouteResponse]:
    """Which targets a call would try, in order, and why the others are left out. Calls and charges nothing."""
    return operation(
        "router",
        f"{_SERVICE}/ExplainRoute",
        ExplainRouteRequest(generation=build(prompt, options)),
        ExplainRouteResponse,
        whole,
        timeout=options.get("timeout", DEFAULT_TIMEOUT_S),
        revision=options.get("revision"),
    )


def estimate(prompt: str | None = None, /, **options: Unpack[GenerationOptions]) -> Operation[EstimateCostResponse]:
    """What a call would cost at each target it could go to, and what that rests on. Calls and charges nothing."""
    return operation(
        "router",
        f"{_SERVICE}/EstimateCost",
        EstimateCostRequest(generation=build(prompt, options)),
        EstimateCostResponse,
        whole,
        timeout=options.get("timeout", DEFAULT_TIMEOUT_S),
        revision=options.get("revision"),
    )


def available_models(
    *,
    usable_only: bool = False,
    warn: Callable[[str], None] | None = None,
    revision: int | None = None,
    page_size: int = 0,
) -> Listing[AvailableModel]:
    """The models of all providers the caller may see: which can really be used now, and why not the others.

    `warn` is told what the caller should know, such as that key_vault could not be asked; each text once.
    """
    told: set[str] = set()

    def pick(response: ListModelsResponse) -> Page[AvailableModel]:
        for warning in response.warnings:
            if warn is not None and warning not in told:
                told.add(warning)
                warn(warning)
        return Page(items=response.models, next_page_token=response.next_page_token)

    request = ListModelsRequest(page_size=page_size, usable_only=usable_only)
    return Listing(operation("router", f"{_SERVICE}/ListModels", request, ListModelsResponse, pick, revision=revision))


def build(prompt: str | None, options: GenerationOptions) -> Generation:
    """The Generation that `options` describe."""
    messages = [*options.get("messages", ())]
    if "system" in options:
        messages.insert(0, system(options["system"]))
    if prompt is not None:
        messages.append(user(prompt))
    stop = options.get("stop", ())
    return Generation(
        messages=messages,
        provider=options.get("provider", ""),
        model=options.get("model", ""),
        fallback=fallback_policy(options.get("fallback")),
        tools=options.get("tools", ()),
        tool_choice=_tool_choice(options.get("tool_choice")),
        parallel_tool_calls=options.get("parallel_tool_calls"),
        response_format=_response_format(options.get("response_format")),
        max_output_tokens=options.get("max_output_tokens"),
        temperature=options.get("temperature"),
        top_p=options.get("top_p"),
        stop=[stop] if isinstance(stop, str) else stop,
        seed=options.get("seed"),
        task=options.get("task", ""),
        session=options.get("session", ""),
        labels=options.get("labels", {}),
        request_id=options.get("request_id", ""),
        reasoning=_reasoning(options),
        compatibility=compatibility_of(options.get("compatibility")),
        service_tier=named(ServiceTier, "service_tier", options.get("service_tier")),
        top_k=options.get("top_k"),
        frequency_penalty=options.get("frequency_penalty"),
        presence_penalty=options.get("presence_penalty"),
        end_user=options.get("end_user", ""),
        prompt_cache_key=options.get("prompt_cache_key", ""),
    )


def compatibility_of(wanted: str | None) -> Compatibility.ValueType:
    """What happens with what a target cannot do. Raises ValueError."""
    return named(Compatibility, "compatibility", wanted)


def fallback_policy(allowed: bool | None) -> FallbackPolicy.ValueType:
    """Whether others may serve."""
    if allowed is None:
        return FallbackPolicy.FALLBACK_POLICY_UNSPECIFIED
    return FallbackPolicy.FALLBACK_POLICY_ANY if allowed else FallbackPolicy.FALLBACK_POLICY_NONE


def _reasoning(options: GenerationOptions) -> ReasoningRequest | None:
    amount, hide = options.get("reasoning"), options.get("hide_reasoning", False)
    if amount is None:
        if hide:
            raise ValueError("hide_reasoning goes with reasoning: say how much the model is to think")
        return None
    if isinstance(amount, int):
        return ReasoningRequest(budget_tokens=amount, hide=hide)
    return ReasoningRequest(effort=named(ReasoningEffort, "reasoning", amount), hide=hide)


def _tool_choice(choice: str | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice in ("auto", "required", "none"):
        return ToolChoice(mode=ToolChoiceMode.Value(f"TOOL_CHOICE_MODE_{choice.upper()}"))
    return ToolChoice(tool=choice)


def _response_format(wanted: str | Mapping[str, object] | ResponseFormat | None) -> ResponseFormat | None:
    if wanted is None or isinstance(wanted, ResponseFormat):
        return wanted
    if wanted == "json":
        return ResponseFormat(json=JsonFormat())
    if isinstance(wanted, str):
        raise ValueError(f"response_format is 'json' or a JSON Schema, not {wanted!r}")  # noqa: TRY004 - a text it is, a wrong one
    return json_schema("answer", wanted)
