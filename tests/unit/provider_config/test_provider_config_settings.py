"""What the service says about settings that do not work."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.provider_config.settings import Settings


def test_a_wrong_environment_is_refused_without_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVIDER_CONFIG_DATABASE_URL", "postgresql://user:hunter2@host/db")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "public_address" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_this_machine_is_no_endpoint_unless_allowed() -> None:
    assert Settings.model_fields["allow_loopback_endpoints"].default is False
