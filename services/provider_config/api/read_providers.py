"""Requests about providers as domain values; all wrong fields are reported at once."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import fields

from gatehouse.providerconfig.v1 import provider_pb2, provider_service_pb2

from libs.core.resource_names import ID_RULE, KeyName, Owner, ProviderName, is_id
from libs.core.validation import FieldChecks
from services.provider_config.api.field_masks import fields_to_change
from services.provider_config.api.read_names import etag_in, name_in
from services.provider_config.api.request_ids import check_request_id
from services.provider_config.domain.changes import Act
from services.provider_config.domain.create_provider import CreateProvider
from services.provider_config.domain.endpoints import endpoint_problem
from services.provider_config.domain.provider import DEFAULT_PRIORITY, ProviderSettings
from services.provider_config.domain.provider_types import PROVIDER_TYPES
from services.provider_config.domain.update_provider import UpdateProvider

_MUTABLE = frozenset(each.name for each in fields(ProviderSettings))
_MAX_DISPLAY_NAME = 200
_MAX_DESCRIPTION = 2000
_MAX_URL = 2048
_MAX_PRIORITY = 1000


def create_command(
    request: provider_service_pb2.CreateProviderRequest,
    *,
    uid: str,
    act: Act,
    allow_loopback: bool,
) -> CreateProvider:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        owner = name_in(check, Owner.parse, request.parent, field="parent")
        check.identifier("provider_id", request.provider_id)
        check_request_id(check, request.request_id)
        settings = _settings(check, request.provider, _MUTABLE, owner=owner, allow_loopback=allow_loopback)
        provider_type = PROVIDER_TYPES.get(request.provider.type)
        if provider_type is None:
            check.fail("provider.type", f"must be one of {', '.join(PROVIDER_TYPES)}")
        else:
            settings = settings.completed(provider_type, check)
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
    request: provider_service_pb2.UpdateProviderRequest, *, act: Act, allow_loopback: bool
) -> UpdateProvider:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    provider = request.provider
    # A name that is none says nothing of an owner, so it is refused before the fields that depend on it.
    name = ProviderName.parse(provider.name, field="provider.name")
    with FieldChecks() as check:
        changing = fields_to_change(check, request.update_mask, provider, _MUTABLE)
        settings = _settings(check, provider, changing, owner=name.owner, allow_loopback=allow_loopback)
        etag = etag_in(check, provider.etag, field="provider.etag")
    # An explicit mask does not speak of the type, which therefore is not looked at.
    speaks_of_type = list(request.update_mask.paths) in ([], ["*"])
    return UpdateProvider(
        name=name,
        fields=changing,
        settings=settings,
        type=provider.type if speaks_of_type else "",
        etag=etag,
        act=act,
    )


def _settings(
    check: FieldChecks,
    provider: provider_pb2.Provider,
    wanted: AbstractSet[str],
    *,
    owner: Owner | None,
    allow_loopback: bool,
) -> ProviderSettings:
    """The settings in `provider`; only those `wanted` are checked, the others are of no use."""
    if "display_name" in wanted:
        check.text("provider.display_name", provider.display_name, most=_MAX_DISPLAY_NAME)
    if "description" in wanted:
        check.text("provider.description", provider.description, most=_MAX_DESCRIPTION)
    if "base_url" in wanted:
        _check_url(check, provider.base_url, allow_loopback=allow_loopback)
    key = _key(check, provider.key, owner) if "key" in wanted else None
    if "default_model" in wanted:
        wrong = provider.default_model and not is_id(provider.default_model)
        check.that(not wrong, "provider.default_model", f"must be empty or a model's id: {ID_RULE}")
    priority = provider.priority if provider.HasField("priority") else DEFAULT_PRIORITY
    if "priority" in wanted:
        check.that(0 <= priority <= _MAX_PRIORITY, "provider.priority", f"must be 0 to {_MAX_PRIORITY}")
    if "labels" in wanted:
        check.labels("provider.labels", provider.labels)
    return ProviderSettings(
        display_name=provider.display_name,
        description=provider.description,
        base_url=provider.base_url,
        key=key,
        default_model=provider.default_model,
        active=provider.active if provider.HasField("active") else True,
        is_default=provider.is_default,
        priority=priority,
        labels=dict(provider.labels),
    )


def _check_url(check: FieldChecks, url: str, *, allow_loopback: bool) -> None:
    if not url:
        return
    if len(url) > _MAX_URL:
        check.text("provider.base_url", url, most=_MAX_URL)
    elif problem := endpoint_problem(url, allow_loopback=allow_loopback):
        check.fail("provider.base_url", problem)


def _key(check: FieldChecks, text: str, owner: Owner | None) -> KeyName | None:
    if not text:
        return None
    key = name_in(check, KeyName.parse, text, field="provider.key")
    if key is None:
        # Refused already; something stands in, so that it is not reported as missing too.
        return KeyName(owner or Owner(), text)
    if owner is not None:
        check.that(key.owner == owner, "provider.key", f"must be a key of the same owner, {owner}/keys/{{key}}")
    return key
