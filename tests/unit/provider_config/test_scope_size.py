"""The bound on a scope holds for what is sent."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gatehouse.providerconfig.v1 import model_service_pb2, provider_service_pb2
from hypothesis import given
from hypothesis import strategies as st

from libs.core.money import PicoUsdPerToken, TokenPrices
from libs.core.provider_types import Capabilities
from libs.core.resource_names import KeyName, ModelName, Owner, ProviderName
from services.provider_config.api.convert import priced_model_message, provider_message
from services.provider_config.api.convert_snapshots import SnapshotMessages
from services.provider_config.domain.model import Model, ModelPrice, ModelSettings
from services.provider_config.domain.provider import (
    MAX_TEST_MESSAGE,
    Provider,
    ProviderLimits,
    ProviderSettings,
    ProviderTest,
    ProviderTestOutcome,
    ProviderTimeouts,
)
from services.provider_config.domain.scope_size import MAX_SCOPE_BYTES, model_bytes, provider_bytes
from services.provider_config.domain.snapshot import ProviderSnapshot, Snapshot
from tests.unit.provider_config.builders import FakeCatalogue

_LATE = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_GRPC_LIMIT_BYTES = 4 * 1024 * 1024
_long = "x" * 63
_TIMEOUT = timedelta(days=1) - timedelta(microseconds=1)
_PRICE = PicoUsdPerToken(10**15)
_PRICES = TokenPrices(input=_PRICE, output=_PRICE, cache_read=_PRICE, cache_write=_PRICE, reasoning=_PRICE)


class _Dear(FakeCatalogue):
    def price(self, provider_type: str, provider_model_id: str) -> TokenPrices:
        return _PRICES


_DEAR = _Dear()
_texts = st.text(st.characters(codec="utf-8"), max_size=300)


def _provider(text: str, labels: dict[str, str], owner: Owner, options: dict[str, Any]) -> Provider:
    return Provider(
        name=ProviderName(owner, _long),
        uid="0" * 36,
        version=2**62,
        type="openai_compatible",
        settings=ProviderSettings(
            display_name=text,
            description=text,
            base_url=text,
            key=KeyName(owner, _long),
            default_model=_long,
            is_default=True,
            priority=1000,
            weight=1_000_000,
            default_for_tasks=tuple(f"{number:02}{_long[2:]}" for number in range(32)),
            limits=ProviderLimits(
                requests_per_minute=10_000_000, tokens_per_minute=10_000_000_000, concurrent_requests=100_000
            ),
            timeouts=ProviderTimeouts(connect=_TIMEOUT, first_event=_TIMEOUT, idle=_TIMEOUT, total=_TIMEOUT),
            max_retries=10,
            default_temperature=1.99,
            default_max_output_tokens=10_000_000,
            options=options,
            labels=labels,
        ),
        created_by=str(owner),
        create_time=_LATE,
        update_time=_LATE,
        last_test=ProviderTest(
            time=_LATE,
            outcome=ProviderTestOutcome.KEY_UNUSABLE,
            message="é" * MAX_TEST_MESSAGE,
            duration=_TIMEOUT,
            model_count=2**31 - 1,
        ),
    )


def _model(text: str, owner: Owner) -> Model:
    price = 10**12
    return Model(
        name=ModelName(ProviderName(owner, _long), _long),
        uid="0" * 36,
        version=1,
        provider_type="openai",
        settings=ModelSettings(
            display_name=text,
            provider_model_id=text,
            context_tokens=10**8,
            max_output_tokens=10**7,
            capabilities=Capabilities(**{each.name: True for each in fields(Capabilities)}),
            price=ModelPrice(input=price, output=price, cache_read=price, cache_write=price, reasoning=price),
        ),
        create_time=_LATE,
        update_time=_LATE,
    )


_options = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=63),
    st.one_of(st.booleans(), st.floats(allow_nan=False), st.text("abcXYZ09_-", max_size=128)),
    max_size=5,
)
_owners = st.sampled_from([Owner(), Owner(_long, _long)])
_labels = st.dictionaries(_texts, _texts, max_size=5)


@given(_texts, _labels, _owners, _options)
def test_a_provider_and_a_model_take_no_more_than_is_counted(
    text: str, labels: dict[str, str], owner: Owner, options: dict[str, Any]
) -> None:
    provider, model = _provider(text, labels, owner, options), _model(text, owner)
    snapshot = Snapshot(
        scope=Owner(_long),
        revision=2**62,
        providers=[ProviderSnapshot(provider=provider, models=[model] * 3)] * 2,
    )
    counted = 2 * (provider_bytes(provider) + 3 * model_bytes(model))
    message = SnapshotMessages(_DEAR).message
    frame = message(replace(snapshot, providers=())).ByteSize() + 16
    assert message(snapshot).ByteSize() <= counted + frame


@given(_texts, _labels, _owners, _options)
def test_lists_of_providers_and_models_take_no_more_than_is_counted(
    text: str, labels: dict[str, str], owner: Owner, options: dict[str, Any]
) -> None:
    provider, model = _provider(text, labels, owner, options), _model(text, owner)
    providers = provider_service_pb2.ListProvidersResponse(providers=[provider_message(provider)] * 3)
    assert providers.ByteSize() <= 3 * provider_bytes(provider)
    models = model_service_pb2.ListModelsResponse(models=[priced_model_message(model, _DEAR)] * 3)
    assert models.ByteSize() <= 3 * model_bytes(model)


def test_the_largest_scope_fits_into_a_grpc_message() -> None:
    assert MAX_SCOPE_BYTES < _GRPC_LIMIT_BYTES
