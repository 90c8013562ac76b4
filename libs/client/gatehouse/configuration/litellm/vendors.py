"""Where LiteLLM's providers live: the word before a model's name (`groq/llama-3.1-8b-instant`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from gatehouse.configuration.litellm.clouds import azure, vertex
from gatehouse.configuration.litellm.places import Parameters, Place, has_option
from gatehouse.providerconfig.v1.provider_pb2 import ProviderType

OPENAI, COMPATIBLE, OLLAMA = "openai", "openai_compatible", "ollama"


@dataclass(frozen=True, slots=True)
class Vendor:
    """A provider that speaks OpenAI's Chat Completions. `base_url` is empty where `api_base` must say; `variable` holds
    its key where the file names none, empty for one that needs no key; `suffix` is what LiteLLM's `api_base` lacks;
    `server` is the option that tells its ways, where they are known.
    """

    base_url: str = ""
    variable: str = ""
    suffix: str = ""
    server: str = ""


# From the vendors' own documentation of their OpenAI-compatible endpoints. Ollama's is for a Gatehouse that does not
# speak Ollama's own API.
_VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {
        "cerebras": Vendor("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
        "custom_openai": Vendor(),
        "deepinfra": Vendor("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
        "deepseek": Vendor("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", server="deepseek"),
        "fireworks_ai": Vendor("https://api.fireworks.ai/inference/v1", "FIREWORKS_AI_API_KEY"),
        "groq": Vendor("https://api.groq.com/openai/v1", "GROQ_API_KEY", server="groq"),
        "hosted_vllm": Vendor(server="vllm"),
        "litellm_proxy": Vendor(),
        "llamafile": Vendor(server="llama_cpp"),
        "lm_studio": Vendor(server="lm_studio"),
        "mistral": Vendor("https://api.mistral.ai/v1", "MISTRAL_API_KEY", server="mistral"),
        "nvidia_nim": Vendor("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
        "ollama": Vendor("http://localhost:11434/v1", suffix="/v1"),
        "ollama_chat": Vendor("http://localhost:11434/v1", suffix="/v1"),
        "openai_like": Vendor(),
        "openrouter": Vendor("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", server="openrouter"),
        "perplexity": Vendor("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
        "sambanova": Vendor("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
        "together_ai": Vendor("https://api.together.xyz/v1", "TOGETHERAI_API_KEY", server="together"),
        "xai": Vendor("https://api.x.ai/v1", "XAI_API_KEY", server="xai"),
    }
)
_WILDCARD = "a wildcard is no model: add the provider by itself, then read its list with `gatehouse models sync`"
# Names that LiteLLM knows as OpenAI's without a word before them.
_OPENAI_MODEL = re.compile(r"(ft:)?(gpt-|chatgpt-|o[1-9](-|$)|codex-|text-|davinci|babbage|dall-e|whisper|tts-|omni-)")
_NOT_CALLED = re.compile(r"(ft:)?(dall-e|whisper|tts-|omni-moderation|gpt-image|davinci|babbage|text-(?!embedding))")
# What LiteLLM takes at the end of their `api_base` and Gatehouse adds by itself.
_OWN_PATHS = {"anthropic": ("/v1/messages", "/v1"), OLLAMA: ("/v1",)}


def locate(model: str, vendor: str, api_base: str, types: Mapping[str, ProviderType], said: Parameters) -> Place | str:
    """Where `model` of a LiteLLM file lives, or why it cannot be taken over.

    `vendor` is its `custom_llm_provider`, if it has one; `types` are the provider types of the Gatehouse; `said` gives
    what else it says of itself.
    """
    prefix, slash, name = model.partition("/")
    if vendor:
        name = name if slash and prefix == vendor else model
    elif slash:
        vendor = prefix
    elif _OPENAI_MODEL.match(model):
        vendor, name = OPENAI, model
    else:
        return "it does not say whose model it is: write it as PROVIDER/MODEL"
    api_base = api_base.rstrip("/")
    if "*" in name or not name:
        place: Place | str = _WILDCARD
    elif vendor == OPENAI:
        place = _openai(name, api_base, types)
    elif vendor == "azure" and "azure_openai" in types:
        place = azure(name, api_base, said)
    elif vendor == "vertex_ai" and "gemini" in types:
        place = vertex(name, said)
    elif vendor in {OLLAMA, "ollama_chat"} and OLLAMA in types:
        place = _of_type(OLLAMA, name, api_base, types[OLLAMA])
    elif vendor in _VENDORS and COMPATIBLE in types:
        place = _compatible(vendor, name, api_base, types[COMPATIBLE])
    elif vendor in types:
        place = _of_type(vendor, name, api_base, types[vendor])
    else:
        place = f"this Gatehouse does not speak to {vendor}; it speaks to {', '.join(sorted(types)) or 'none'}"
    return place


def _of_type(vendor: str, name: str, api_base: str, of: ProviderType) -> Place:
    """A vendor whose own API is spoken."""
    base_url = api_base
    for path in _OWN_PATHS.get(vendor, ()):
        base_url = base_url.removesuffix(path)
    own = not api_base or urlsplit(api_base).hostname == urlsplit(of.default_base_url).hostname
    return Place(
        vendor=vendor,
        type=vendor,
        base_url=base_url or of.default_base_url,
        model=name,
        # A vendor's key is not for whoever else the calls go to; who needs one has it in the file then.
        variable=f"{vendor.upper()}_API_KEY" if own or of.requires_key else "",
        needs_key=of.requires_key,
    )


def _compatible(vendor: str, name: str, api_base: str, of: ProviderType) -> Place | str:
    known = _VENDORS[vendor]
    base_url = api_base or known.base_url
    if not base_url:
        return f"{vendor} lives in many places: it needs an api_base"
    if known.suffix and not base_url.endswith(known.suffix):
        base_url += known.suffix
    # A vendor's key is not for whoever else the calls go to.
    own = not api_base or urlsplit(api_base).hostname == urlsplit(known.base_url).hostname
    variable = known.variable if own else ""
    server = known.server if known.server and has_option(of, "server", known.server) else ""
    return Place(
        vendor=vendor,
        type=COMPATIBLE,
        base_url=base_url,
        model=name,
        variable=variable,
        needs_key=bool(variable),
        options={"server": server} if server else {},
    )


def _openai(name: str, api_base: str, types: Mapping[str, ProviderType]) -> Place | str:
    if _NOT_CALLED.match(name):
        return "it is no chat model and gives no vectors, and Gatehouse calls no others yet"
    default = types[OPENAI].default_base_url if OPENAI in types else ""
    own = not api_base or urlsplit(api_base).hostname == urlsplit(default).hostname
    if own and OPENAI in types:
        return Place(
            vendor=OPENAI,
            type=OPENAI,
            base_url=api_base or default,
            model=name,
            variable="OPENAI_API_KEY",
            needs_key=True,
        )
    if COMPATIBLE not in types or not api_base:
        return f"this Gatehouse does not speak to openai; it speaks to {', '.join(sorted(types)) or 'none'}"
    return Place(
        vendor=urlsplit(api_base).hostname or OPENAI,
        type=COMPATIBLE,
        base_url=api_base,
        model=name,
        variable="",
        needs_key=False,
    )
