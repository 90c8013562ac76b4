"""OpenAI's models on Azure: each is a deployment, which the model's own id names.

Options, all optional: `api_version`: a date such as `2024-10-21`, the default, for the paths with deployments in them;
`v1`, `preview` or `latest` for those without. Sound and reasoning need 2024-12-01-preview or newer. `auth`: `api_key`
(default), or `entra` for a key that is the JSON object `{"tenant_id": …, "client_id": …, "client_secret": …}` of an
application registered in Entra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from urllib.parse import quote

import orjson

from services.router.domain import features
from services.router.domain.errors import ProviderError, Reason
from services.router.providers.base import Options, TokenRequest
from services.router.providers.formats.chat_completions.answer_rules import AnswerRules
from services.router.providers.formats.chat_completions.dialect import ChatCompletionsDialect
from services.router.providers.formats.chat_completions.quirks import NO_TIERS, OPENAI_QUIRKS, Quirks
from services.router.providers.formats.chat_completions.response import ChatAnswers
from services.router.providers.formats.openai_embeddings import OpenAIEmbedder
from services.router.providers.formats.openai_errors import OPENAI_CODES, OPENAI_TYPES, OPENAI_WORDS
from services.router.providers.formats.openai_models import facts_of
from services.router.providers.reading.error_table import ErrorTable

_DEFAULT_VERSION = "2024-10-21"
_UNDATED = frozenset({"v1", "preview", "latest"})
# "Model … is enabled only for api versions 2024-12-01-preview and later", it says of all that reason.
_FIRST_TO_REASON = "2024-12-01"
_SCOPE = "https://cognitiveservices.azure.com/.default"

_ERRORS = ErrorTable(
    codes=MappingProxyType(
        {
            **OPENAI_CODES,
            "DeploymentNotFound": Reason.PROVIDER_MODEL_NOT_FOUND,
            "ResponsibleAIPolicyViolation": Reason.CONTENT_REFUSED,
            # With status 401: who signed in has no role here.
            "PermissionDenied": Reason.PROVIDER_PERMISSION_DENIED,
            "NoCapacity": Reason.PROVIDER_OVERLOADED,
        }
    ),
    words=(*OPENAI_WORDS, ("content management policy", Reason.CONTENT_REFUSED)),
    status_names=OPENAI_TYPES,
)

# Newest and without a date: all that OpenAI has, but for the name of the end user.
_V1 = replace(OPENAI_QUIRKS, end_user_field="user", answers=ChatAnswers(AnswerRules(errors=_ERRORS)))
# Unknown arguments are refused, and the dated versions know fewer.
_NEWER = replace(
    _V1,
    features=_V1.features & ~(features.DOCUMENTS | features.SERVICE_TIER),
    tiers=NO_TIERS,
    cache_key_field="",
)
# The newest that is generally available, 2024-10-21, is among these; its contents are texts and images.
_OLDER = replace(
    _NEWER, features=_NEWER.features & ~(features.REASONING | features.AUDIO), output_limit_field="max_tokens"
)


class AzureOpenAIDialect(ChatCompletionsDialect):
    """Chat Completions under other paths, with other keys."""

    __slots__ = ()

    def features(self, options: Options, provider_model_id: str) -> int:
        """Those of the version; no reasoning for deployments named like models that never do and refuse to be asked."""
        found = super().features(options, provider_model_id)
        return found if facts_of(provider_model_id).reasons else found & ~features.REASONING

    def quirks_of(self, options: Options) -> Quirks:
        """By the version of the API."""
        version = _version(options)
        if version in _UNDATED:
            return _V1
        return _NEWER if version >= _FIRST_TO_REASON else self.quirks

    def key_headers(self, key: str, options: Options) -> Mapping[str, str]:
        """`api-key`, or `Authorization: Bearer` for a token of Entra's."""
        return {"Authorization": f"Bearer {key}"} if _by_entra(options) else {"api-key": key}

    def token_request(self, key: str, options: Options, *, now: float) -> TokenRequest | None:
        """Client credentials of an application. Raises ProviderError for a key that is none."""
        if not _by_entra(options):
            return None
        try:
            account = orjson.loads(key)
            tenant, client, secret = (account[name] for name in ("tenant_id", "client_id", "client_secret"))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise ProviderError(Reason.PROVIDER_KEY_REJECTED) from None
        if not all(isinstance(each, str) and each for each in (tenant, client, secret)):
            raise ProviderError(Reason.PROVIDER_KEY_REJECTED)
        form = {
            "grant_type": "client_credentials",
            "client_id": client,
            "client_secret": secret,
            "scope": _SCOPE,
        }
        return TokenRequest("entra", f"/{quote(tenant, safe='')}/oauth2/v2.0/token", form)

    def path(self, provider_model_id: str, options: Options) -> str:
        """The deployment's own, but for the versions without a date."""
        return path_of("chat/completions", provider_model_id, options)

    def models_path(self, options: Options) -> str:
        """What the resource could deploy."""
        version = _version(options)
        return f"/openai/v1/models{_query(version)}" if version in _UNDATED else f"/openai/models{_query(version)}"


def path_of(operation: str, deployment: str, options: Options) -> str:
    """Where an operation on a deployment is posted; `deployment` may hold any characters."""
    version = _version(options)
    if version in _UNDATED:
        return f"/openai/v1/{operation}{_query(version)}"
    return f"/openai/deployments/{quote(deployment, safe='')}/{operation}{_query(version)}"


def _query(version: str) -> str:
    return "" if version == "v1" else f"?api-version={quote(version, safe='')}"


def _version(options: Options) -> str:
    return str(options.get("api_version") or _DEFAULT_VERSION)


def _by_entra(options: Options) -> bool:
    return options.get("auth") == "entra"


AZURE_OPENAI = AzureOpenAIDialect(
    id="azure_openai",
    requires_key=True,
    quirks=_OLDER,
    errors=_ERRORS,
    embedder=OpenAIEmbedder(
        base64=True, path=lambda options, provider_model_id: path_of("embeddings", provider_model_id, options)
    ),
)
