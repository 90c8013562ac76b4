from __future__ import annotations

from gatehouse.usage.v1.error_reason_pb2 import ErrorReason

from services.usage_accounting.domain.errors import Reason


def test_every_reason_is_documented_in_the_proto() -> None:
    documented = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118 - an enum wrapper
    assert set(Reason) <= documented
