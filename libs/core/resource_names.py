"""Resource names: who owns a thing and what it is called.

    platform                                        the owner that runs Gatehouse
    tenants/{tenant}                                a tenant
    tenants/{tenant}/users/{user}                   a user of a tenant
    {owner}/keys/{key}                              a provider key
    {owner}/providers/{provider}                    a configured provider
    {owner}/providers/{provider}/models/{model}     a model of it
    tenants/{tenant}/routes/{task}                  a route
    tenants/{tenant}/routes/{task}/experiments/{experiment}   an experiment on it
    tenants/{tenant}/users/{user}/profiles/{profile}   a profile
    tenants/{tenant}/quotas/{quota}                 a quota
    tenants/{tenant}/policy                         the policy of a tenant
    tenants/{tenant}/users/{user}/preferences       the preferences of a user

Ids are lower-case letters, digits, dot, underscore and hyphen, 1 to 63 characters, starting with a letter or
digit. A name is parsed once, at the edge; inside, only these types travel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from libs.core.errors import FieldViolation, InvalidArgument

ID_PATTERN = r"[a-z0-9](?:[a-z0-9._-]{0,62})"
ID_RULE = "1 to 63 characters of a-z, 0-9, '.', '_', '-', starting with a letter or digit"
MAX_NAME_LENGTH = 512

_ID = re.compile(ID_PATTERN)
_OWNER = rf"(?:platform|tenants/(?P<tenant>{ID_PATTERN})(?:/users/(?P<user>{ID_PATTERN}))?)"


def is_id(text: str) -> bool:
    """Whether `text` is a well-formed id."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Whose a resource is: the platform (no tenant), a tenant, or a user of a tenant."""

    tenant: str | None = None
    user: str | None = None

    def __post_init__(self) -> None:
        if self.user is not None and self.tenant is None:
            raise ValueError("a user belongs to a tenant")

    @property
    def is_platform(self) -> bool:
        """Whether this is the platform itself."""
        return self.tenant is None

    def covers(self, other: Owner) -> bool:
        """Whether `other` is this owner or lies below it: a tenant covers its users, the platform only itself."""
        if self == other:
            return True
        return self.tenant is not None and self.user is None and other.tenant == self.tenant

    def __str__(self) -> str:
        if self.tenant is None:
            return "platform"
        if self.user is None:
            return f"tenants/{self.tenant}"
        return f"tenants/{self.tenant}/users/{self.user}"

    @classmethod
    def parse(cls, name: str, *, field: str = "parent") -> Self:
        """Parse an owner's name. Raises InvalidArgument naming `field`."""
        match = _match(_OWNER_RE, name, field, "platform, tenants/{tenant} or tenants/{tenant}/users/{user}")
        return cls(match["tenant"], match["user"])

    @classmethod
    def of(cls, name: str, *, field: str = "name") -> Owner:
        """The owner inside any resource name. Raises InvalidArgument naming `field`."""
        match = _match(_OWNED_RE, name, field, "a resource name such as tenants/{tenant}/keys/{key}")
        return cls(match["tenant"], match["user"])


@dataclass(frozen=True, slots=True, order=True)
class KeyName:
    """`{owner}/keys/{key}`."""

    owner: Owner
    key: str

    def __str__(self) -> str:
        return f"{self.owner}/keys/{self.key}"

    @classmethod
    def parse(cls, name: str, *, field: str = "name") -> Self:
        """Parse a key's name. Raises InvalidArgument naming `field`."""
        match = _match(_KEY_RE, name, field, "{owner}/keys/{key}")
        return cls(Owner(match["tenant"], match["user"]), match["key"])


@dataclass(frozen=True, slots=True, order=True)
class ProviderName:
    """`{owner}/providers/{provider}`."""

    owner: Owner
    provider: str

    def __str__(self) -> str:
        return f"{self.owner}/providers/{self.provider}"

    @classmethod
    def parse(cls, name: str, *, field: str = "name") -> Self:
        """Parse a provider's name. Raises InvalidArgument naming `field`."""
        match = _match(_PROVIDER_RE, name, field, "{owner}/providers/{provider}")
        return cls(Owner(match["tenant"], match["user"]), match["provider"])


@dataclass(frozen=True, slots=True, order=True)
class ModelName:
    """`{owner}/providers/{provider}/models/{model}`."""

    provider: ProviderName
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/models/{self.model}"

    @classmethod
    def parse(cls, name: str, *, field: str = "name") -> Self:
        """Parse a model's name. Raises InvalidArgument naming `field`."""
        match = _match(_MODEL_RE, name, field, "{owner}/providers/{provider}/models/{model}")
        return cls(ProviderName(Owner(match["tenant"], match["user"]), match["provider"]), match["model"])


