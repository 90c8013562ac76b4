"""From the wire to the domain: a call checked field by field."""

from __future__ import annotations

import math

from gatehouse.router.v1 import generation_pb2

from libs.core.validation import FieldChecks
from libs.rpc.context import RequestContext
from services.router.api.call_fields import check_call_fields
from services.router.api.messages import MAX_BREAKPOINTS, messages
from services.router.api.schemas import check_schema
from services.router.api.tools import (
    MAX_DESCRIPTION,
    NAME,
    NAME_RULE,
    tool_choice_in,
    tools_in,
)
from services.router.domain.call_context import CallContext
from services.router.domain.generation import (
    Effort,
    Generation,
    JsonFormat,
    JsonSchemaFormat,
    ReasoningRequest,
    ResponseFormat,
    ServiceTier,
)

MAX_STOP = 4
MAX_STOP_LENGTH = 256
MAX_TEMPERATURE = 2.0
MAX_OUTPUT_TOKENS = 10_000_000
MAX_PENALTY = 2.0
MAX_BUDGET = 1_000_000
MAX_SESSION = 128
MAX_CACHE_KEY = 64
REVISION_KEY = "gatehouse-revision"

_EFFORTS = {
    generation_pb2.REASONING_EFFORT_NONE: Effort.NONE,
    generation_pb2.REASONING_EFFORT_LOW: Effort.LOW,
    generation_pb2.REASONING_EFFORT_MEDIUM: Effort.MEDIUM,
    generation_pb2.REASONING_EFFORT_HIGH: Effort.HIGH,
    generation_pb2.REASONING_EFFORT_MAX: Effort.MAX,
}
_TIERS = {
    generation_pb2.SERVICE_TIER_UNSPECIFIED: None,
    generation_pb2.SERVICE_TIER_AUTO: ServiceTier.AUTO,
    generation_pb2.SERVICE_TIER_STANDARD: ServiceTier.STANDARD,
    generation_pb2.SERVICE_TIER_FLEX: ServiceTier.FLEX,
    generation_pb2.SERVICE_TIER_PRIORITY: ServiceTier.PRIORITY,
}


def call_context(request: RequestContext) -> CallContext:
    """Who calls and when. Raises InvalidArgument for a malformed `gatehouse-revision`."""
    caller = request.caller
    if caller.tenant is None or caller.user is None or caller.token is None:
        raise AssertionError("authorization lets only callers of a tenant through")
    revision = request.metadata.get(REVISION_KEY)
    if revision is not None:
        with FieldChecks() as check:
            valid = revision.isascii() and revision.isdigit() and len(revision) <= _MAX_DIGITS
            check.that(valid, REVISION_KEY, "metadata must be a revision that a change returned, a whole number")
    return CallContext(
        tenant=caller.tenant,
        user=caller.user,
        plan=caller.plan or "",
        token=caller.token,
        arrived=request.arrived,
        deadline=request.deadline,
        revision=int(revision) if revision is not None else None,
    )


_MAX_DIGITS = 18


