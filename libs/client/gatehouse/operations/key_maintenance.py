"""Calls of gatehouse.keyvault.v1.KeyMaintenanceService. They need a token with the role super_admin."""

from __future__ import annotations

from gatehouse.keyvault.v1.key_maintenance_service_pb2 import (
    GetRewrapProgressRequest,
    GetRewrapProgressResponse,
    RewrapKeysRequest,
    RewrapKeysResponse,
    RewrapProgress,
)
from gatehouse.operations.operation import Operation, operation

_SERVICE = "/gatehouse.keyvault.v1.KeyMaintenanceService"


def rewrap(*, rotate_sealing_key: bool = False) -> Operation[RewrapProgress]:
    """Begin to bring every stored key to the newest version of Vault's sealing key, or join the run that is under way.

    It goes on in the background while keys are being used. `rotate_sealing_key` makes that newest version first.
    """
    return operation(
        "key_vault",
        f"{_SERVICE}/RewrapKeys",
        RewrapKeysRequest(rotate_sealing_key=rotate_sealing_key),
        RewrapKeysResponse,
        lambda response: response.progress,
    )


def rewrap_progress() -> Operation[RewrapProgress | None]:
    """How far the last run is; None when there never was one."""
    return operation(
        "key_vault",
        f"{_SERVICE}/GetRewrapProgress",
        GetRewrapProgressRequest(),
        GetRewrapProgressResponse,
        lambda response: response.progress if response.HasField("progress") else None,
    )
