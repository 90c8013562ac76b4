"""What `make run` sets up so that a call can be made at once: providers of the platform, quotas of the tenant `acme`.

Everything goes through the management APIs, as anyone's set-up would, and can be repeated: what is there is kept.
Exactly one of two platform providers is active: `openai` when OPENAI_API_KEY is set, else `sandbox`. A made-up answer
must not stand in for a failed real one, nor a real one cost money that nobody meant to spend.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from gatehouse import AlreadyExists, AsyncClient, NotFound
from gatehouse.profile import Profile, load_profile
from gatehouse.providerconfig.v1.model_pb2 import ModelPrice
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities
from gatehouse.tokens import DEFAULT_TENANT, DEFAULT_USER, DevelopmentTokens, issuer_of

from deploy.local.layout import StateLayout
from deploy.local.ports import LOOPBACK
from deploy.local.settings import LauncherSettings
from libs.core.validation import origin_of

if TYPE_CHECKING:
    from gatehouse.keyvault.v1.key_pb2 import Key
    from gatehouse.operations.models import ModelFields
    from gatehouse.operations.providers import ProviderFields

TENANT = f"tenants/{DEFAULT_TENANT}"
USER = f"{TENANT}/users/{DEFAULT_USER}"
SANDBOX = "platform/providers/sandbox"
OPENAI = "platform/providers/openai"
DAILY_TOKENS = f"{TENANT}/quotas/daily-tokens"
MONTHLY_COST = f"{TENANT}/quotas/monthly-cost"

_SANDBOX_KEY = "platform/keys/sandbox"
_OPENAI_KEY = "platform/keys/openai"
_SANDBOX_KEY_PREFIX = "sk-sandbox-"
_MADE_HERE = {"made-by": "make-run"}

_PRETEND_PRICE = ModelPrice(input_micro_usd_per_million=150_000, output_micro_usd_per_million=600_000)
_EMBEDS = Capabilities(embeddings=True)
_SANDBOX_MODELS: Mapping[str, ModelFields] = {
    **{
        model: {
            "display_name": f"{title} (pretend price)",
            "context_tokens": 128_000,
            "max_output_tokens": 4096,
            "price": _PRETEND_PRICE,
        }
        for model, title in (
            ("sandbox-small", "Sandbox, small"),
            ("sandbox-large", "Sandbox, large"),
            ("sandbox-reasoner", "Sandbox, reasoning"),
        )
    },
    "sandbox-embed": {
        "display_name": "Sandbox, vectors (pretend price)",
        "context_tokens": 8192,
        "capabilities": _EMBEDS,
        "price": ModelPrice(input_micro_usd_per_million=20_000),
    },
}
# Their prices are in the catalogue.
_OPENAI_MODELS: Mapping[str, ModelFields] = {
    **{model: {"context_tokens": 128_000, "max_output_tokens": 16_384} for model in ("gpt-4o-mini", "gpt-4o")},
    "text-embedding-3-small": {"context_tokens": 8192, "capabilities": _EMBEDS},
}

_DAILY_TOKENS_LIMIT = 1_000_000
_MONTHLY_COST_LIMIT_NANO_USD = 20_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTenant:
    """What was set up. `revision` is the configuration to wait for; `notes` are for people, about who answers."""

    revision: int
    notes: tuple[str, ...]


def user_client(layout: StateLayout) -> AsyncClient:
    """A client for the user `dev` of `acme`, an admin of that tenant. Needs a running loop; to be closed."""
    # The token is made here, not taken from $GATEHOUSE_TOKEN: that one may be for another Gatehouse.
    profile = load_profile(layout.client_file)
    tokens = DevelopmentTokens(issuer_of(profile, "no development token can be made"))
    return AsyncClient(endpoints=profile.endpoints, ca=profile.ca, token=tokens)


async def ensure_sample_tenant(settings: LauncherSettings, layout: StateLayout) -> SampleTenant:
    """Make what is missing and choose the active provider. Raises GatehouseError when a service refuses."""
    profile = load_profile(layout.client_file)
    async with _Operator(profile) as operator, user_client(layout) as admin:
        sandbox_url = f"http://{LOOPBACK}:{settings.sandbox_port}"
        if settings.openai_api_key is None:
            await operator.ensure_sandbox_key(sandbox_url)
            # The other one off first: at no moment may both answer.
            stood_down = await operator.switch_off(OPENAI)
            revision = await _ensure_sandbox(operator.client, sandbox_url)
            notes = [
                "The sandbox provider answers, because OPENAI_API_KEY is not set: no model thinks, no money flows."
            ]
            if stood_down:
                notes.append(f"{OPENAI} is switched off until OPENAI_API_KEY is set again; its key stays sealed.")
        else:
            material = settings.openai_api_key.get_secret_value()
            done = await operator.ensure_imported_key(settings.openai_base_url, material)
            await operator.switch_off(SANDBOX)
            revision = await _ensure_openai(operator.client, settings.openai_base_url)
            notes = [f"{OPENAI} answers with the key of OPENAI_API_KEY ({_OPENAI_KEY}, {done})."]
        if await _has_providers(admin):
            notes = [f"{TENANT} has providers of its own: they come before the platform's."]
        await _ensure_quotas(admin)
        return SampleTenant(revision=revision, notes=tuple(notes))


class _Operator:
    """Acts for whoever runs Gatehouse: the platform's keys and providers."""

    def __init__(self, profile: Profile) -> None:
        issuer = issuer_of(profile, "no development token can be made")
        # Where fresh MFA is demanded, setting up must work all the same: whoever starts this holds the issuer's key.
        tokens = DevelopmentTokens(issuer, user="make-run", roles=("super_admin",), mfa=True)
        self.client = AsyncClient(endpoints=profile.endpoints, ca=profile.ca, token=tokens)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def ensure_sandbox_key(self, url: str) -> None:
        """A random key, as any provider has one. It is kept nowhere else: who needs another makes another."""
        if await self._key_for(_SANDBOX_KEY, url) is None:
            await self._create_key(_SANDBOX_KEY, "openai_compatible", url, _SANDBOX_KEY_PREFIX + secrets.token_hex(16))

    async def ensure_imported_key(self, url: str, material: str) -> str:
        """Create OpenAI's key, or rotate it when its material is another; what was done, in a word."""
        present = await self._key_for(_OPENAI_KEY, url)
        if present is None:
            await self._create_key(_OPENAI_KEY, "openai", url, material)
            return "imported"
        # A key that is only checked, never stored, shows the fingerprint this material would have.
        checked = await self.client.keys.create(
            f"{_OPENAI_KEY}.check",
            provider_type="openai",
            origin=present.origin,
            api_key=material,
            validate_only=True,
        )
        if checked.key.fingerprint == present.fingerprint:
            return "unchanged"
        await self.client.keys.rotate(_OPENAI_KEY, material)
        return "rotated"

    async def switch_off(self, provider: str) -> bool:
        """Make the provider inactive, if it is one of ours; whether it was active."""
        try:
            present = await self.client.providers.get(provider)
        except NotFound:
            return False
        if not present.active or present.labels.get("made-by") != _MADE_HERE["made-by"]:
            return False
        await self.client.providers.update(provider, active=False, is_default=False)
        return True

    async def _key_for(self, name: str, url: str) -> Key | None:
        """The key if it is there and bound to the origin of `url`; one bound to another is deleted: it cannot move."""
        try:
            key = await self.client.keys.get(name)
        except NotFound:
            return None
        if key.origin == origin_of(url):
            return key
        await self.client.keys.delete(name, etag=key.etag)
        return None

    async def _create_key(self, name: str, provider_type: str, url: str, material: str) -> None:
        # A URL without an origin goes as it is: the service says what is wrong with it.
        origin = origin_of(url) or url
        await self.client.keys.create(
            name, provider_type=provider_type, origin=origin, api_key=material, labels=_MADE_HERE
        )


