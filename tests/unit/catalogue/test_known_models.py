"""The table of well-known models, and how a model is found in it."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest
from gatehouse.providerconfig.v1 import provider_pb2

from libs.catalogue import known_models
from libs.catalogue.known_models import KnownModels

_TABLE = tomllib.loads(Path(known_models.__file__).with_suffix(".toml").read_text())
_ENTRIES = [(provider_type, entry) for provider_type, entries in _TABLE.items() for entry in entries]


@pytest.fixture(scope="module")
def models() -> KnownModels:
    return KnownModels()


def test_no_model_has_two_entries() -> None:
    ids = Counter((provider_type, model_id) for provider_type, entry in _ENTRIES for model_id in entry["ids"])
    assert [each for each, count in ids.items() if count > 1] == []


def test_entries_say_nothing_the_api_has_no_word_for() -> None:
    names = {name for _, entry in _ENTRIES for name in entry["capabilities"]}
    assert names - set(provider_pb2.Capabilities.DESCRIPTOR.fields_by_name) == set()
    assert {key for _, entry in _ENTRIES for key in entry} == {
        "ids", "context_tokens", "max_output_tokens", "capabilities",
    }  # fmt: skip


def test_sizes_are_within_what_a_model_may_have() -> None:
    for _, entry in _ENTRIES:
        assert 0 < entry.get("context_tokens", 1) <= 100_000_000
        assert 0 < entry.get("max_output_tokens", 1) < entry.get("context_tokens", 10_000_000)


def test_ids_are_such_as_are_looked_for() -> None:
    ids = [model_id for _, entry in _ENTRIES for model_id in entry["ids"]]
    assert [each for each in ids if each != each.lower() or ":" in each] == []


@pytest.mark.parametrize(
    "model_id",
    [
        "gpt-4o",
        "GPT-4o",
        "gpt-4o-2024-08-06",
        "gpt-4o-2099-01-01",
        "ft:gpt-4o-2024-08-06:acme::Xy1",
        "ft:gpt-4o:a",
        "gpt-4o-0806",
    ],
)
def test_dated_and_tuned_models_are_what_they_were_made_of(models: KnownModels, model_id: str) -> None:
    assert models.find("openai", model_id) is models.find("openai", "gpt-4o") is not None


@pytest.mark.parametrize(
    "model_id",
    [
        "",
        "gpt-4o-realtime-preview",
        "gpt-4o-transcribe",
        "gpt-4o-12",
        "gpt-4oo",
        "openai/gpt-4o",
        "ft:",
        "ft::",
        "-0613",
    ],
)
def test_a_similar_name_is_not_the_same_model(models: KnownModels, model_id: str) -> None:
    assert models.find("openai", model_id) is None


def test_a_snapshot_with_an_entry_of_its_own_is_not_taken_for_the_model(models: KnownModels) -> None:
    old = models.find("openai", "gpt-4o-2024-05-13")
    assert old is not None
    assert (old.max_output_tokens, "json_schema" in old.capabilities) == (4_096, False)


def test_the_same_id_at_another_type_of_provider_is_not_known(models: KnownModels) -> None:
    assert models.find("openai_compatible", "gpt-4o") is None
    assert models.find("nobody", "gpt-4o") is None
