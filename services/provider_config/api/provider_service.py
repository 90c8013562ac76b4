"""gatehouse.providerconfig.v1.ProviderService."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial

from gatehouse.providerconfig.v1 import provider_pb2
from gatehouse.providerconfig.v1 import provider_service_pb2 as pb
from gatehouse.providerconfig.v1.provider_service_pb2_grpc import ProviderServiceServicer

from libs.core.clock import Clock
from libs.core.page_tokens import encode_page_token
from libs.core.resource_names import Owner, ProviderName
from libs.telemetry import names
from libs.telemetry.logs import get_logger
from services.provider_config.api import convert, read_probes, read_providers
from services.provider_config.api.acts import current_act, current_token
from services.provider_config.api.change_log import log_change
from services.provider_config.api.page_bytes import fitting
from services.provider_config.api.read_names import page_in, version_page_in
from services.provider_config.api.request_ids import remembered_as
from services.provider_config.domain.changes import once
from services.provider_config.domain.create_provider import CreateProvider, create_provider
from services.provider_config.domain.delete_provider import delete_provider
from services.provider_config.domain.look_up import get_provider, list_providers
from services.provider_config.domain.ports import ConfigStore, Request, Transaction
from services.provider_config.domain.probe_provider import Probing
from services.provider_config.domain.provider_reach import ReachChecks, ReachFindings, checked_reach
from services.provider_config.domain.provider_rules import ProviderRules
from services.provider_config.domain.provider_versions import provider_versions
from services.provider_config.domain.update_provider import rollback_provider, update_provider

_log = get_logger(__name__)


class ProviderServicer(ProviderServiceServicer):
    """Manages providers."""

    def __init__(
        self, store: ConfigStore, reach: ReachChecks, probing: Probing, *, clock: Clock, rules: ProviderRules
    ) -> None:
        self._store = store
        self._reach = reach
        self._probing = probing
        self._clock = clock
        self._rules = rules

    async def CreateProvider(self, request: pb.CreateProviderRequest, _context: object) -> pb.CreateProviderResponse:
        """Create a provider."""
        act = current_act("CreateProvider", self._clock)
        command = read_providers.create_command(request, uid=str(uuid.uuid4()), act=act, rules=self._rules)
        work = partial(_create_once, command=command, request=remembered_as(request, caller=act.author.actor))
        response = await self._reach.write(work)
        log_change(response.provider.name, response.revision)
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
        command = read_providers.update_command(request, act=act, rules=self._rules)
        change = partial(update_provider, command=command, rules=self._rules)
        changed = await self._reach.write(partial(checked_reach, name=command.name, change=change))
        log_change(str(command.name), changed.revision, stored=changed.stored)
        return pb.UpdateProviderResponse(provider=convert.provider_message(changed.resource), revision=changed.revision)

    async def DeleteProvider(self, request: pb.DeleteProviderRequest, _context: object) -> pb.DeleteProviderResponse:
        """Delete a provider and its models."""
        command = read_providers.delete_command(request, act=current_act("DeleteProvider", self._clock))
        deleted = await self._store.write(partial(delete_provider, command=command))
        log_change(request.name, deleted.revision)
        return pb.DeleteProviderResponse(revision=deleted.revision, still_named_by=deleted.still_named_by)

    async def ListProviderVersions(
        self, request: pb.ListProviderVersionsRequest, _context: object
    ) -> pb.ListProviderVersionsResponse:
        """Read a page of what a provider was."""
        name = ProviderName.parse(request.name)
        bound_to = {"method": "ListProviderVersions", "name": request.name}
        size, before = version_page_in(request.page_size, request.page_token, bound_to)
        versions, more = await self._store.read(partial(_version_page, name=name, before=before, size=size))
        return pb.ListProviderVersionsResponse(
            versions=versions,
            next_page_token=encode_page_token(str(versions[-1].version), bound_to) if more else "",
        )

    async def RollbackProvider(
        self, request: pb.RollbackProviderRequest, _context: object
    ) -> pb.RollbackProviderResponse:
        """Make a provider what it was."""
        command = read_providers.rollback_command(request, act=current_act("RollbackProvider", self._clock))
        change = partial(rollback_provider, command=command, rules=self._rules)
        changed = await self._reach.write(partial(checked_reach, name=command.name, change=change))
        log_change(request.name, changed.revision, stored=changed.stored)
        provider = convert.provider_message(changed.resource)
        return pb.RollbackProviderResponse(provider=provider, revision=changed.revision)

    async def TestProvider(self, request: pb.TestProviderRequest, _context: object) -> pb.TestProviderResponse:
        """Try a provider."""
        command = read_probes.probe_command(
            request,
            act=current_act("TestProvider", self._clock),
            caller_token=current_token(),
            rules=self._rules,
        )
        test = await self._probing.test(command)
        _log.info(names.EVENT_PROVIDER_PROBED, resource=str(command.name), outcome=test.outcome.value)
        return pb.TestProviderResponse(test=convert.provider_test_message(test))

    async def ListProviderTypes(
        self, _request: pb.ListProviderTypesRequest, _context: object
    ) -> pb.ListProviderTypesResponse:
        """List the kinds of providers."""
        return pb.ListProviderTypesResponse(
            provider_types=map(convert.provider_type_message, self._rules.types.values())
        )


def _create_once(
    transaction: Transaction, findings: ReachFindings, *, command: CreateProvider, request: Request | None
) -> pb.CreateProviderResponse:
    return once(
        transaction,
        request,
        partial(_create, findings=findings, command=command),
        encode=pb.CreateProviderResponse.SerializeToString,
        decode=pb.CreateProviderResponse.FromString,
        now=command.act.now,
    )


def _create(transaction: Transaction, findings: ReachFindings, command: CreateProvider) -> pb.CreateProviderResponse:
    change = partial(create_provider, command=command)
    changed = checked_reach(transaction, findings, name=command.name, change=change)
    return pb.CreateProviderResponse(provider=convert.provider_message(changed.resource), revision=changed.revision)


def _version_page(
    transaction: Transaction, name: ProviderName, before: int | None, size: int
) -> tuple[Sequence[provider_pb2.ProviderVersion], bool]:
    provider, versions = provider_versions(transaction, name, before=before)
    return fitting((convert.provider_version_message(provider, each) for each in versions), size)