async def _ensure_sandbox(client: AsyncClient, url: str) -> int:
    return await _ensure_provider(
        client,
        SANDBOX,
        provider_type="openai_compatible",
        at_first={
            "display_name": "Sandbox",
            "description": "Practice provider on this machine. No model thinks; its prices are pretend prices.",
            "default_model": "sandbox-small",
        },
        always={"base_url": f"{url}/v1", "key": _SANDBOX_KEY, "active": True, "is_default": True},
        models=_SANDBOX_MODELS,
    )


async def _ensure_openai(client: AsyncClient, base_url: str) -> int:
    return await _ensure_provider(
        client,
        OPENAI,
        provider_type="openai",
        at_first={"display_name": "OpenAI", "default_model": "gpt-4o-mini"},
        always={"base_url": base_url, "key": _OPENAI_KEY, "active": True, "is_default": True},
        models=_OPENAI_MODELS,
    )


async def _ensure_provider(
    client: AsyncClient,
    name: str,
    *,
    provider_type: str,
    at_first: ProviderFields,
    always: ProviderFields,
    models: Mapping[str, ModelFields],
) -> int:
    """Create the provider, or set the fields of `always`, and add missing models; the revision that has it all."""
    fields: ProviderFields = {**at_first, **always, "labels": _MADE_HERE}
    try:
        revision = (await client.providers.create(name, type=provider_type, **fields)).revision
    except AlreadyExists:
        revision = (await client.providers.update(name, **always)).revision
    present = {model.name async for model in client.models.list(name)}
    for model, model_fields in models.items():
        if f"{name}/models/{model}" not in present:
            revision = (await client.models.create(f"{name}/models/{model}", **model_fields)).revision
    return revision


async def _has_providers(admin: AsyncClient) -> bool:
    for owner in (TENANT, USER):
        async for _ in admin.providers.list(owner, page_size=1):
            return True
    return False


async def _ensure_quotas(admin: AsyncClient) -> None:
    present = {quota.name async for quota in admin.quotas.list(TENANT)}
    if DAILY_TOKENS not in present:
        await admin.quotas.create(
            DAILY_TOKENS, metric="tokens", window="day", limit=_DAILY_TOKENS_LIMIT, display_name="Tokens a day"
        )
    if MONTHLY_COST not in present:
        await admin.quotas.create(
            MONTHLY_COST, metric="cost", window="month", limit=_MONTHLY_COST_LIMIT_NANO_USD, display_name="USD a month"
        )
