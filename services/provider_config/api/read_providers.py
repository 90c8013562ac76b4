"""Requests about providers as domain values; all wrong fields are reported at once."""

from __future__ import annotations

from gatehouse.providerconfig.v1 import provider_service_pb2

from libs.core.resource_names import Owner, ProviderName
from libs.core.validation import FieldChecks
from services.provider_config.api.field_masks import fields_to_change
from services.provider_config.api.read_names import etag_in, name_in
from services.provider_config.api.read_provider_settings import MUTABLE, settings_in
from services.provider_config.api.request_ids import check_request_id
from services.provider_config.domain.changes import Act
from services.provider_config.domain.create_provider import CreateProvider
from services.provider_config.domain.delete_provider import DeleteProvider
from services.provider_config.domain.provider_rules import ProviderRules
from services.provider_config.domain.update_provider import RollbackProvider, UpdateProvider


def create_command(
    request: provider_service_pb2.CreateProviderRequest, *, uid: str, act: Act, rules: ProviderRules
) -> CreateProvider:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        owner = name_in(check, Owner.parse, request.parent, field="parent")
        check.identifier("provider_id", request.provider_id)
        check_request_id(check, request.request_id)
        settings = settings_in(check, request.provider, MUTABLE, owner=owner, rules=rules)
        provider_type = rules.types.get(request.provider.type)
        if provider_type is None:
            check.fail("provider.type", f"must be one of {', '.join(rules.types)}")
        else:
            settings = rules.completed(settings, provider_type, check)
    return CreateProvider(
        # Without an owner there was a violation, and with a violation this line is not reached.
        name=ProviderName(owner or Owner(), request.provider_id),
        type=request.provider.type,
        settings=settings,
        uid=uid,
        act=act,
        validate_only=request.validate_only,
    )


def update_command(
    request: provider_service_pb2.UpdateProviderRequest, *, act: Act, rules: ProviderRules
) -> UpdateProvider:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    provider = request.provider
    # A name that is none says nothing of an owner, so it is refused before the fields that depend on it.
    name = ProviderName.parse(provider.name, field="provider.name")
    with FieldChecks() as check:
        changing = fields_to_change(check, request.update_mask, provider, MUTABLE)
        settings = settings_in(check, provider, changing, owner=name.owner, rules=rules)
        etag = etag_in(check, provider.etag, field="provider.etag")
        contradiction = request.remove_key and settings.key is not None
        check.that(not contradiction, "remove_key", "must not be set together with provider.key")
    # An explicit mask does not speak of the type, which therefore is not looked at.
    speaks_of_type = list(request.update_mask.paths) in ([], ["*"])
    return UpdateProvider(
        name=name,
        fields=changing,
        settings=settings,
        remove_key=request.remove_key,
        type=provider.type if speaks_of_type else "",
        etag=etag,
        act=act,
    )


def delete_command(request: provider_service_pb2.DeleteProviderRequest, *, act: Act) -> DeleteProvider:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        name = name_in(check, ProviderName.parse, request.name, field="name")
        etag = etag_in(check, request.etag, field="etag")
    return DeleteProvider(name=name or ProviderName(Owner(), ""), etag=etag, force=request.force, act=act)


def rollback_command(request: provider_service_pb2.RollbackProviderRequest, *, act: Act) -> RollbackProvider:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        name = name_in(check, ProviderName.parse, request.name, field="name")
        check.that(request.version > 0, "version", "must be a version's number, from 1")
        etag = etag_in(check, request.etag, field="etag")
    return RollbackProvider(name=name or ProviderName(Owner(), ""), version=request.version, etag=etag, act=act)
