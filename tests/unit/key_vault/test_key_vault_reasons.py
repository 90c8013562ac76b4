"""The error contract."""

from __future__ import annotations

import pytest
from gatehouse.keyvault.v1 import error_reason_pb2

from services.key_vault.domain.errors import Reason


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_in_the_api(reason: Reason) -> None:
    assert f"ERROR_REASON_{reason.value}" in dict(error_reason_pb2.ErrorReason.items())
