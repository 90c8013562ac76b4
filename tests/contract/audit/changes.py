"""One successful call of every RPC that changes the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gatehouse.providerconfig.v1 import (
    model_pb2,
    model_service_pb2,
    preference_pb2,
    preference_service_pb2,
    provider_pb2,
    provider_service_pb2,
    route_pb2,
    route_service_pb2,
)
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

ACME = "tenants/acme"
ANN = f"{ACME}/users/ann"
PROVIDER = f"{ACME}/providers/openai"
MODEL = f"{PROVIDER}/models/gpt-4o"
ROUTE = f"{ACME}/routes/chat"
PROFILE = f"{ANN}/profiles/work"
PACKAGE = "/gatehouse.providerconfig.v1."


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`request` succeeds after the changes named in `after`; it is about `target`."""

    request: Message
    target: str
    after: tuple[str, ...] = field(default=())


_TO_PROVIDER = ("ProviderService/CreateProvider",)
_TO_MODEL = (*_TO_PROVIDER, "ModelService/CreateModel")
_TO_ROUTE = (*_TO_MODEL, "RouteService/CreateRoute")
_TO_PROFILE = (*_TO_PROVIDER, "ProfileService/CreateProfile")
_NAMED = FieldMask(paths=["display_name"])

CHANGES: Mapping[str, Change] = {
    "ProviderService/CreateProvider": Change(
        request=provider_service_pb2.CreateProviderRequest(
            parent=ACME,
            provider_id="openai",
            provider=provider_pb2.Provider(type="openai", key=f"{ACME}/keys/openai"),
        ),
        target=PROVIDER,
    ),
    "ProviderService/UpdateProvider": Change(
        request=provider_service_pb2.UpdateProviderRequest(
            provider=provider_pb2.Provider(name=PROVIDER, display_name="Ours"), update_mask=_NAMED
        ),
        target=PROVIDER,
        after=_TO_PROVIDER,
    ),
    "ProviderService/DeleteProvider": Change(
        request=provider_service_pb2.DeleteProviderRequest(name=PROVIDER), target=PROVIDER, after=_TO_PROVIDER
    ),
    "ProviderService/RollbackProvider": Change(
        request=provider_service_pb2.RollbackProviderRequest(name=PROVIDER, version=1),
        target=PROVIDER,
        after=(*_TO_PROVIDER, "ProviderService/UpdateProvider"),
    ),
    "ProviderService/TestProvider": Change(
        request=provider_service_pb2.TestProviderRequest(provider=provider_pb2.Provider(name=PROVIDER)),
        target=PROVIDER,
        after=_TO_PROVIDER,
    ),
    "ModelService/CreateModel": Change(
        request=model_service_pb2.CreateModelRequest(parent=PROVIDER, model_id="gpt-4o"),
        target=MODEL,
        after=_TO_PROVIDER,
    ),
    "ModelService/UpdateModel": Change(
        request=model_service_pb2.UpdateModelRequest(
            model=model_pb2.Model(name=MODEL, display_name="Ours"), update_mask=_NAMED
        ),
        target=MODEL,
        after=_TO_MODEL,
    ),
    "ModelService/DeleteModel": Change(
        request=model_service_pb2.DeleteModelRequest(name=MODEL), target=MODEL, after=_TO_MODEL
    ),
    "ModelService/SyncModels": Change(
        request=model_service_pb2.SyncModelsRequest(parent=PROVIDER), target=PROVIDER, after=_TO_PROVIDER
    ),
    "RouteService/CreateRoute": Change(
        request=route_service_pb2.CreateRouteRequest(
            parent=ACME,
            route_id="chat",
            route=route_pb2.Route(
                strategy=route_pb2.ROUTING_STRATEGY_PRIORITY,
                targets=[route_pb2.RouteTarget(provider=PROVIDER, model="gpt-4o")],
            ),
        ),
        target=ROUTE,
        after=_TO_MODEL,
    ),
    "RouteService/UpdateRoute": Change(
        request=route_service_pb2.UpdateRouteRequest(
            route=route_pb2.Route(name=ROUTE, display_name="Ours"), update_mask=_NAMED
        ),
        target=ROUTE,
        after=_TO_ROUTE,
    ),
    "RouteService/DeleteRoute": Change(
        request=route_service_pb2.DeleteRouteRequest(name=ROUTE), target=ROUTE, after=_TO_ROUTE
    ),
    "RouteService/RollbackRoute": Change(
        request=route_service_pb2.RollbackRouteRequest(name=ROUTE, version=1),
        target=ROUTE,
        after=(*_TO_ROUTE, "RouteService/UpdateRoute"),
    ),
    "RouteService/UpdateRoutingPolicy": Change(
        request=route_service_pb2.UpdateRoutingPolicyRequest(
            parent=ACME, policy=route_pb2.RoutingPolicy(platform_fallback=route_pb2.PLATFORM_FALLBACK_LAST)
        ),
        target=f"{ACME}/policy",
    ),
    "PreferenceService/UpdatePreferences": Change(
        request=preference_service_pb2.UpdatePreferencesRequest(
            parent=ANN, preferences=preference_pb2.Preferences(preferred=preference_pb2.Choice(provider=PROVIDER))
        ),
        target=f"{ANN}/preferences",
        after=_TO_MODEL,
    ),
    "ProfileService/CreateProfile": Change(
        request=preference_service_pb2.CreateProfileRequest(
            parent=ANN, profile_id="work", profile=preference_pb2.Profile(providers=[PROVIDER])
        ),
        target=PROFILE,
        after=_TO_PROVIDER,
    ),
    "ProfileService/UpdateProfile": Change(
        request=preference_service_pb2.UpdateProfileRequest(
            profile=preference_pb2.Profile(name=PROFILE, display_name="Ours"), update_mask=_NAMED
        ),
        target=PROFILE,
        after=_TO_PROFILE,
    ),
    "ProfileService/DeleteProfile": Change(
        request=preference_service_pb2.DeleteProfileRequest(name=PROFILE), target=PROFILE, after=_TO_PROFILE
    ),
    "ProfileService/ActivateProfile": Change(
        request=preference_service_pb2.ActivateProfileRequest(name=PROFILE), target=PROFILE, after=_TO_PROFILE
    ),
    "ProfileService/DeactivateProfile": Change(
        request=preference_service_pb2.DeactivateProfileRequest(parent=ANN),
        target=PROFILE,
        after=(*_TO_PROFILE, "ProfileService/ActivateProfile"),
    ),
}