@dataclass(frozen=True, slots=True, order=True)
class QuotaName:
    """`tenants/{tenant}/quotas/{quota}`."""

    tenant: str
    quota: str

    def __str__(self) -> str:
        return f"tenants/{self.tenant}/quotas/{self.quota}"

    @classmethod
    def parse(cls, name: str, *, field: str = "name") -> Self:
        """Parse a quota's name. Raises InvalidArgument naming `field`."""
        match = _match(_QUOTA_RE, name, field, "tenants/{tenant}/quotas/{quota}")
        return cls(match["tenant"], match["quota"])


@dataclass(frozen=True, slots=True, order=True)
class RouteName:
    """`tenants/{tenant}/routes/{task}`."""

    tenant: str
    task: str

    def __str__(self) -> str:
        return f"tenants/{self.tenant}/routes/{self.task}"

    @property
    def owner(self) -> Owner:
        """The tenant."""
        return Owner(self.tenant)

    @classmethod
    def parse(cls, name: str, *, field: str = "name") -> Self:
        """Parse a route's name. Raises InvalidArgument naming `field`."""
        match = _match(_ROUTE_RE, name, field, "tenants/{tenant}/routes/{task}")
        return cls(match["tenant"], match["task"])


@dataclass(frozen=True, slots=True, order=True)
class ExperimentName:
    """`tenants/{tenant}/routes/{task}/experiments/{experiment}`."""

    route: RouteName
    experiment: str

    def __str__(self) -> str:
        return f"{self.route}/experiments/{self.experiment}"

    @classmethod
    def parse(cls, name: str, *, field: str = "name") -> Self:
        """Parse an experiment's name. Raises InvalidArgument naming `field`."""
        match = _match(_EXPERIMENT_RE, name, field, "tenants/{tenant}/routes/{task}/experiments/{experiment}")
        return cls(RouteName(match["tenant"], match["task"]), match["experiment"])


@dataclass(frozen=True, slots=True, order=True)
class ProfileName:
    """`tenants/{tenant}/users/{user}/profiles/{profile}`."""

    tenant: str
    user: str
    profile: str

    def __str__(self) -> str:
        return f"tenants/{self.tenant}/users/{self.user}/profiles/{self.profile}"

    @property
    def owner(self) -> Owner:
        """The user."""
        return Owner(self.tenant, self.user)

    @classmethod
    def parse(cls, name: str, *, field: str = "name") -> Self:
        """Parse a profile's name. Raises InvalidArgument naming `field`."""
        match = _match(_PROFILE_RE, name, field, "tenants/{tenant}/users/{user}/profiles/{profile}")
        return cls(match["tenant"], match["user"], match["profile"])


_OWNER_RE = re.compile(_OWNER)
_OWNED_RE = re.compile(rf"{_OWNER}(?:/[a-z]+/{ID_PATTERN})*")
_KEY_RE = re.compile(rf"{_OWNER}/keys/(?P<key>{ID_PATTERN})")
_PROVIDER_RE = re.compile(rf"{_OWNER}/providers/(?P<provider>{ID_PATTERN})")
_MODEL_RE = re.compile(rf"{_OWNER}/providers/(?P<provider>{ID_PATTERN})/models/(?P<model>{ID_PATTERN})")
_ROUTE = rf"tenants/(?P<tenant>{ID_PATTERN})/routes/(?P<task>{ID_PATTERN})"
_ROUTE_RE = re.compile(_ROUTE)
_EXPERIMENT_RE = re.compile(rf"{_ROUTE}/experiments/(?P<experiment>{ID_PATTERN})")
_PROFILE_RE = re.compile(
    rf"tenants/(?P<tenant>{ID_PATTERN})/users/(?P<user>{ID_PATTERN})/profiles/(?P<profile>{ID_PATTERN})"
)
_QUOTA_RE = re.compile(rf"tenants/(?P<tenant>{ID_PATTERN})/quotas/(?P<quota>{ID_PATTERN})")


def _match(pattern: re.Pattern[str], name: str, field: str, shape: str) -> re.Match[str]:
    match = pattern.fullmatch(name) if len(name) <= MAX_NAME_LENGTH else None
    if match is None:
        description = f"must be {shape}; ids are {ID_RULE}"
        raise InvalidArgument(
            "INVALID_FIELD",
            f"{field} {description}",
            metadata={"field": field},
            field_violations=(FieldViolation(field=field, description=description),),
        )
    return match
