"""Requests to try providers and to read their lists as domain values; all wrong fields are reported at once."""

from __future__ import annotations

from dataclasses import replace

from gatehouse.providerconfig.v1 import model_service_pb2, provider_pb2, provider_service_pb2

from libs.core.resource_names import KeyName, Owner, ProviderName
from libs.core.secret import Secret
from libs.core.validation import FieldChecks
from services.provider_config.api.read_names import name_in
from services.provider_config.api.read_provider_settings import MUTABLE, settings_in
from services.provider_config.domain.changes import Act
from services.provider_config.domain.probe_provider import ProbeProvider, UnsavedProvider
from services.provider_config.domain.provider_rules import ProviderRules
from services.provider_config.domain.sync_models import SyncModels

_MOST_MODEL = 256
_MOST_KEY_BYTES = 8192


def probe_command(
    request: provider_service_pb2.TestProviderRequest, *, act: Act, caller_token: Secret, rules: ProviderRules
) -> ProbeProvider:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    provider = request.provider
    # A name that is none says nothing of an owner, so it is refused before the fields that depend on it.
    name = ProviderName.parse(provider.name, field="provider.name")
    with FieldChecks() as check:
        check.text("model", request.model, most=_MOST_MODEL)
        check.that(len(request.api_key) <= _MOST_KEY_BYTES, "api_key", f"must have at most {_MOST_KEY_BYTES} bytes")
        unsaved = None
        if {descriptor.name for descriptor, _ in provider.ListFields()} == {"name"}:
            stray = "must be empty for a provider that is saved, which is tried with its own; give the provider whole"
            check.that(not request.api_key, "api_key", stray)
        else:
            both = request.api_key and provider.key
            check.that(not both, "api_key", "must not be set together with provider.key")
            api_key = Secret(request.api_key) if request.api_key else None
            unsaved = _unsaved(check, provider, api_key, owner=name.owner, rules=rules)
    return ProbeProvider(name=name, unsaved=unsaved, model=request.model, caller_token=caller_token, act=act)


def sync_command(request: model_service_pb2.SyncModelsRequest, *, act: Act, caller_token: Secret) -> SyncModels:
    """The checked request. Raises InvalidArgument naming every wrong field."""
    with FieldChecks() as check:
        name = name_in(check, ProviderName.parse, request.parent, field="parent")
    return SyncModels(
        # Without a name there was a violation, and with a violation this line is not reached.
        name=name or ProviderName(Owner(), ""),
        enable=request.enable,
        validate_only=request.validate_only,
        caller_token=caller_token,
        act=act,
    )


def _unsaved(
    check: FieldChecks, provider: provider_pb2.Provider, api_key: Secret | None, *, owner: Owner, rules: ProviderRules
) -> UnsavedProvider:
    settings = settings_in(check, provider, MUTABLE, owner=owner, rules=rules)
    provider_type = rules.types.get(provider.type)
    if provider_type is None:
        check.fail("provider.type", f"must be one of {', '.join(rules.types)}")
    elif api_key is not None:
        # The rules look for a stored key. This one takes its place, and goes nowhere else.
        settings = rules.completed(replace(settings, key=KeyName(owner, "given")), provider_type, check)
        settings = replace(settings, key=None)
    else:
        settings = rules.completed(settings, provider_type, check)
    return UnsavedProvider(type=provider.type, settings=settings, api_key=api_key)
