"""What models can do beyond their names: prices, abilities, the provider's own list, what can really be used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from gatehouse.cli.model_inputs import ABILITIES
from gatehouse.providerconfig.v1.model_pb2 import Model, ModelPrice
from gatehouse.providerconfig.v1.model_service_pb2 import (
    CreateModelResponse,
    DeleteModelResponse,
    GetModelResponse,
    ListModelsResponse,
    SyncModelsResponse,
    UpdateModelResponse,
)
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities
from gatehouse.router.v1 import generation_service_pb2
from gatehouse.router.v1.generation_service_pb2 import AvailableModel
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from google.type.money_pb2 import Money

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import MODEL, PROVIDER

Run = Callable[..., Any]

CATALOGUED = Model(
    name=f"{PROVIDER.name}/models/gpt-4o",
    provider_model_id="gpt-4o",
    enabled=False,
    catalogue_price=ModelPrice(input_micro_usd_per_million=2_500_000, output_micro_usd_per_million=10_000_000),
)


@pytest.fixture(autouse=True)
def answers(fake: FakeGatehouse) -> None:
    fake.answers |= {
        "CreateModel": lambda _: CreateModelResponse(model=MODEL, revision=44),
        "GetModel": lambda _: GetModelResponse(model=CATALOGUED),
        "providerconfig.ListModels": lambda _: ListModelsResponse(models=[MODEL, CATALOGUED]),
        "UpdateModel": lambda _: UpdateModelResponse(model=MODEL, revision=45),
        "SyncModels": lambda _: SyncModelsResponse(
            added=[CATALOGUED],
            not_listed=[f"{PROVIDER.name}/models/old"],
            skipped=["Weird/Name"],
            known_count=3,
            revision=47,
        ),
    }


def cells(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines() if line.strip()]


def test_every_ability_of_the_api_can_be_said(fake: FakeGatehouse, run: Run) -> None:
    assert set(ABILITIES) == {field.name for field in Capabilities.DESCRIPTOR.fields}
    assert run("models", "create", "m", "--provider", "openai", "--can", ",".join(ABILITIES)).exit_code == 0
    assert all(getattr(fake.last("CreateModel").request.model.capabilities, name) for name in ABILITIES)


def test_every_price_can_be_agreed_and_taken_back(fake: FakeGatehouse, run: Run) -> None:
    prices = ["--input-price", "1", "--output-price", "2", "--cache-write-price", "1.25", "--reasoning-price", "3"]
    assert run("models", "update", "m", "--provider", "openai", *prices, "--force").exit_code == 0
    request = fake.last("UpdateModel").request
    price = request.model.price
    assert (price.cache_write_micro_usd_per_million, price.reasoning_micro_usd_per_million) == (1_250_000, 3_000_000)
    assert request.force
    assert run("models", "update", "m", "--provider", "openai", "--catalogue-price").exit_code == 0
    request = fake.last("UpdateModel").request
    assert (list(request.update_mask.paths), request.model.HasField("price"), request.force) == (
        ["price"],
        False,
        False,
    )
    assert run("models", "update", "m", "--provider", "openai", "--catalogue-price", *prices).exit_code == 2
    assert run("models", "update", "m", "--provider", "openai", "--reasoning-price", "1").exit_code == 2


def test_the_price_that_holds_is_shown_with_where_it_is_from(run: Run) -> None:
    rows = cells(run("models", "list", "--provider", "openai").stdout)
    assert rows[1][-1] == "$0.15 in, $0.60 out"
    assert rows[2][-1] == "$2.50 in, $10.00 out (catalogue)"
    assert "$2.50 in, $10.00 out (catalogue)" in run("models", "get", "gpt-4o", "--provider", "openai").stdout


def test_a_model_is_checked_before_it_is_created(fake: FakeGatehouse, run: Run) -> None:
    result = run("models", "create", "m", "--provider", "openai", "--dry-run")
    assert "nothing was created" in result.stderr
    request = fake.last("CreateModel").request
    assert (request.validate_only, bool(request.request_id)) == (True, True)
    assert not request.model.HasField("context_tokens")


def test_the_providers_own_list_is_taken_over(fake: FakeGatehouse, run: Run) -> None:
    result = run("models", "sync", "openai")
    assert result.exit_code == 0
    assert cells(result.stdout)[1][:3] == ["gpt-4o", "gpt-4o", "disabled"]
    assert result.stderr.splitlines() == [
        "its list does not have old, which stays here",
        "left out, as their names make no id, or one that is taken: Weird/Name",
        "added 1 model, live at revision 47",
        "enable what you want: gatehouse models update MODEL --provider openai --enabled",
    ]
    request = fake.last("SyncModels").request
    assert (request.parent, request.enable, request.validate_only) == (PROVIDER.name, False, False)
    assert fake.last("SyncModels").seconds_left > 60
    dry = run("models", "sync", "openai", "--enable", "--dry-run")
    assert "1 model would be added" in dry.stderr
    request = fake.last("SyncModels").request
    assert (request.enable, request.validate_only) == (True, True)
    assert json.loads(run("models", "sync", "openai", "--json").stdout)["known_count"] == 3
    fake.answers["SyncModels"] = lambda _: SyncModelsResponse(known_count=3)
    assert run("models", "sync", "openai").stderr == "nothing to add: 3 of its models are here\n"


def test_a_model_that_is_named_is_deleted_by_force(fake: FakeGatehouse, run: Run) -> None:
    fake.answers["DeleteModel"] = lambda _: DeleteModelResponse(revision=46, still_named_by=["tenants/acme/routes/x"])
    result = run("models", "delete", "m", "--provider", "openai", "--force", "--yes")
    assert fake.last("DeleteModel").request.force
    assert "tenants/acme/routes/x still names it" in result.stderr


def test_what_can_be_used_is_listed_and_why_not_the_rest(fake: FakeGatehouse, run: Run) -> None:
    pages = {
        "": generation_service_pb2.ListModelsResponse(
            models=[
                AvailableModel(
                    provider=PROVIDER.name,
                    model="gpt-4o-mini",
                    display_name="gpt-4o-mini",
                    usable=True,
                    is_default=True,
                    context_tokens=128_000,
                    capabilities=["streaming", "tools"],
                    input_price_per_million=Money(currency_code="USD", nanos=150_000_000),
                    output_price_per_million=Money(currency_code="USD", nanos=600_000_000),
                )
            ],
            next_page_token="2",
            warnings=["key_vault was not asked"],
        ),
        "2": generation_service_pb2.ListModelsResponse(
            models=[
                AvailableModel(
                    provider="platform/providers/spare",
                    model="big",
                    display_name="The big one",
                    cause="PLATFORM_NOT_ALLOWED",
                    description="your tenant has its own",
                )
            ],
            warnings=["key_vault was not asked"],
        ),
    }
    fake.answers["router.ListModels"] = lambda request: pages[request.page_token]
    result = run("models", "available", "--revision", "7")
    assert cells(result.stdout) == [
        ["PROVIDER", "MODEL", "NAME", "USABLE", "CONTEXT", "CAN", "PRICE PER MILLION"],
        ["openai", "gpt-4o-mini", "yes, the provider's default", "128,000", "streaming, tools", "$0.15 in, $0.60 out"],
        [
            *(
                "spare (platform)",
                "big",
                "The big one",
                "no: your tenant has its own (PLATFORM_NOT_ALLOWED)",
                "unknown",
            ),
            "unknown",
        ],
    ]
    assert result.stderr == "warning: key_vault was not asked\n"
    # Every page waits for the revision, not only the first.
    calls = [call for call in fake.received if call.area == "router"]
    assert [call.metadata["gatehouse-revision"] for call in calls] == ["7", "7"]
    run("models", "available", "--usable-only", "--json")
    assert fake.last("router.ListModels").request.usable_only
    fake.answers["router.ListModels"] = lambda _: generation_service_pb2.ListModelsResponse()
    assert "you can use no model" in run("models", "available", "--usable-only").stderr


def test_a_provider_that_was_asked_just_now_is_asked_again_when_it_may(
    fake: FakeGatehouse, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, paused = fake.answers["SyncModels"], []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        fake.answers["SyncModels"] = answer

    monkeypatch.setattr("gatehouse.cli.models.time.sleep", pause)
    for seconds, exit_code in ((3, 0), (60, 1)):
        soon = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds))
        fake.fails("SyncModels", failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "just now", "TEST_TOO_SOON", soon))
        assert run("models", "sync", "openai").exit_code == exit_code
    assert paused == [3]


def test_a_model_without_a_known_price_is_told_when_it_is_created(fake: FakeGatehouse, run: Run) -> None:
    unpriced = Model(name=f"{PROVIDER.name}/models/llama", provider_model_id="llama", enabled=True)
    fake.answers["CreateModel"] = lambda _: CreateModelResponse(model=unpriced)
    assert "no price" in run("models", "create", "m", "--provider", "openai").stderr
    fake.answers["CreateModel"] = lambda _: CreateModelResponse(model=CATALOGUED)
    assert "no price" not in run("models", "create", "m", "--provider", "openai").stderr
    fake.answers["GetModel"] = lambda _: GetModelResponse(model=unpriced)
    assert ["price per million", "unknown"] in cells(run("models", "get", "llama", "--provider", "openai").stdout)


def test_what_to_do_with_a_new_model_is_told(fake: FakeGatehouse, run: Run) -> None:
    def told(model: Model) -> str:
        fake.answers["CreateModel"] = lambda _: CreateModelResponse(model=model, revision=44)
        return " ".join(run("models", "create", "m", "--provider", "openai").stderr.split())

    name = f"{PROVIDER.name}/models/m"
    assert "try it: gatehouse chat --model m" in told(Model(name=name, enabled=True))
    embedder = Model(name=name, enabled=True, capabilities=Capabilities(embeddings=True))
    assert "try it: gatehouse embed --model m" in told(embedder)
    assert "enable it: gatehouse models update m --provider openai --enabled" in told(Model(name=name))
    theirs = Model(name="platform/providers/openai/models/m")
    assert "--provider platform/providers/openai --enabled" in told(theirs), "an id would mean the tenant's"


def test_a_list_with_unpriced_models_says_what_that_means(fake: FakeGatehouse, run: Run) -> None:
    unpriced = Model(name=f"{PROVIDER.name}/models/llama", provider_model_id="llama")
    fake.answers["SyncModels"] = lambda _: SyncModelsResponse(added=[CATALOGUED, unpriced], revision=47)
    assert "no price of 1 of them" in " ".join(run("models", "sync", "openai").stderr.split())
    fake.answers["SyncModels"] = lambda _: SyncModelsResponse(added=[CATALOGUED], revision=47)
    assert "no price" not in run("models", "sync", "openai").stderr


def test_a_table_in_a_pipe_ends_its_lines_with_words(run: Run) -> None:
    for arguments in (("models", "list", "--provider", "openai"), ("models", "get", "gpt-4o", "--provider", "openai")):
        shown = run(*arguments).stdout
        assert shown == "".join(f"{line.rstrip()}\n" for line in shown.splitlines())
