"""A Gatehouse that keeps its configuration: etags, defaults that are taken from others, references that must hold."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import grpc
from gatehouse.providerconfig.v1 import (
    model_service_pb2,
    preference_service_pb2,
    provider_service_pb2,
    route_service_pb2,
)
from google.rpc import error_details_pb2

from tests.unit.client.fake_gatehouse import FakeGatehouse, failure
from tests.unit.client.samples import TYPES

_FILES = (model_service_pb2, preference_service_pb2, provider_service_pb2, route_service_pb2)


class Configured:
    """Answers the configuration's methods of a fake. `held` has every resource by name."""

    def __init__(self, fake: FakeGatehouse) -> None:
        self.held: dict[str, Any] = {}
        self.revision = 0
        self._etags = itertools.count(1)
        fake.answers |= {
            **self._resource("Provider", "providers"),
            **self._resource("Model", "models"),
            **self._resource("Route", "routes"),
            **self._resource("Profile", "profiles"),
            "ListProviderTypes": lambda _: provider_service_pb2.ListProviderTypesResponse(provider_types=TYPES),
            "GetRoutingPolicy": lambda request: self._single(request, "policy", "GetRoutingPolicyResponse"),
            "UpdateRoutingPolicy": lambda request: self._update_single(
                request, "policy", "UpdateRoutingPolicyResponse"
            ),
            "GetPreferences": lambda request: self._single(request, "preferences", "GetPreferencesResponse"),
            "UpdatePreferences": lambda request: self._update_single(
                request, "preferences", "UpdatePreferencesResponse"
            ),
        }
        fake.answers["providerconfig.ListModels"] = fake.answers.pop("ListModels")

    def _resource(self, kind: str, collection: str) -> dict[str, Callable[[Any], Any]]:
        field = kind.lower()
        return {
            f"Create{kind}": lambda request: self._create(kind, field, collection, request),
            f"Get{kind}": lambda request: _response(f"Get{kind}Response", **{field: self._at(request.name)}),
            f"List{kind}s": lambda request: self._list(kind, collection, request),
            f"Update{kind}": lambda request: self._update(kind, field, request),
            f"Delete{kind}": lambda request: self._delete(kind, request),
        }

    def _create(self, kind: str, field: str, collection: str, request: Any) -> Any:
        name = f"{request.parent}/{collection}/{getattr(request, f'{field}_id')}"
        if name in self.held:
            raise failure(grpc.StatusCode.ALREADY_EXISTS, f"{name} exists", f"{kind.upper()}_EXISTS")
        resource = type(getattr(request, field))()
        resource.CopyFrom(getattr(request, field))
        resource.name, resource.uid = name, "u"
        if kind == "Model" and request.parent not in self.held:
            raise failure(grpc.StatusCode.NOT_FOUND, "no such provider", "PROVIDER_NOT_FOUND")
        self._complete(kind, resource, changing=not request.validate_only)
        if request.validate_only:
            return _response(f"Create{kind}Response", **{field: resource})
        return _response(f"Create{kind}Response", **{field: self._store(resource)}, revision=self.revision)

    def _list(self, kind: str, collection: str, request: Any) -> Any:
        start = f"{request.parent}/{collection}/"
        found = [
            self.held[name] for name in sorted(self.held) if name.startswith(start) and "/" not in name[len(start) :]
        ]
        return _response(f"List{kind}sResponse", **{f"{kind.lower()}s": found})

    def _update(self, kind: str, field: str, request: Any) -> Any:
        given = getattr(request, field)
        resource = self._changed(self._at(given.name), given, request.update_mask.paths, given.etag)
        self._complete(kind, resource)
        return _response(f"Update{kind}Response", **{field: self._store(resource)}, revision=self.revision)

    def _delete(self, kind: str, request: Any) -> Any:
        resource = self._at(request.name)
        self._check_etag(resource, request.etag)
        users = sorted(name for name, each in self.held.items() if name != request.name and _names(each, request.name))
        if users and not getattr(request, "force", False):
            raise failure(grpc.StatusCode.FAILED_PRECONDITION, f"{users[0]} names it", f"{kind.upper()}_IN_USE")
        for name in [each for each in self.held if each == request.name or each.startswith(f"{request.name}/")]:
            del self.held[name]
        self.revision += 1
        return _response(f"Delete{kind}Response", revision=self.revision)

    def _single(self, request: Any, what: str, response: str) -> Any:
        message = _response(response)
        name = f"{request.parent}/{what}"
        part = getattr(message, what)
        part.CopyFrom(self.held.get(name, type(part)()))
        part.name = name
        return message

    def _update_single(self, request: Any, what: str, response: str) -> Any:
        given, name = getattr(request, what), f"{request.parent}/{what}"
        resource = self._changed(self.held.get(name, type(given)()), given, request.update_mask.paths, given.etag)
        resource.name = name
        return _response(response, **{what: self._store(resource)}, revision=self.revision)

    def _changed(self, present: Any, given: Any, mask: Any, etag: str) -> Any:
        self._check_etag(present, etag)
        resource = type(present)()
        resource.CopyFrom(present)
        for path in mask:
            resource.ClearField(path)
        taken = type(given)()
        taken.CopyFrom(given)
        for field in taken.DESCRIPTOR.fields:
            if field.name not in mask:
                taken.ClearField(field.name)
        resource.MergeFrom(taken)
        return resource

    def _complete(self, kind: str, resource: Any, *, changing: bool = True) -> None:
        """As a server does: defaults that depend, references that must hold, one default of an owner."""
        if kind == "Provider":
            resource.base_url = resource.base_url or "https://api.openai.com/v1"
            if resource.base_url.startswith("http://inside"):
                raise _invalid("provider.base_url", "must use https")
            resource.active = resource.active if resource.HasField("active") else True
            resource.priority = resource.priority if resource.HasField("priority") else 100
            if changing:
                self._take_defaults(resource)
        if kind == "Model":
            resource.provider_model_id = resource.provider_model_id or resource.name.rpartition("/")[2]
            resource.enabled = resource.enabled if resource.HasField("enabled") else True
            resource.context_tokens = resource.context_tokens if resource.HasField("context_tokens") else 128_000
        if kind == "Route":
            resource.active = resource.active if resource.HasField("active") else True
            for target in (*resource.targets, *resource.fallbacks):
                name = f"{target.provider}/models/{target.model}" if target.model else target.provider
                if resource.active and name not in self.held and not name.startswith("platform/"):
                    raise _invalid("route.targets", f"{name} does not exist")
            if resource.fallback_route and resource.fallback_route not in self.held:
                raise _invalid("route.fallback_route", "does not exist")

    def _take_defaults(self, heir: Any) -> None:
        owner = heir.name.rpartition("/")[0]
        for name, other in self.held.items():
            if not name.startswith(f"{owner}/") or "/models/" in name or name == heir.name:
                continue
            lost = set(other.default_for_tasks) & set(heir.default_for_tasks)
            if (heir.is_default and other.is_default) or lost:
                other.is_default = other.is_default and not heir.is_default
                kept = [task for task in other.default_for_tasks if task not in lost]
                del other.default_for_tasks[:]
                other.default_for_tasks.extend(kept)
                other.etag = f"e{next(self._etags)}"

    def _store(self, resource: Any) -> Any:
        self.revision += 1
        resource.etag = f"e{next(self._etags)}"
        self.held[resource.name] = resource
        return resource

    def _at(self, name: str) -> Any:
        if name not in self.held:
            raise failure(grpc.StatusCode.NOT_FOUND, f"{name} does not exist", "NOT_FOUND")
        return self.held[name]

    @staticmethod
    def _check_etag(resource: Any, etag: str) -> None:
        if etag and etag != resource.etag:
            raise failure(grpc.StatusCode.ABORTED, f"{resource.name} has changed", "ETAG_MISMATCH")


def _names(resource: Any, name: str) -> bool:
    """Whether a route names a provider, a model or a route."""
    if "/routes/" not in resource.name:
        return False
    targets = [*resource.targets, *resource.fallbacks]
    return resource.fallback_route == name or any(
        name in (target.provider, f"{target.provider}/models/{target.model}") for target in targets
    )


def _response(response: str, **fields: Any) -> Any:
    """A response by the name of its message."""
    message: Any = next(getattr(file, response) for file in _FILES if hasattr(file, response))
    return message(**fields)


def _invalid(field: str, text: str) -> Exception:
    violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=text)
    return failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"{field} {text}",
        "INVALID_FIELD",
        error_details_pb2.BadRequest(field_violations=[violation]),
    )
