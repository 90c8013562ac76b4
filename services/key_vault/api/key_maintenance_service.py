"""gatehouse.keyvault.v1.KeyMaintenanceService."""

from __future__ import annotations

from typing import Any

import grpc
from gatehouse.keyvault.v1 import key_maintenance_service_pb2 as pb
from gatehouse.keyvault.v1.key_maintenance_service_pb2_grpc import KeyMaintenanceServiceServicer

from libs.rpc.authors import current_author
from services.key_vault.api import convert
from services.key_vault.domain.rewrap_keys import KeyRewrapper

_Context = grpc.aio.ServicerContext[Any, Any]


class KeyMaintenanceServicer(KeyMaintenanceServiceServicer):
    """What operators do to all keys at once."""

    def __init__(self, rewrapper: KeyRewrapper) -> None:
        self._rewrapper = rewrapper

    async def RewrapKeys(self, request: pb.RewrapKeysRequest, context: _Context) -> pb.RewrapKeysResponse:
        """See the proto."""
        run = await self._rewrapper.begin(current_author(), rotate_sealing_key=request.rotate_sealing_key)
        return pb.RewrapKeysResponse(progress=convert.rewrap_progress(run))

    async def GetRewrapProgress(
        self, request: pb.GetRewrapProgressRequest, context: _Context
    ) -> pb.GetRewrapProgressResponse:
        """See the proto."""
        run = await self._rewrapper.progress()
        return pb.GetRewrapProgressResponse(progress=convert.rewrap_progress(run))
