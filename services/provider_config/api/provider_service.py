"""gatehouse.providerconfig.v1.ProviderService."""

from __future__ import annotations

import uuid
from functools import partial

from gatehouse.providerconfig.v1 import provider_service_pb2 as pb
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import ProviderServiceServicer

from libs.core.clock import Clock
from libs.core.page_tokens import encode_page_token
from libs.core.resource_names import Owner, ProviderName
from libs.core.validation import FieldChecks
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.provider_config.api import convert, read_providers
from services.provider_config.api.acts import current_act
from services.provider_config.api.read_names import etag_in, page_in
from services.provider_config.api.request_ids import remembered_as
from services.provider_config.domain.changes import once
from services.provider_config.domain.create_provider import CreateProvider, create_provider
from services.provider_config.domain.delete_provider import delete_provider
from services.provider_config.domain.look_up import get_provider, list_providers
from services.provider_config.domain.ports import ConfigStore, Transaction
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from services.provider_config.domain.update_provider import update_provider

_log = get_logger(__name__)


class ProviderServicer(ProviderServiceServicer):
    """Manages providers. `allow_loopback`: as in `endpoint_problem`."""

    def __init__(self, store: ConfigStore, *, clock: Clock, allow_loopback: bool) -> None:
        self._store = store
        self._clock = clock
        self._allow_loopback = allow_loopback

    async def CreateProvider(self, request: pb.CreateProviderRequest, _context: object) -> pb.CreateProviderResponse:
        """Create a provider."""
        act = current_act("CreateProvider", self._clock)
        command = read_providers.create_command(
            request,
            uid=str(uuid.uuid4()),
            act=act,
            allow_loopback=self._allow_loopback,
        )
        work = partial(
            once,
            request=remembered_as(request, caller=act.author.actor),
            effect=partial(_create, command=command),
            encode=pb.CreateProviderResponse.SerializeToString,
            decode=pb.CreateProviderResponse.FromString,
            now=act.now,
        )
        response = await self._store.write(work)
        _log_change(response.provider.name, response.revision)
        return response

    async def GetProvider(self, request: pb.GetProviderRequest, _context: object) -> pb.GetProviderResponse:
        """Read a provider."""
        provider = await self._store.read(partial(get_provider, name=ProviderName.parse(request.name)))
        return pb.GetProviderResponse(provider=convert.provider_message(provider))

    async def ListProviders(self, request: pb.ListProvidersRequest, _context: object) -> pb.ListProvidersResponse:
        """Read a page of the providers of one owner."""
        owner = Owner.parse(request.parent)
        bound_to = {"method": "ListProviders", "parent": request.parent}
        size, after = page_in(request.page_size, request.page_token, bound_to)
        found = await self._store.read(partial(list_providers, owner=owner, after=after, size=size))
        more = len(found) > size
        return pb.ListProvidersResponse(
            providers=map(convert.provider_message, found[:size]),
            next_page_token=encode_page_token(found[size - 1].name.provider, bound_to) if more else "",
        )

    async def UpdateProvider(self, request: pb.UpdateProviderRequest, _context: object) -> pb.UpdateProviderResponse:
        """Change a provider."""
        act = current_act("UpdateProvider", self._clock)
        command = read_providers.update_command(request, act=act, allow_loopback=self._allow_loopback)
        changed = await self._store.write(partial(update_provider, command=command))
        _log_change(str(command.name), changed.revision)
        return pb.UpdateProviderResponse(provider=convert.provider_message(changed.resource), revision=changed.revision)

    async def DeleteProvider(self, request: pb.DeleteProviderRequest, _context: object) -> pb.DeleteProviderResponse:
        """Delete a provider and its models."""
        name = ProviderName.parse(request.name)
        with FieldChecks() as check:
            etag = etag_in(check, request.etag, field="etag")
        act = current_act("DeleteProvider", self._clock)
        revision = await self._store.write(partial(delete_provider, name=name, etag=etag, act=act))
        _log_change(request.name, revision)
        return pb.DeleteProviderResponse(revision=revision)

    async def ListProviderTypes(
        self, _request: pb.ListProviderTypesRequest, _context: object
    ) -> pb.ListProviderTypesResponse:
        """List the kinds of providers."""
        return pb.ListProviderTypesResponse(provider_types=map(convert.provider_type_message, PROVIDER_TYPES.values()))


def _create(transaction: Transaction, command: CreateProvider) -> pb.CreateProviderResponse:
    changed = create_provider(transaction, command)
    return pb.CreateProviderResponse(provider=convert.provider_message(changed.resource), revision=changed.revision)


def _log_change(name: str, revision: int) -> None:
    if revision:  # 0: the request only asked whether it would do
        _log.info(names.EVENT_CONFIG_CHANGED, **{names.FIELD_RESOURCE: name, names.FIELD_REVISION: revision})
