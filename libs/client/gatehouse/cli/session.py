"""What every command shares: who calls whom, and how results are shown."""

from __future__ import annotations

import base64
import binascii
import enum
import json
import os
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import typer

from gatehouse.tokens import DEFAULT_TENANT, DEFAULT_USER

if TYPE_CHECKING:
    from gatehouse.client import Client


class Owner(enum.StrEnum):
    """Whose a key or provider is."""

    PLATFORM = "platform"
    TENANT = "tenant"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options every command takes; None where they were not given."""

    profile: Path | None = None
    token: str | None = None
    tenant: str | None = None
    user: str | None = None
    as_json: bool = False

    def over(self, other: Options | None) -> Self:
        """These where given, else `other`'s."""
        if other is None:
            return self
        given = {field.name: getattr(self, field.name) or getattr(other, field.name) for field in fields(self)}
        return replace(self, **given)


class Session:
    """One command's run. The client is made when first used."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def as_json(self) -> bool:
        """Whether results are printed as JSON."""
        return self.options.as_json

    @cached_property
    def client(self) -> Client:
        """A client for the chosen profile and token. Raises ProfileError when there is none."""
        # gRPC's own log would stand between what a person reads; the error says what went wrong.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from gatehouse.client import Client

        options = self.options
        return Client.from_profile(options.profile, token=options.token, tenant=self.tenant, user=self.user)

    @cached_property
    def tenant(self) -> str:
        """The tenant's id: as given, else the token's, else the development tenant."""
        return self.options.tenant or self._claims.get("tenant") or DEFAULT_TENANT

    @cached_property
    def user(self) -> str:
        """The user's id: as given, else the token's, else the development user."""
        return self.options.user or self._claims.get("sub") or DEFAULT_USER

    @cached_property
    def _claims(self) -> dict[str, str]:
        # Unverified: they only choose which names are asked for; the server decides by the verified token.
        try:
            payload = (self.options.token or "").split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            return {name: value for name, value in claims.items() if isinstance(value, str)}
        except (IndexError, ValueError, binascii.Error, AttributeError):
            return {}

    def parent(self, owner: Owner) -> str:
        """The owner's resource name."""
        match owner:
            case Owner.PLATFORM:
                return "platform"
            case Owner.TENANT:
                return f"tenants/{self.tenant}"
            case Owner.USER:
                return f"tenants/{self.tenant}/users/{self.user}"

    def name(self, owner: Owner, collection: str, resource: str) -> str:
        """`resource` as it is when it is a resource name, else the one of `owner` with this id.

        Raises BadParameter for the name of something else.
        """
        if "/" not in resource:
            return f"{self.parent(owner)}/{collection}/{resource}"
        parent, found, resource_id = resource.rpartition(f"/{collection}/")
        if not (parent and found and resource_id) or "/" in resource_id:
            # It is not repeated: it could be anything, a key among them.
            owner_name = "platform" if resource.startswith("platform/") else self.parent(Owner.TENANT)
            place = "providers/PROVIDER/models" if collection == "models" else collection
            raise typer.BadParameter(f"give an id, or a name such as {owner_name}/{place}/ID")
        return resource

    def reference(self, name: str) -> str:
        """The shortest way to give a command the resource `name`: its id when it is the tenant's own."""
        owner, _, rest = name.partition(f"{self.parent(Owner.TENANT)}/")
        return name if owner or rest.count("/") != 1 else rest.partition("/")[2]

    def close(self) -> None:
        """Close the client, if one was made."""
        if "client" in self.__dict__:
            self.client.close()
