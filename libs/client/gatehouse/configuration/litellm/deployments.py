"""The model list of a LiteLLM file: each entry is a deployment, entries of one `model_name` are a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from gatehouse.configuration.litellm.places import Place
from gatehouse.configuration.litellm.settings import FROM_ENVIRONMENT, Settings, variable_of
from gatehouse.configuration.litellm.vendors import locate
from gatehouse.providerconfig.v1.model_pb2 import Model, ModelPrice
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities, ProviderType

_MOST_TOKENS = 100_000_000
_MOST_OUTPUT = 10_000_000
_MOST_RPM, _MOST_TPM = 10_000_000, 10_000_000_000
# Of dollars per token: micro-dollars per million tokens.
_PER_TOKEN = Decimal(10) ** 12

_PRICES = (
    ("input_micro_usd_per_million", "input_cost_per_token"),
    ("output_micro_usd_per_million", "output_cost_per_token"),
    ("cache_read_micro_usd_per_million", "cache_read_input_token_cost"),
    ("cache_write_micro_usd_per_million", "cache_creation_input_token_cost"),
    ("reasoning_micro_usd_per_million", "output_cost_per_reasoning_token"),
)
_ABILITIES = (
    ("streaming", "supports_native_streaming"),
    ("tools", "supports_function_calling"),
    ("json_schema", "supports_response_schema"),
    ("images", "supports_vision"),
    ("audio", "supports_audio_input"),
    ("documents", "supports_pdf_input"),
    ("reasoning", "supports_reasoning"),
)
# What nearly every chat model can do; the others only where the file says so.
_USUAL = frozenset({"streaming", "tools", "json_schema"})
_VECTORS = "embedding"
_MODES = frozenset({"", "chat", "completion", "responses", _VECTORS})
# Said of a deployment for LiteLLM's own sake.
_HARMLESS = frozenset(
    {"id", "base_model", "description", "created_at", "updated_at", "db_model", "mode", "health_check_model"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySource:
    """Where a key comes from: an environment variable, or the file itself, of which only `material` knows."""

    variable: str = ""
    material: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One entry of the model list that can be taken over. Times are in seconds."""

    line: int
    path: str
    group: str
    place: Place
    key: KeySource | None
    model: Model
    organization: str = ""
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    weight: Decimal | None = None
    order: int | None = None
    timeout: Decimal | None = None
    stream_timeout: Decimal | None = None
    max_retries: int | None = None
    temperature: Decimal | None = None
    max_output_tokens: int | None = None


def read_deployments(
    root: Settings, types: Mapping[str, ProviderType], *, allow_inline_keys: bool
) -> Iterator[Deployment]:
    """The deployments that can be taken over; the others are told in the findings."""
    for entry in root.parts("model_list"):
        group, params = entry.text("model_name"), entry.part("litellm_params")
        if not group or params is None:
            key = "litellm_params" if group else "model_name"
            entry.findings.problems.add(entry.line, f"{entry.path}.{key}", "is missing")
            continue
        deployment = _read(entry, group, params, types, allow_inline_keys=allow_inline_keys)
        if deployment is not None:
            yield deployment


