from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gatehouse.configuration.document import as_plain
from gatehouse.configuration.litellm.translation import Translation, translate
from gatehouse.configuration.problems import FileError
from gatehouse.configuration.yaml_text import yaml_text
from gatehouse.providerconfig.v1.provider_pb2 import ProviderType
from gatehouse.providerconfig.v1.route_pb2 import RoutingStrategy
from hypothesis import given
from hypothesis import strategies as st

FILES = Path(__file__).parent.parent / "files"
TYPES = {
    "openai": ProviderType(
        id="openai",
        default_base_url="https://api.openai.com/v1",
        requires_key=True,
        options_schema_json='{"properties": {"organization": {"type": "string"}}}',
    ),
    "openai_compatible": ProviderType(id="openai_compatible"),
}
ENVIRONMENT = {"VLLM_BASE": "https://vllm.example.com/v1/"}


def taken(
    content: str | bytes,
    environment: Mapping[str, str] = ENVIRONMENT,
    types: Mapping[str, ProviderType] = TYPES,
    **more: Any,
) -> Translation:
    data = content.encode() if isinstance(content, str) else content
    return translate(data, "tenants/acme", types=types, environment=environment, **more)


def of_file(name: str, **more: Any) -> Translation:
    return taken((FILES / f"{name}.yaml").read_bytes(), **more)


def plain(translation: Translation) -> Any:
    return as_plain(translation.configuration)


def told(translation: Translation) -> list[str]:
    return [str(remark) for remark in translation.remarks]


def mistakes(content: str, **more: Any) -> list[str]:
    with pytest.raises(FileError) as raised:
        taken(content, **more)
    return [str(problem) for problem in raised.value.problems]


def one(model: str, params: str = "", info: str = "") -> str:
    return f"model_list:\n- model_name: m\n  litellm_params: {{model: '{model}', {params}}}\n  model_info: {{{info}}}\n"


def test_vendors_become_providers_and_deployments_models() -> None:
    translation = of_file("simple")
    assert plain(translation)["providers"] == {
        "groq": {
            "type": "openai_compatible",
            "base_url": "https://api.groq.com/openai/v1",
            "key": "groq-api-key",
            "timeouts": {"total": "10m"},
            "max_retries": 3,
            "models": [{"id": "llama-3.3-groq", "provider_model_id": "llama-3.3-70b-versatile"}],
        },
        "openai": {
            "type": "openai",
            "base_url": "https://api.openai.com/v1",
            "key": "openai-api-key",
            "timeouts": {"total": "10m"},
            "max_retries": 3,
            "models": [
                {"id": "gpt-4o", "provider_model_id": "gpt-4o"},
                {"id": "gpt-4o-mini", "provider_model_id": "gpt-4o-mini"},
            ],
        },
    }
    assert plain(translation)["routes"] == {}
    assert [(key.name, key.provider_type, key.origin, key.source.variable) for key in translation.keys] == [
        ("tenants/acme/keys/openai-api-key", "openai", "https://api.openai.com", "OPENAI_API_KEY"),
        ("tenants/acme/keys/groq-api-key", "openai_compatible", "https://api.groq.com", "GROQ_API_KEY"),
    ]


def test_what_cannot_be_taken_over_is_told_and_no_secret_with_it() -> None:
    remarks = told(of_file("simple"))
    assert [remark.split(": ")[:2] for remark in remarks] == [
        ["line 3", "model_list[0]"],
        ["line 3", "model_list[0]"],
        ["line 13", "model_list[2]"],
        ["line 17", "model_list[3]"],
        ["line 21", "model_list[4]"],
        ["line 27", "litellm_settings.drop_params"],
        ["line 28", "litellm_settings.success_callback"],
        ["line 29", "litellm_settings.cache"],
        ["line 30", "litellm_settings.cache_params"],
        ["line 34", "general_settings"],
    ]
    assert "rpm is not taken over: a limit is the provider's, and its other models have none" in "\n".join(remarks)
    assert "this Gatehouse does not speak to anthropic; it speaks to openai, openai_compatible" in remarks[2]
    assert "calls name it llama-3.3-groq from now on" in remarks[3]
    assert "gatehouse models sync" in remarks[4]
    assert "(master_key, database_url)" in remarks[-1]
    assert not any("sk-1234" in remark or "hunter2" in remark for remark in remarks)