def generation(message: generation_pb2.Generation, *, messages_required: bool = True) -> Generation:
    """A validated call. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        tools = tools_in(check, message) if message.tools else ()
        breakpoints = sum(tool.cache_breakpoint for tool in tools)
        rule = f"may have at most {MAX_BREAKPOINTS} cache breakpoints"
        check.that(breakpoints <= MAX_BREAKPOINTS, "generation.tools", rule)
        conversation = messages(check, message.messages, required=messages_required, breakpoints=breakpoints)
        check_call_fields(check, "generation", message)
        choice = tool_choice_in(check, message, tools)
        shape = _response_format(check, message)
        _sampling(check, message)
        reasoning = _reasoning(check, message) if message.HasField("reasoning") else None
        check.that(message.service_tier in _TIERS, "generation.service_tier", "is not a tier: see ServiceTier")
        if message.session:
            valid = len(message.session) <= MAX_SESSION and message.session.isprintable()
            check.that(valid, "generation.session", f"must be at most {MAX_SESSION} printable characters")
        if message.prompt_cache_key:
            valid = len(message.prompt_cache_key) <= MAX_CACHE_KEY and message.prompt_cache_key.isprintable()
            rule = f"must be at most {MAX_CACHE_KEY} printable characters"
            check.that(valid, "generation.prompt_cache_key", rule)
    named = bool(message.provider or message.model)
    return Generation(
        messages=conversation,
        provider=message.provider,
        model=message.model,
        fallback=not named if not message.fallback else message.fallback == generation_pb2.FALLBACK_POLICY_ANY,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=message.parallel_tool_calls if message.HasField("parallel_tool_calls") else None,
        response_format=shape,
        max_output_tokens=message.max_output_tokens if message.HasField("max_output_tokens") else None,
        temperature=message.temperature if message.HasField("temperature") else None,
        top_p=message.top_p if message.HasField("top_p") else None,
        stop=tuple(message.stop),
        seed=message.seed if message.HasField("seed") else None,
        task=message.task,
        labels=dict(message.labels),
        request_id=message.request_id,
        session=message.session,
        drop_unsupported=message.compatibility == generation_pb2.COMPATIBILITY_DROP,
        reasoning=reasoning,
        top_k=message.top_k if message.HasField("top_k") else None,
        frequency_penalty=message.frequency_penalty if message.HasField("frequency_penalty") else None,
        presence_penalty=message.presence_penalty if message.HasField("presence_penalty") else None,
        service_tier=_TIERS[message.service_tier],
        end_user=message.end_user,
        prompt_cache_key=message.prompt_cache_key,
    )


def _sampling(check: FieldChecks, message: generation_pb2.Generation) -> None:
    if message.HasField("max_output_tokens"):
        in_range = 1 <= message.max_output_tokens <= MAX_OUTPUT_TOKENS
        check.that(in_range, "generation.max_output_tokens", f"must be 1 to {MAX_OUTPUT_TOKENS}")
    if message.HasField("temperature"):
        check.that(0 <= message.temperature <= MAX_TEMPERATURE, "generation.temperature", "must be 0 to 2")
    if message.HasField("top_p"):
        top_p = message.top_p
        check.that(math.isfinite(top_p) and 0 < top_p <= 1, "generation.top_p", "must be above 0, up to 1")
    if message.HasField("top_k"):
        check.that(message.top_k >= 1, "generation.top_k", "must be at least 1")
    for penalty in ("frequency_penalty", "presence_penalty"):
        if message.HasField(penalty):
            in_range = -MAX_PENALTY <= getattr(message, penalty) <= MAX_PENALTY
            check.that(in_range, f"generation.{penalty}", "must be -2 to 2")
    if message.stop:
        check.count("generation.stop", message.stop, most=MAX_STOP)
        for index, text in enumerate(message.stop):
            check.text(f"generation.stop[{index}]", text, most=MAX_STOP_LENGTH, least=1)


def _reasoning(check: FieldChecks, message: generation_pb2.Generation) -> ReasoningRequest:
    wanted, field = message.reasoning, "generation.reasoning"
    effort = budget = None
    match wanted.WhichOneof("amount"):
        case "effort":
            effort = _EFFORTS.get(wanted.effort)
            check.that(effort is not None, f"{field}.effort", "must be NONE, LOW, MEDIUM, HIGH or MAX")
        case "budget_tokens":
            budget = wanted.budget_tokens
            check.that(1 <= budget <= MAX_BUDGET, f"{field}.budget_tokens", f"must be 1 to {MAX_BUDGET}")
            within = not message.HasField("max_output_tokens") or budget <= message.max_output_tokens
            check.that(within, f"{field}.budget_tokens", "must not exceed max_output_tokens, for it is a part of it")
        case _:
            check.fail(field, "must set effort or budget_tokens")
    return ReasoningRequest(effort=effort, budget_tokens=budget, hide=wanted.hide)


def _response_format(check: FieldChecks, message: generation_pb2.Generation) -> ResponseFormat | None:
    if not message.HasField("response_format"):
        return None
    shape = message.response_format
    match shape.WhichOneof("format"):
        case "json":
            return JsonFormat()
        case "json_schema":
            wanted, field = shape.json_schema, "generation.response_format.json_schema"
            check.that(NAME.fullmatch(wanted.name) is not None, f"{field}.name", NAME_RULE)
            check.text(f"{field}.description", wanted.description, most=MAX_DESCRIPTION)
            if wanted.schema_json:
                check_schema(check, f"{field}.schema_json", wanted.schema_json, of_object=False)
            else:
                check.fail(f"{field}.schema_json", "is required")
            return JsonSchemaFormat(
                name=wanted.name, description=wanted.description, schema_json=wanted.schema_json, strict=wanted.strict
            )
        case _:
            check.fail("generation.response_format", "must set json or json_schema")
    return None
