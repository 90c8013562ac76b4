"""The operator's list of inside places, as a setting of both services that obey it."""

from __future__ import annotations

import ipaddress

import pytest
from pydantic import TypeAdapter, ValidationError

from libs.core.endpoints import AllowedEndpoint
from libs.rpc.allowed_endpoints import AllowedEndpoints
from services.provider_config.settings import Settings as ProviderConfigSettings
from services.router.settings import Settings as RouterSettings

SETTINGS: TypeAdapter[tuple[AllowedEndpoint, ...]] = TypeAdapter(AllowedEndpoints)


def test_entries_are_separated_by_commas() -> None:
    read = SETTINGS.validate_python(" ollama.models:11434, *.gpu.svc ,10.1.0.0/16,[fd00::1]:80,")
    assert read == (
        AllowedEndpoint(name="ollama.models", port=11434),
        AllowedEndpoint(name="*.gpu.svc"),
        AllowedEndpoint(network=ipaddress.ip_network("10.1.0.0/16")),
        AllowedEndpoint(network=ipaddress.ip_network("fd00::1/128"), port=80),
    )


@pytest.mark.parametrize(
    "text", ["http://ollama", "a,b/c", "10.0.0.1/8", ",".join(f"h{number}" for number in range(257))]
)
def test_a_wrong_list_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        SETTINGS.validate_python(text)


@pytest.mark.parametrize("settings", [RouterSettings, ProviderConfigSettings])
def test_nothing_inside_is_allowed_unless_it_is_listed(
    settings: type[RouterSettings | ProviderConfigSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in ("allowed_endpoints", "allow_loopback_endpoints"):
        assert not settings.model_fields[field].default
    monkeypatch.setenv(f"{settings.model_config['env_prefix']}ALLOWED_ENDPOINTS", "ollama/v1")
    with pytest.raises(ValidationError) as caught:
        settings()
    assert any(error["loc"] == ("allowed_endpoints",) for error in caught.value.errors())