def test_groups_with_several_deployments_or_fallbacks_become_routes() -> None:
    translation = of_file("balanced")
    document = plain(translation)
    groq, ollama = {"provider": "groq", "model": "fast"}, {"provider": "ollama-chat", "model": "fast"}
    openai, vllm = {"provider": "openai", "model": "chat"}, {"provider": "vllm.example.com", "model": "chat"}
    chat = {
        "strategy": "weighted",
        "targets": [{**openai, "weight": 7}, {**vllm, "weight": 2}],
        "fallbacks": [groq, ollama],
    }
    assert document["routes"] == {
        "chat": chat,
        "fast": {"strategy": "priority", "targets": [ollama, groq], "fallbacks": [openai, vllm]},
        "gpt-4": chat,
        "smart": chat,
    }
    provider = document["providers"]["openai"]
    assert provider["timeouts"] == {"first_event": "5s", "total": "30s"}
    assert (provider["options"], provider["max_retries"]) == ({"organization": "org-1"}, 2)
    assert (provider["default_temperature"], provider["default_max_output_tokens"]) == (0.2, 2000)
    assert document["providers"]["vllm.example.com"] == {
        "type": "openai_compatible",
        "base_url": "https://vllm.example.com/v1",
        "key": "vllm-key",
        "timeouts": {"total": "1m"},
        "max_retries": 2,
        "models": [
            {
                "id": "chat",
                "provider_model_id": "meta-llama/Llama-3.3-70B-Instruct",
                "context_tokens": 131072,
                "max_output_tokens": 8192,
                "capabilities": ["streaming", "tools", "json_schema"],
                "price": {"input": Decimal("0.13"), "output": Decimal("0.4")},
            }
        ],
    }
    assert document["providers"]["ollama-chat"]["base_url"] == "http://ollama:11434/v1"
    remarks = "\n".join(told(translation))
    assert "chat is not taken over: this Gatehouse does not speak to azure" in remarks
    assert "embed is not taken over: it is for embedding" in remarks
    assert "gone is not taken over: no deployment of embed is" in remarks
    assert "embed as a fallback of chat is not taken over: no deployment of it is" in remarks
    assert "context_window_fallbacks: become fallbacks" in remarks
    assert "content_policy_fallbacks: is not taken over" in remarks
    assert "redis_host: is not taken over: Gatehouse needs no Redis" in remarks


def test_deployments_are_grouped_by_type_place_and_key() -> None:
    translation = of_file("keys")
    document = plain(translation)
    assert {name: provider["key"] for name, provider in document["providers"].items() if "key" in provider} == {
        "openai": "openai-key-a",
        "openai-2": "openai-key-b",
        "llm.example.com": "openai-key-a-2",
    }
    assert [(key.name.rpartition("/")[2], key.source.variable, key.origin) for key in translation.keys] == [
        ("openai-key-a", "OPENAI_KEY_A", "https://api.openai.com"),
        ("openai-key-b", "OPENAI_KEY_B", "https://api.openai.com"),
        ("openai-key-a-2", "OPENAI_KEY_A", "https://llm.example.com"),
    ]
    assert document["providers"]["openai"]["limits"] == {"requests_per_minute": 10, "tokens_per_minute": 50000}
    assert [model["id"] for model in document["providers"]["openai"]["models"]] == ["team-a", "team-a-mini"]
    local = document["providers"]["hosted-vllm"]
    assert [(model["id"], model["provider_model_id"]) for model in local["models"]] == [
        ("local", "qwen"),
        ("qwen-2", "qwen-2"),
    ]
    assert document["routes"]["local"]["targets"] == [
        {"provider": "hosted-vllm", "model": "local"},
        {"provider": "hosted-vllm", "model": "qwen-2"},
    ]
    remarks = "\n".join(told(translation))
    assert "max_retries is not taken over: it is a setting of a provider, and models of openai differ in it" in remarks
    assert "is the same deployment as one before it" in remarks


def test_a_key_in_clear_needs_consent_and_stays_hidden() -> None:
    content = (FILES / "inline.yaml").read_text()
    (mistake,) = mistakes(content)
    assert mistake.startswith(
        "line 5: model_list[0].litellm_params.api_key: a key in clear: move it into the environment"
    )
    assert "--allow-inline-keys" in mistake
    translation = taken(content, allow_inline_keys=True)
    (key,) = translation.keys
    assert (key.name, key.source.material) == ("tenants/acme/keys/openai", "sk-proj-abcdefghijklmnop1234")
    assert "sk-proj" not in repr(translation)
    assert "sk-proj" not in yaml_text(plain(translation))
    assert told(translation) == [
        "line 6: environment_variables: is not taken over (REDIS_PASSWORD): only variables of the environment are read"
    ]