def _read(
    entry: Settings, group: str, params: Settings, types: Mapping[str, ProviderType], *, allow_inline_keys: bool
) -> Deployment | None:
    info = entry.part("model_info")
    mode = info.text("mode") if info else ""
    model, vendor, api_base = (params.text(key) for key in ("model", "custom_llm_provider", "api_base"))
    place = locate(model, vendor, api_base, types, params.text)
    if mode not in _MODES:
        place = f"it is for {mode}, and Gatehouse calls models for chat and vectors only yet"
    vectors = mode == _VECTORS or (not mode and _VECTORS in model)
    if vectors and not isinstance(place, str) and not types[place.type].capabilities.embeddings:
        place = f"it is for {_VECTORS}, which this Gatehouse cannot ask providers of type {place.type} for"
    if isinstance(place, str):
        entry.findings.remark(entry.line, entry.path, f"{group} is not taken over: {place}")
        return None
    deployment = Deployment(
        line=entry.line,
        path=entry.path,
        group=group,
        place=place,
        key=_key(params, place, allow_inline_keys=allow_inline_keys),
        model=_model(params, info, place, vectors=vectors),
        organization=params.text("organization"),
        requests_per_minute=_either(entry, params, "rpm", _MOST_RPM),
        tokens_per_minute=_either(entry, params, "tpm", _MOST_TPM),
        weight=params.number("weight"),
        order=params.whole("order", 1000),
        timeout=params.number("timeout"),
        stream_timeout=params.number("stream_timeout"),
        max_retries=params.whole("max_retries", 10),
        temperature=params.number("temperature"),
        max_output_tokens=params.whole("max_tokens", _MOST_OUTPUT),
    )
    for part in filter(None, (entry, params, info)):
        for key in part.rest():
            if part is not info or key not in _HARMLESS:
                part.findings.remark(*part.place(key), "is not taken over: Gatehouse has no such setting of a model")
    return deployment


def _either(entry: Settings, params: Settings, key: str, most: int) -> int | None:
    """Limits stand in `litellm_params`; older files have them beside it."""
    beside, within = entry.whole(key, most), params.whole(key, most)
    return beside if within is None else within


def _key(params: Settings, place: Place, *, allow_inline_keys: bool) -> KeySource | None:
    text = params.raw(place.key)
    line, path = params.place(place.key)
    findings = params.findings
    if text.startswith(FROM_ENVIRONMENT):
        variable = variable_of(text)
        if not variable:
            findings.problems.add(line, path, "must be os.environ/NAME")
            return None
        return KeySource(variable=variable)
    if text:
        if not allow_inline_keys:
            findings.problems.add(
                line,
                path,
                "a key in clear: move it into the environment and write os.environ/NAME, or take it over from the file "
                "as it is with --allow-inline-keys",
            )
            return None
        return KeySource(material=text)
    if place.variable and (place.needs_key or place.variable in findings.environment):
        return KeySource(variable=place.variable)
    return None


def _model(params: Settings, info: Settings | None, place: Place, *, vectors: bool) -> Model:
    fields: dict[str, Any] = {"provider_model_id": place.model}
    if vectors:
        fields["capabilities"] = Capabilities(embeddings=True)
    if info is not None:
        fields["context_tokens"] = info.whole("max_input_tokens", _MOST_TOKENS)
        # LiteLLM's `max_tokens` is the output's where both are said, and an older word for it.
        outputs = [info.whole(key, _MOST_OUTPUT) for key in ("max_output_tokens", "max_tokens")]
        fields["max_output_tokens"] = next((each for each in outputs if each is not None), None)
        said = {name: info.flag(key) for name, key in _ABILITIES}
        if not vectors and any(flag is not None for flag in said.values()):
            fields["capabilities"] = Capabilities(
                **{name: name in _USUAL if flag is None else flag for name, flag in said.items()}
            )
    fields["price"] = _price(params, info)
    return Model(**{name: value for name, value in fields.items() if value is not None})


def _price(params: Settings, info: Settings | None) -> ModelPrice | None:
    prices: dict[str, int] = {}
    for name, key in _PRICES:
        for part in filter(None, (params, info)):
            per_token = part.number(key)
            if per_token is None:
                continue
            exact = per_token * _PER_TOKEN
            prices[name] = int(exact.to_integral_value(ROUND_HALF_UP))
            if exact != prices[name]:
                part.findings.remark(*part.place(key), "is rounded to micro-dollars per million tokens")
    if not prices:
        return None
    if "input_micro_usd_per_million" not in prices or "output_micro_usd_per_million" not in prices:
        params.findings.remark(
            params.line,
            params.path,
            "its price is not taken over: one price alone, of input or output, is none; the catalogue's holds",
        )
        return None
    return ModelPrice(**prices)
