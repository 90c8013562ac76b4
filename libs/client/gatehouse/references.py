"""Short ways to name a provider, and the resource names they stand for.

openai                              the owner's own: tenants/acme/providers/openai
platform/openai                     the platform's: platform/providers/openai
tenant/openai                       the tenant's, also for a user: tenants/acme/providers/openai
tenants/acme/providers/openai       a resource name, as it is
"""

from __future__ import annotations

import re

ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
ID_RULE = "1 to 63 characters of a-z, 0-9, '.', '_', '-', starting with a letter or digit"

_OWNER = re.compile(r"platform|tenants/[^/]+(?:/users/[^/]+)?")


def provider_name(reference: str, parent: str) -> str:
    """The resource name of a provider that `parent` (`tenants/acme`) calls `reference`.

    Raises ValueError for what is neither an id nor one of the forms above.
    """
    if ID.fullmatch(reference):
        return f"{parent}/providers/{reference}"
    owner, slash, provider = reference.partition("/")
    if slash and ID.fullmatch(provider):
        if owner == "platform":
            return f"platform/providers/{provider}"
        if owner == "tenant" and parent != "platform":
            return f"{_tenant(parent)}/providers/{provider}"
    owner, found, provider = reference.rpartition("/providers/")
    if found and _OWNER.fullmatch(owner) and ID.fullmatch(provider):
        return reference
    raise ValueError(
        "must name a provider: ID, platform/ID, tenant/ID or a resource name such as tenants/T/providers/ID"
    )


def short_provider(name: str, parent: str) -> str:
    """The shortest way to say the resource name `name` among what `parent` owns; the inverse of `provider_name`."""
    owner, _, provider = name.rpartition("/providers/")
    if owner == parent:
        return provider
    if owner == "platform":
        return f"platform/{provider}"
    if owner == _tenant(parent):
        return f"tenant/{provider}"
    return name


def target_parts(text: str) -> tuple[str, str]:
    """`openai/gpt-4o` -> (`openai`, `gpt-4o`): the reference to a provider and a model's id, `` for its default model.

    The first part may be any reference: `platform/openai`, `platform/openai/gpt-4o`, `tenants/acme/providers/openai`,
    `tenants/acme/providers/openai/models/gpt-4o`. A provider whose own id is `platform` or `tenant` needs its resource
    name. Raises ValueError.
    """
    owner, found, rest = text.rpartition("/providers/")
    if found:
        provider, _, model = rest.partition("/")
        return f"{owner}/providers/{provider}", model.removeprefix("models/")
    parts = text.split("/")
    if parts[0] in {"platform", "tenant"} and len(parts) in (2, 3):
        return "/".join(parts[:2]), "".join(parts[2:])
    if len(parts) <= 2 and all(parts):  # noqa: PLR2004 - provider and model
        return parts[0], "".join(parts[1:])
    raise ValueError("must be PROVIDER or PROVIDER/MODEL, such as openai/gpt-4o-mini or platform/openai/gpt-4o-mini")


def _tenant(parent: str) -> str:
    return parent.partition("/users/")[0]
