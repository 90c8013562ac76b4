from __future__ import annotations

import pytest
from gatehouse.configuration.difference import difference
from gatehouse.configuration.document import Configuration, as_plain, owner_in, read_document, read_route
from gatehouse.configuration.problems import FileError
from gatehouse.configuration.yaml_text import yaml_text
from gatehouse.providerconfig.v1.route_pb2 import PLATFORM_FALLBACK_LAST, ROUTING_STRATEGY_WEIGHTED
from gatehouse.references import ID_RULE
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings

from tests.unit.client.configuration.configurations import TENANT, USER, tenants, users

DOLLARS = "must be dollars per million tokens, 0 to 1,000,000, with at most 6 decimals"
ABILITIES = (
    "must be one of streaming, tools, json_schema, images, audio, documents, reasoning, embeddings, fixed_sampling"
)
STRATEGIES = "must be one of priority, weighted, lowest_cost, lowest_latency, least_busy, complexity"
PROVIDER = "must name a provider: ID, platform/ID, tenant/ID or a resource name such as tenants/T/providers/ID"


def problems(text: str, parent: str = TENANT) -> list[str]:
    with pytest.raises(FileError) as raised:
        read_document(text.encode(), parent)
    return [str(problem) for problem in raised.value.problems]


def round_trip(configuration: Configuration) -> None:
    text = yaml_text(as_plain(configuration), ["a comment: with {yaml} in it", ""])
    read = read_document(text.encode(), configuration.parent)
    assert difference(configuration, read).changes == ()
    assert difference(read, configuration).changes == ()
    assert yaml_text(as_plain(read), ["a comment: with {yaml} in it", ""]) == text


@settings(max_examples=30, deadline=None)
@given(tenants())
def test_what_a_tenant_has_comes_back_from_yaml_as_it_was(configuration: Configuration) -> None:
    round_trip(configuration)


@settings(max_examples=30, deadline=None)
@given(users())
def test_what_a_user_has_comes_back_from_yaml_as_it_was(configuration: Configuration) -> None:
    round_trip(configuration)


def test_a_whole_document_is_read() -> None:
    found = read_document(
        b"""
        version: 1
        owner: tenant
        providers:
          openai: &defaults
            type: openai
            key: prod
            is_default: true
            timeouts: {first_event: 1m30s}
            options: {organization: org-1, retries: 3, flags: [true, null, 1.5, 'yes']}
            models:
            - id: gpt-4o
              price: {input: 2.5, output: 10, cache_read: 1.25}
              capabilities: [streaming, tools]
          eu:
            <<: *defaults
            is_default: false
            display_name: no
            models: []
        routes:
          default:
            strategy: weighted
            targets:
            - {provider: openai, model: gpt-4o, weight: 0, plans: [pro, 'no']}
            - {provider: platform/openai, weight: 1}
            cache: {mode: off}
        policy: {platform_fallback: last}
        """,
        TENANT,
    )
    assert found.providers is not None
    assert found.routes is not None
    openai, eu = found.providers["openai"], found.providers["eu"]
    assert (openai.name, openai.key, openai.is_default) == (
        "tenants/acme/providers/openai",
        "tenants/acme/keys/prod",
        True,
    )
    assert openai.timeouts.first_event.seconds == 90
    assert MessageToDict(openai.options) == {"organization": "org-1", "retries": 3, "flags": [True, None, 1.5, "yes"]}
    assert (eu.type, eu.is_default, eu.display_name) == ("openai", False, "no")
    assert found.models["eu"] == {}
    model = found.models["openai"]["gpt-4o"]
    assert (model.price.input_micro_usd_per_million, model.price.cache_read_micro_usd_per_million) == (
        2_500_000,
        1_250_000,
    )
    assert model.capabilities.tools
    route = found.routes["default"]
    assert route.strategy == ROUTING_STRATEGY_WEIGHTED
    assert (list(route.targets[0].plans), route.targets[0].HasField("weight")) == (["pro", "no"], True)
    assert route.targets[1].provider == "platform/providers/openai"
    assert found.policy is not None
    assert found.policy.platform_fallback == PLATFORM_FALLBACK_LAST


def test_a_section_that_is_not_there_is_not_spoken_of() -> None:
    found = read_document(b"version: 1\nproviders: {a: {type: openai}}", TENANT)
    assert (found.routes, found.policy, found.models) == (None, None, {})
    assert read_document(b"routes:\n", TENANT).routes == {}