NO_LITELLM = "line 1: model_list: is missing: this is no config.yaml of LiteLLM's proxy"
PARAMS = "model_list[0].litellm_params"
FALLBACKS = one("openai/gpt-4o") + "router_settings: "


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("a: 1", NO_LITELLM),
        ("- a", NO_LITELLM),
        ("model_list: {}", "line 1: model_list: must be a list"),
        ("model_list: [a]", "line 1: model_list[0]: must be a mapping"),
        ("model_list: [{model_name: a}]", f"line 1: {PARAMS}: is missing"),
        ("model_list: [{litellm_params: {}}]", "line 1: model_list[0].model_name: is missing"),
        (one("openai/x", "rpm: -1"), f"line 3: {PARAMS}.rpm: must be a number that is not negative"),
        (one("openai/x", "rpm: 1.5"), f"line 3: {PARAMS}.rpm: must be a whole number up to 10,000,000"),
        (one("openai/x", "weight: heavy"), f"line 3: {PARAMS}.weight: must be a number that is not negative"),
        (one("openai/x", "api_key: os.environ/a b"), f"line 3: {PARAMS}.api_key: must be os.environ/NAME"),
        (
            one("openai/x", "api_base: os.environ/NOWHERE"),
            f"{PARAMS}.api_base: the environment variable NOWHERE is not set",
        ),
        (
            FALLBACKS + "{fallbacks: 3}",
            "line 5: router_settings.fallbacks: must be a list such as [{gpt-4o: [gpt-4o-mini]}]",
        ),
        (
            FALLBACKS + "{fallbacks: [3]}",
            "line 5: router_settings.fallbacks[0]: must be a mapping such as {gpt-4o: [gpt-4o-mini]}",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(content: str, text: str) -> None:
    assert mistakes(content) == [text]


@pytest.mark.parametrize(
    ("model", "params", "place"),
    [
        ("gpt-4o", "", ("openai", "https://api.openai.com/v1", "gpt-4o")),
        ("o3-mini", "", ("openai", "https://api.openai.com/v1", "o3-mini")),
        ("openai/gpt-4o", "api_base: 'https://api.openai.com/v1/'", ("openai", "https://api.openai.com/v1", "gpt-4o")),
        ("openai/x", "api_base: 'http://h:1/v1'", ("openai_compatible", "http://h:1/v1", "x")),
        ("gpt-4o", "custom_llm_provider: openai", ("openai", "https://api.openai.com/v1", "gpt-4o")),
        ("together_ai/a/b", "", ("openai_compatible", "https://api.together.xyz/v1", "a/b")),
        ("openrouter/anthropic/claude", "", ("openai_compatible", "https://openrouter.ai/api/v1", "anthropic/claude")),
        ("ollama/llama3", "", ("openai_compatible", "http://localhost:11434/v1", "llama3")),
        ("mistral/large", "api_base: 'https://mine/v1'", ("openai_compatible", "https://mine/v1", "large")),
    ],
)
def test_a_model_is_found_where_litellm_finds_it(model: str, params: str, place: tuple[str, str, str]) -> None:
    document = plain(taken(one(model, params)))
    (provider,) = document["providers"].values()
    assert (provider["type"], provider["base_url"], provider["models"][0]["provider_model_id"]) == place


@pytest.mark.parametrize(
    ("model", "params", "why"),
    [
        ("claude-3-opus", "", "it does not say whose model it is"),
        ("bedrock/x", "", "does not speak to bedrock"),
        ("openai/*", "", "a wildcard is no model"),
        ("azure/", "", "a wildcard is no model"),
        ("openai/dall-e-3", "", "it is no chat model"),
        ("hosted_vllm/x", "", "hosted_vllm lives in many places: it needs an api_base"),
    ],
)
def test_what_has_no_place_is_told(model: str, params: str, why: str) -> None:
    translation = taken(one(model, params))
    assert plain(translation)["providers"] == {}
    assert why in told(translation)[0]


def test_a_vendors_key_is_not_sent_elsewhere() -> None:
    assert taken(one("mistral/large", "api_base: 'https://mine/v1'"), {"MISTRAL_API_KEY": "x"}).keys == ()
    assert [key.source.variable for key in taken(one("mistral/large")).keys] == ["MISTRAL_API_KEY"]


def test_types_that_a_later_gatehouse_speaks_are_taken_over() -> None:
    types = {
        **TYPES,
        "anthropic": ProviderType(id="anthropic", default_base_url="https://api.anthropic.com", requires_key=True),
    }
    translation = taken(one("anthropic/claude-sonnet-4-5"), types=types)
    provider = plain(translation)["providers"]["anthropic"]
    assert (provider["type"], provider["base_url"]) == ("anthropic", "https://api.anthropic.com")
    assert translation.keys[0].source.variable == "ANTHROPIC_API_KEY"


@pytest.mark.parametrize(
    ("strategy", "becomes"),
    [
        ("simple-shuffle", "ROUTING_STRATEGY_WEIGHTED"),
        ("least-busy", "ROUTING_STRATEGY_LEAST_BUSY"),
        ("latency-based-routing", "ROUTING_STRATEGY_LOWEST_LATENCY"),
        ("cost-based-routing", "ROUTING_STRATEGY_LOWEST_COST"),
        ("usage-based-routing-v2", "ROUTING_STRATEGY_LEAST_BUSY"),
        ("magic", "ROUTING_STRATEGY_WEIGHTED"),
    ],
)
def test_strategies_become_the_nearest(strategy: str, becomes: str) -> None:
    translation = taken(
        "model_list:\n"
        "- {model_name: m, litellm_params: {model: openai/a, rpm: 300, api_key: os.environ/A}}\n"
        "- {model_name: m, litellm_params: {model: openai/b, rpm: 100, api_key: os.environ/B}}\n"
        f"router_settings: {{routing_strategy: {strategy}}}\n"
    )
    route = (translation.configuration.routes or {})["m"]
    assert RoutingStrategy.Name(route.strategy) == becomes
    weighted = becomes.endswith("WEIGHTED")
    assert [target.weight for target in route.targets] == ([300, 100] if weighted else [0, 0])
    nearest = {"usage-based-routing-v2": "nearest", "magic": "not known here"}
    assert nearest.get(strategy, "") in "\n".join(told(translation))
    assert bool(translation.remarks) == (strategy in nearest)


def test_prices_are_exact_or_told_to_be_rounded() -> None:
    exact = taken(one("openai/x", info="input_cost_per_token: 1.5e-07, output_cost_per_token: 0.0000006"))
    model = exact.configuration.models["openai"]["m"]
    assert (model.price.input_micro_usd_per_million, model.price.output_micro_usd_per_million) == (150_000, 600_000)
    assert told(exact) == []
    rounded = taken(one("openai/x", info="input_cost_per_token: 1.23456789e-07, output_cost_per_token: 1e-6"))
    assert "is rounded to micro-dollars" in told(rounded)[0]
    half = taken(one("openai/x", "input_cost_per_token: 1e-6"))
    assert "one price alone" in told(half)[0]
    assert not half.configuration.models["openai"]["m"].HasField("price")


def test_organization_goes_where_the_type_has_it() -> None:
    bare = {"openai": ProviderType(id="openai", default_base_url="https://api.openai.com/v1")}
    translation = taken(one("openai/x", "organization: org-1"), types=bare)
    assert "organization is not taken over" in told(translation)[0]


names = st.sampled_from(["a", "b", "A b", "c"])
models = st.sampled_from(
    ["openai/gpt-4o", "groq/llama", "azure/x", "openai/*", "claude", "ollama/l", "openai/gpt-4o-mini"]
)


@given(
    st.lists(st.tuples(names, models, st.sampled_from(["K1", "K2"])), max_size=8),
    st.lists(st.tuples(names, st.lists(names, max_size=3)), max_size=3),
    st.dictionaries(names, names, max_size=2),
)
def test_whatever_is_taken_over_holds_together(
    deployments: list[tuple[str, str, str]], fallbacks: list[tuple[str, list[str]]], aliases: dict[str, str]
) -> None:
    import json

    content = json.dumps(
        {
            "model_list": [
                {"model_name": name, "litellm_params": {"model": model, "api_key": f"os.environ/{key}"}}
                for name, model, key in deployments
            ],
            "router_settings": {
                "fallbacks": [{name: others} for name, others in fallbacks],
                "model_group_alias": aliases,
            },
        }
    )
    translation = taken(content)
    configuration = translation.configuration
    keys = {key.name for key in translation.keys}
    places = {model.name for models in configuration.models.values() for model in models.values()}
    for provider in (configuration.providers or {}).values():
        assert not provider.key or provider.key in keys
    for route in (configuration.routes or {}).values():
        targets = [f"{target.provider}/models/{target.model}" for target in (*route.targets, *route.fallbacks)]
        assert set(targets) <= places
        assert len(set(targets)) == len(targets)
        assert route.targets
    lost = sum(model in {"azure/x", "openai/*", "claude"} for _, model, _ in deployments)
    assert (
        sum("is not taken over: " in str(remark) and "model_list[" in str(remark) for remark in translation.remarks)
        >= lost
    )
