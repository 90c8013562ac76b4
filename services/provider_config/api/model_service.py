"""gatehouse.providerconfig.v1.ModelService."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial

from gatehouse.providerconfig.v1 import model_service_pb2 as pb
from gatehouse.providerconfig.v1.model_service_pb2_grpc import ModelServiceServicer

from libs.core.clock import Clock
from libs.core.page_tokens import encode_page_token
from libs.core.resource_names import ModelName, ProviderName
from services.provider_config.api import convert, read_models, read_probes
from services.provider_config.api.acts import current_act, current_token
from services.provider_config.api.change_log import log_change
from services.provider_config.api.read_names import page_in
from services.provider_config.api.request_ids import remembered_as
from services.provider_config.domain.catalogue import Catalogue
from services.provider_config.domain.changes import once
from services.provider_config.domain.create_model import CreateModel, create_model
from services.provider_config.domain.delete_model import delete_model
from services.provider_config.domain.look_up import get_model, list_models
from services.provider_config.domain.ports import ConfigStore, Transaction
from services.provider_config.domain.provider_types import PROVIDER_TYPES, ProviderTypes
from services.provider_config.domain.sync_models import ModelSync, SyncedModels
from services.provider_config.domain.update_model import update_model


class ModelServicer(ModelServiceServicer):
    """Manages the models of providers."""

    def __init__(
        self,
        store: ConfigStore,
        sync: ModelSync,
        *,
        clock: Clock,
        catalogue: Catalogue,
        types: ProviderTypes = PROVIDER_TYPES,
    ) -> None:
        self._store = store
        self._sync = sync
        self._clock = clock
        self._catalogue = catalogue
        self._types = types

    async def CreateModel(self, request: pb.CreateModelRequest, _context: object) -> pb.CreateModelResponse:
        """Create a model."""
        act = current_act("CreateModel", self._clock)
        command = read_models.create_command(
            request,
            uid=str(uuid.uuid4()),
            act=act,
        )
        work = partial(
            once,
            request=remembered_as(request, caller=act.author.actor),
            effect=partial(_create, command=command, catalogue=self._catalogue, types=self._types),
            encode=pb.CreateModelResponse.SerializeToString,
            decode=pb.CreateModelResponse.FromString,
            now=act.now,
        )
        response = await self._store.write(work)
        log_change(response.model.name, response.revision)
        return response

    async def GetModel(self, request: pb.GetModelRequest, _context: object) -> pb.GetModelResponse:
        """Read a model."""
        model = await self._store.read(partial(get_model, name=ModelName.parse(request.name)))
        return pb.GetModelResponse(model=convert.priced_model_message(model, self._catalogue))

    async def ListModels(self, request: pb.ListModelsRequest, _context: object) -> pb.ListModelsResponse:
        """Read a page of the models of one provider."""
        provider = ProviderName.parse(request.parent, field="parent")
        bound_to = {"method": "ListModels", "parent": request.parent}
        size, after = page_in(request.page_size, request.page_token, bound_to)
        found = await self._store.read(partial(list_models, name=provider, after=after, size=size))
        more = len(found) > size
        return pb.ListModelsResponse(
            models=[convert.priced_model_message(model, self._catalogue) for model in found[:size]],
            next_page_token=encode_page_token(found[size - 1].name.model, bound_to) if more else "",
        )

    async def UpdateModel(self, request: pb.UpdateModelRequest, _context: object) -> pb.UpdateModelResponse:
        """Change a model."""
        command = read_models.update_command(request, act=current_act("UpdateModel", self._clock))
        work = partial(update_model, command=command, catalogue=self._catalogue, types=self._types)
        changed = await self._store.write(work)
        log_change(str(command.name), changed.revision, stored=changed.stored)
        model = convert.priced_model_message(changed.resource, self._catalogue)
        return pb.UpdateModelResponse(model=model, revision=changed.revision)

    async def DeleteModel(self, request: pb.DeleteModelRequest, _context: object) -> pb.DeleteModelResponse:
        """Delete a model."""
        command = read_models.delete_command(request, act=current_act("DeleteModel", self._clock))
        deleted = await self._store.write(partial(delete_model, command=command))
        log_change(request.name, deleted.revision)
        return pb.DeleteModelResponse(revision=deleted.revision, still_named_by=deleted.still_named_by)

    async def SyncModels(self, request: pb.SyncModelsRequest, _context: object) -> pb.SyncModelsResponse:
        """Add what a provider's own list has and the configuration lacks."""
        act = current_act("SyncModels", self._clock)
        command = read_probes.sync_command(request, act=act, caller_token=current_token())
        synced = await self._sync(command)
        log_change(str(command.name), synced.revision)
        # Of thousands of models, which takes seconds.
        return await asyncio.to_thread(_synced, synced, self._catalogue)


def _synced(synced: SyncedModels, catalogue: Catalogue) -> pb.SyncModelsResponse:
    return pb.SyncModelsResponse(
        added=[convert.priced_model_message(model, catalogue) for model in synced.added],
        not_listed=map(str, synced.not_listed),
        skipped=synced.skipped,
        known_count=synced.known_count,
        revision=synced.revision,
    )


def _create(
    transaction: Transaction, command: CreateModel, catalogue: Catalogue, types: ProviderTypes
) -> pb.CreateModelResponse:
    changed = create_model(transaction, command, catalogue, types)
    model = convert.priced_model_message(changed.resource, catalogue)
    return pb.CreateModelResponse(model=model, revision=changed.revision)