def test_every_mistake_is_told_with_its_line_and_path() -> None:
    assert problems(
        """version: 2
providers:
  openai:
    prority: 3
    timeouts: {connect: soon, idle: 5ms}
    limits: {requests_per_minute: -1}
    default_temperature: hot
    active: yes
    labels: [a]
    models:
    - {id: gpt-4o, price: {input: cheap}}
    - id: gpt-4o
    - capabilities: [fly]
    - text
  Big: {type: openai}
routes:
  x:
    strategy: weightd
    targets: [{provider: a/b/c}, {provider: openai}, {provider: openai}]
    tiers: [{id: a, targets: []}]
polcy: {}
profiles: {}
"""
    ) == [
        "line 1: version: must be 1: this version of gatehouse reads no other",
        "line 3: providers.openai.type: is missing",
        "line 4: providers.openai.prority: is not known here; did you mean priority?",
        "line 5: providers.openai.timeouts.connect: must be a duration such as 250ms, 30s, 5m or 1h",
        "line 5: providers.openai.timeouts.idle: must be a duration from 10ms to 1d",
        "line 6: providers.openai.limits.requests_per_minute: must be a whole number from 0 to 10,000,000",
        "line 7: providers.openai.default_temperature: must be a number from 0 to 2",
        "line 8: providers.openai.active: must be true or false",
        "line 9: providers.openai.labels: must be names with texts: {team: ml}",
        f"line 11: providers.openai.models[0].price.input: {DOLLARS}",
        "line 11: providers.openai.models[0].price.output: is missing",
        "line 12: providers.openai.models[1].id: the same id as providers.openai.models[0]",
        f"line 13: providers.openai.models[2].capabilities[0]: {ABILITIES}",
        "line 13: providers.openai.models[2].id: is missing",
        "line 14: providers.openai.models[3]: must be a mapping with an id: {id: gpt-4o-mini}",
        f"line 15: providers.Big: must be an id: {ID_RULE}",
        f"line 18: routes.x.strategy: {STRATEGIES}",
        f"line 19: routes.x.targets[0].provider: {PROVIDER}",
        "line 19: routes.x.targets[2]: the same target as routes.x.targets[1]",
        "line 20: routes.x.tiers[0].most_score: is missing",
        "line 21: polcy: is not known here; did you mean policy?",
        "line 22: profiles: a tenant has none; they belong to a user: see --owner",
    ]


def test_two_defaults_are_refused_naming_both() -> None:
    text = """providers:
  a: {type: openai, is_default: true, default_for_tasks: [extraction]}
  b: {type: openai, is_default: true, default_for_tasks: [validation, extraction]}
"""
    both = "providers.a and providers.b both are the default"
    assert problems(text) == [
        f"line 3: providers.b.default_for_tasks: {both} for extraction; an owner has one",
        f"line 3: providers.b.is_default: {both}; an owner has one",
    ]


def test_duplicate_ids_are_refused() -> None:
    assert problems("providers:\n  a: {type: openai}\n  a: {type: openai}\n") == [
        "line 3: providers.a: stands here twice, first on line 2"
    ]
    assert (
        problems(
            """routes:
  x:
    strategy: complexity
    tiers: [{id: a, most_score: 1, targets: []}, {id: a, most_score: 100, targets: []}]
    experiment: {id: e, arms: [{id: c, share_percent: 1, target: {provider: a}}, {id: c, share_percent: 0}]}
"""
        )[0]
        == "line 4: routes.x.tiers[1]: the same tier as routes.x.tiers[0]"
    )


@pytest.mark.parametrize(
    "line",
    [
        "api_key: sk-abc",
        "apikey: x",
        "options: {client_secret: x}",
        "options: {x: {password: y}}",
        "labels: {token: x}",
        "display_name: sk-proj-abcdefghijklmnop1234",
        "options: {x: [gsk_abcdefghijklmnop1234]}",
        "base_url: https://x/?k=sk-abcdefghijklmnop1234",
    ],
)
def test_a_key_in_clear_is_refused_and_never_repeated(line: str) -> None:
    told = problems(f"providers:\n  a:\n    type: openai\n    {line}\n")
    assert any("looks like a key in clear" in problem and "keys create" in problem for problem in told)
    assert not any("abc" in problem or ": x" in problem for problem in told)


def test_what_an_owner_cannot_have_is_refused() -> None:
    assert problems("owner: user\nproviders: {}") == [
        "line 1: owner: must be one of tenant, user, platform, and that which --owner says: tenant"
    ]
    assert "routes: a user has none; they belong to a tenant" in problems("routes: {}", USER)[0]
    assert "preferences: a platform has none; they belong to a user" in problems("preferences: {}", "platform")[0]
    assert owner_in(b"owner: user\nx: [") == ""
    assert owner_in(b"owner: user\nnonsense: 1") == "user"
    assert owner_in(b"owner: me") == ""


def test_a_user_names_what_is_the_tenants() -> None:
    found = read_document(b"preferences: {preferred: {provider: tenant/openai}, tasks: {x: {provider: mine}}}", USER)
    assert found.preferences is not None
    assert found.preferences.preferred.provider == "tenants/acme/providers/openai"
    assert found.preferences.tasks[0].choice.provider == "tenants/acme/users/ann/providers/mine"


def test_one_route_is_read_from_a_file_of_its_own() -> None:
    route = read_route(b"strategy: priority\ntargets: [{provider: openai}]\nfallback_route: default\n", "x", TENANT)
    assert (route.name, route.fallback_route) == ("tenants/acme/routes/x", "tenants/acme/routes/default")
    with pytest.raises(FileError, match="line 1: strategy: must be one of"):
        read_route(b"strategy: x", "x", TENANT)


@pytest.mark.parametrize("text", ["", "- a", "text"])
def test_what_is_no_document_is_refused(text: str) -> None:
    assert problems(text) == ["line 1: the file must be a mapping of version, owner, providers, routes, policy"]


def test_a_mistake_in_a_list_or_mapping_is_told_where_its_key_stands() -> None:
    assert problems("provider:\n\n  openai:\n    type: openai\nroutes:\n\n  x:\n    targets:\n    - provider: a\n") == [
        "line 1: provider: is not known here; did you mean providers?",
        f"line 7: routes.x.strategy: is missing; {STRATEGIES.removeprefix('must be ')}",
    ]


def test_a_file_of_litellm_is_told_how_it_is_read() -> None:
    assert problems("model_list:\n- model_name: a\n") == [
        "line 1: model_list: is of LiteLLM's config.yaml: add --from litellm"
    ]
