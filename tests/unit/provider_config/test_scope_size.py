"""The bound on a scope holds for what is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from libs.core.resource_names import KeyName, ModelName, Owner, ProviderName
from services.provider_config.api.convert import news_message
from services.provider_config.domain.model import Model, ModelPrice, ModelSettings
from services.provider_config.domain.provider import Provider, ProviderSettings
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from services.provider_config.domain.scope_size import MAX_SCOPE_BYTES, model_bytes, provider_bytes
from services.provider_config.domain.snapshot import ProviderSnapshot, Snapshot

_LATE = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_GRPC_LIMIT_BYTES = 4 * 1024 * 1024
_long = "x" * 63
_texts = st.text(st.characters(codec="utf-8"), max_size=300)


def _provider(text: str, labels: dict[str, str], owner: Owner) -> Provider:
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
            labels=labels,
        ),
        created_by=str(owner),
        create_time=_LATE,
        update_time=_LATE,
    )


def _model(text: str, owner: Owner) -> Model:
    price = 10**12
    return Model(
        name=ModelName(ProviderName(owner, _long), _long),
        uid="0" * 36,
        version=1,
        settings=ModelSettings(
            display_name=text,
            provider_model_id=text,
            context_tokens=10**8,
            max_output_tokens=10**7,
            capabilities=PROVIDER_TYPES["openai"].capabilities,
            price=ModelPrice(input=price, output=price, cache_read=price, cache_write=price, reasoning=price),
        ),
        create_time=_LATE,
        update_time=_LATE,
    )


@given(_texts, st.dictionaries(_texts, _texts, max_size=5), st.sampled_from([Owner(), Owner(_long, _long)]))
def test_a_provider_and_a_model_take_no_more_than_is_counted(text: str, labels: dict[str, str], owner: Owner) -> None:
    provider, model = _provider(text, labels, owner), _model(text, owner)
    snapshot = Snapshot(
        scope=Owner(_long),
        revision=2**62,
        providers=[ProviderSnapshot(provider=provider, models=[model] * 3)] * 2,
    )
    counted = 2 * (provider_bytes(provider) + 3 * model_bytes(model))
    frame = news_message(replace(snapshot, providers=())).ByteSize() + 16
    assert news_message(snapshot).ByteSize() <= counted + frame


def test_the_largest_scope_fits_into_a_grpc_message() -> None:
    assert MAX_SCOPE_BYTES < _GRPC_LIMIT_BYTES
